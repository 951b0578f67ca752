from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from harmonize.synthesis.brushwork import planes as module
from harmonize.synthesis.brushwork.planes import planes


def picture(h: int = 14, w: int = 12, seed: int = 0) -> Tensor:
    dice = torch.Generator().manual_seed(seed)
    return torch.tensor([50.0, 0.0, 0.0]).view(3, 1, 1) + 6 * torch.randn(3, h, w, generator=dice)


def naive(image: Tensor, angle_number: int, radius: float, y: int, x: int) -> Tensor:
    """The filter at one pixel, by its formula."""
    angle = math.pi * angle_number / module.ANGLES
    _, h, w = image.shape
    reach = math.ceil(radius * module.STRETCH)
    mass = [0.0] * module.SECTORS
    mean = [torch.zeros(3) for _ in range(module.SECTORS)]
    square = [0.0] * module.SECTORS
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            along = (dx * math.cos(angle) + dy * math.sin(angle)) / module.STRETCH
            across = dy * math.cos(angle) - dx * math.sin(angle)
            distance = math.hypot(along, across) / radius
            if distance > 1:
                continue
            color = image[:, min(max(y + dy, 0), h - 1), min(max(x + dx, 0), w - 1)]
            for sector in range(module.SECTORS):
                turn = math.atan2(across, along) - 2 * math.pi * sector / module.SECTORS
                side = max(0.0, math.cos(turn)) ** module.NARROWING
                share = math.exp(-module.FALL * distance**2)
                share *= side if distance > 0 else 1 / module.SECTORS
                mass[sector] += share
                mean[sector] = mean[sector] + share * color
                square[sector] += share * float(color.square().sum())
    total, weights = torch.zeros(3), 0.0
    for sector in range(module.SECTORS):
        color = mean[sector] / mass[sector]
        variance = max(0.0, square[sector] / mass[sector] - float(color.square().sum()))
        weight = 1 / (1 + (variance / module.VARIANCE) ** module.CHOICE)
        total, weights = total + weight * color, weights + weight
    return total / weights


@pytest.mark.parametrize("number", [0, 3])
def test_it_is_the_calmest_sectors_mean(number: int) -> None:
    image = picture()
    angles = torch.full((14, 12), math.pi * number / module.ANGLES)
    found = planes(image, angles, 1.5, torch.ones(1, 14, 12))
    for y, x in ((0, 0), (7, 6), (13, 11), (5, 2)):
        torch.testing.assert_close(
            found[:, y, x], naive(image, number, 1.5, y, x), rtol=1e-3, atol=0.05
        )


def test_between_two_angles_it_is_between_both() -> None:
    image, step = picture(), math.pi / module.ANGLES
    low, middle, high = (
        planes(image, torch.full((14, 12), turn * step), 2.0, torch.ones(1, 14, 12))
        for turn in (1, 1.25, 2)
    )
    torch.testing.assert_close(middle, torch.lerp(low, high, 0.25), rtol=1e-4, atol=1e-3)


def test_noise_goes_and_an_edge_stays() -> None:
    image = torch.full((3, 40, 40), 20.0)
    image[:, :, 20:] = 60
    grain = torch.randn(3, 40, 40, generator=torch.Generator().manual_seed(1))
    found = planes(image + grain, torch.full((40, 40), math.pi / 2), 2.5, torch.ones(1, 40, 40))
    inside = found[:, 8:-8, 8:16]
    assert float(inside.std(dim=(1, 2)).max()) < 0.4
    step = found[:, 8:-8, 20] - found[:, 8:-8, 19]
    assert float(step.min()) > 30


def test_parts_make_no_seam_and_outside_the_mask_the_image_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, angles = (
        picture(40, 30),
        9 * torch.rand(40, 30, generator=torch.Generator().manual_seed(2)),
    )
    whole = planes(image, angles, 2.5, torch.ones(1, 40, 30))
    monkeypatch.setattr(module, "FILTERED_AT_ONCE", 7)
    mask = torch.zeros(1, 40, 30)
    mask[:, 5:35, :20] = 0.5
    found = planes(image, angles, 2.5, mask)
    torch.testing.assert_close(found, torch.where(mask > 0, whole, image), rtol=1e-5, atol=1e-4)
