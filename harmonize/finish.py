"""After the last pass: cleaner chroma, the painting's own palette and grain, the soft paste.

Luan et al. (2018), section 5 and the authors' released post-processing.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize import filters, matching
from harmonize.region import Window

# Places of the painting that a patch is compared with.
CANDIDATES = 1 << 16


def clean_chroma(image: Tensor, guide: Tensor, *, radius: int, eps: float) -> Tensor:
    """`image` [3, H, W] with its Lab chroma smoothed along the edges of `guide` [3, H, W].

    Removes the color speckle of backpropagated convolutions; `guide` is the composite.
    """
    lab = filters.to_lab(image)
    chroma = filters.guided(lab[1:] / 100, guide, radius, eps) * 100
    return filters.from_lab(torch.cat((lab[:1], chroma)))


def patch_field(
    image: Tensor, painting: Tensor, mask: Tensor, *, size: int, stride: int
) -> tuple[Tensor, Tensor]:
    """Nearest `size` × `size` patches of `painting` [3, H, W] for `image` [3, h, w], by color.

    Asked for on every `stride`-th row and column under `mask` [h, w]. Looked for first on every
    n-th of the painting's, about `CANDIDATES` in all, so that the wait is the patch's and not the
    painting's; then around the best. Returns (positions, field), flat indices into the two
    pictures.
    """
    h, w = mask.shape
    asked = torch.zeros_like(mask, dtype=torch.bool)
    asked[::stride, ::stride] = mask[::stride, ::stride] > 0
    positions = torch.nonzero(asked.flatten())[:, 0]
    big_h, big_w = painting.shape[1:]
    half = size // 2
    step = math.ceil((big_h * big_w / CANDIDATES) ** 0.5)
    first = -(-half // step) * step
    up, left = min(first, (big_h - 1) // 2), min(first, (big_w - 1) // 2)
    ys = torch.arange(up, max(big_h - half, up + 1), step, device=painting.device)
    xs = torch.arange(left, max(big_w - half, left + 1), step, device=painting.device)
    candidates = (ys[:, None] * big_w + xs).flatten()
    return positions, matching.nearest_patches(image, painting, positions, candidates, size=size)


def patch_vote(
    image: Tensor,
    painting: Tensor,
    mask: Tensor,
    *,
    size: int,
    stride: int = 2,
    detail_sigma: float = 1.0,
) -> Tensor:
    """`image` [3, h, w] rebuilt under `mask` from patches of `painting`, fine detail added back.

    Overlapping nearest patches are averaged to a base; the result is base + (luma − its Gaussian):
    the palette is the painting's, the finest lights and darks are the picture's own. The authors
    add the detail of all three channels, and with it the color speckle of the optimization.
    """
    positions, field = patch_field(image, painting, mask, size=size, stride=stride)
    base, mass = matching.vote(
        painting,
        field,
        positions,
        mask.shape,
        width=mask.shape[1],
        reference_width=painting.shape[2],
        stride=1,
        size=size,
    )
    luma = image.mean(0, keepdim=True)
    detail = luma - filters.gaussian(luma, detail_sigma, 7)
    return torch.where(mass > 0, (base + detail).clamp(0, 1), image)


def enlarge(
    picture: Tensor,
    painting: Tensor,
    original: Tensor,
    mask: Tensor,
    window: Window,
    *,
    amount: float,
    size: int = 7,
    stride: int = 2,
) -> Tensor:
    """`picture` [3, h, w] at the size of `original`, inside `window` of it, with brush detail.

    `painting` is `original` [3, H, W] shrunk to the picture's size, `mask` [h, w] where the
    picture differs from it. What shrinking took from the painting, `original` less the enlarged
    `painting`, is brought back under the mask times `amount` from the places whose `size` ×
    `size` patches are nearest. Time and memory grow with the window.
    """
    h, w = mask.shape
    big_h, big_w = original.shape[1:]
    rows = torch.arange(window.top, window.bottom, device=mask.device)
    columns = torch.arange(window.left, window.right, device=mask.device)
    # Pixel centers: native p ↔ working (p + ½) · h/H − ½.
    y = ((rows + 0.5) * h / big_h - 0.5)[:, None].expand(-1, len(columns))
    x = ((columns + 0.5) * w / big_w - 0.5)[None].expand(len(rows), -1)
    result = _sample(picture, y, x)
    if amount == 0 or not bool((mask > 0).any()):
        return result.clamp(0, 1)
    positions, field = patch_field(picture, painting, mask, size=size, stride=stride)
    cells = (-(-h // stride), -(-w // stride))
    cell = positions // w // stride * cells[1] + positions % w // stride
    parent = matching.nearest_known(cell, cells)
    move_y = (field // w - positions // w).float()
    move_x = (field % w - positions % w).float()
    total = torch.zeros_like(result)
    corners: list[tuple[Tensor, Tensor]] = []
    base_y, base_x = (y / stride).floor(), (x / stride).floor()
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - (y / stride - base_y - dy).abs()) * (1 - (x / stride - base_x - dx).abs())
            cy = (base_y + dy).clamp(0, cells[0] - 1).long()
            cx = (base_x + dx).clamp(0, cells[1] - 1).long()
            origin = parent[cy * cells[1] + cx]
            there_y = (y + move_y[origin]).clamp(0, h - 1)
            there_x = (x + move_x[origin]).clamp(0, w - 1)
            native_y = ((there_y + 0.5) * big_h / h - 0.5).round().clamp(0, big_h - 1)
            native_x = ((there_x + 0.5) * big_w / w - 0.5).round().clamp(0, big_w - 1)
            sharp = original[:, native_y.long(), native_x.long()]
            soft = _sample(
                painting,
                (native_y + 0.5) * h / big_h - 0.5,
                (native_x + 0.5) * w / big_w - 0.5,
            )
            total += weight * (sharp - soft)
            corners.append((weight, native_y * big_w + native_x))
    # An average of unlike details is weaker than any of them: divided by the root of the summed
    # products of the weights of corners that are the same place, it is as strong.
    power = torch.zeros_like(y)
    for one, here in corners:
        for other, there in corners:
            power += one * other * (here == there)
    inside = _sample(mask[None], y, x)[0]
    detail = total / power.sqrt().clamp_min(1e-6)
    return (result + amount * inside * detail).clamp(0, 1)


def _sample(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """`image` [C, h, w] at fractional pixel coordinates [H, W], bicubic."""
    h, w = image.shape[1:]
    grid = torch.stack(((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), dim=-1)
    return F.grid_sample(
        image[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False
    )[0]
