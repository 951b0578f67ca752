from __future__ import annotations

import torch
from torch import Tensor

from harmonize.synthesis.palette.edge_colors import extend_colors


def disc(size: int = 41, radius: float = 14) -> Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    middle = size // 2
    return (((y - middle) ** 2 + (x - middle) ** 2) <= radius**2).float()


def fringed() -> tuple[Tensor, Tensor]:
    """A red disc with a blue fringe on green; and its mask."""
    mask, core = disc(), disc(radius=11.5)
    image = torch.zeros(3, 41, 41)
    image[1] = 1 - mask
    image[0], image[2] = core, mask - core
    return image, mask


def test_the_fringe_takes_the_color_from_inside() -> None:
    image, mask = fringed()
    found = extend_colors(image, mask, 3)
    assert (found[0, mask > 0] > 0.999).all()
    assert (found[2, mask > 0] == 0).all()


def test_what_is_outside_or_far_inside_stays() -> None:
    image, mask = fringed()
    image += 0.1 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    found = extend_colors(image, mask, 3)
    stays = (mask == 0) | (disc(radius=9) > 0)
    assert torch.equal(found[:, stays], image[:, stays])


def test_thin_parts_keep_their_colors() -> None:
    image = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(40, 60)
    mask[5:25, 5:25] = 1
    mask[14:16, 25:] = 1  # a handle, far out of reach of any inside
    found = extend_colors(image, mask, 2)
    assert torch.equal(found[:, 14:16, 45:], image[:, 14:16, 45:])
    assert not torch.equal(found[:, 5:7, 5:25], image[:, 5:7, 5:25])


def test_no_width_or_no_mask_changes_nothing() -> None:
    image, mask = fringed()
    assert torch.equal(extend_colors(image, mask, 0), image)
    assert torch.equal(extend_colors(image, torch.zeros_like(mask), 2), image)
