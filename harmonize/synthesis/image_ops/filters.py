"""Filters and color spaces."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import torch
import torch.nn.functional as F
from kornia.color import lab_to_rgb, rgb_to_lab
from kornia.filters import guided_blur
from torch import Tensor

# sRGB to an orthonormal luma and two opponent channels: gray has no chroma, distances stay.
OPPONENT = (
    (3**-0.5, 3**-0.5, 3**-0.5),
    (2**-0.5, 0.0, -(2**-0.5)),
    (6**-0.5, -2 * 6**-0.5, 6**-0.5),
)


def to_opponent(image: Tensor) -> Tensor:
    """Return luma (0 to √3) and two chroma channels (about ±0.8)."""
    return torch.einsum("ij,jhw->ihw", image.new_tensor(OPPONENT), image)


def from_opponent(image: Tensor) -> Tensor:
    """Invert `to_opponent`; values may leave 0 to 1."""
    return torch.einsum("ji,jhw->ihw", image.new_tensor(OPPONENT), image)


def opponent_span(colors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the limits of opponent chroma, but for 0.1 % either end."""
    chroma = to_opponent(colors[..., None])[1:].flatten(1)
    edge = chroma.shape[1] // 1000
    low, high = (chroma.kthvalue(rank).values for rank in (1 + edge, chroma.shape[1] - edge))
    return low[:, None, None], high[:, None, None]


def limit_chroma(image: Tensor, span: tuple[Tensor, Tensor]) -> Tensor:
    """Keep opponent chroma within `span`."""
    luma, chroma = to_opponent(image).split((1, 2))
    return from_opponent(torch.cat((luma, chroma.clamp(*span)))).clamp(0, 1)


def to_lab(image: Tensor) -> Tensor:
    """Return CIE Lab (D65; L 0 to 100, a and b about ±100)."""
    return rgb_to_lab(image[None])[0]


def from_lab(image: Tensor) -> Tensor:
    """Invert `to_lab`, clipped to sRGB."""
    return lab_to_rgb(image[None], clip=True)[0]


def gaussian(image: Tensor, sigma: float, size: int | None = None) -> Tensor:
    """Blur by `sigma` pixels, borders repeated; `size` is the kernel's odd side."""
    side = size or 2 * ceil(3 * sigma) + 1
    half = side // 2
    # Shifted rows and columns are added up: on a processor sooner than a library's convolution.
    steps = torch.arange(-half, half + 1, dtype=image.dtype)
    weights = torch.exp(-steps.square() / (2 * steps.new_tensor(sigma).square()))
    found = F.pad(image[None], (half,) * 4, mode="replicate")[0]
    for axis in (2, 1):
        padded, length = found, image.shape[axis]
        found = torch.zeros_like(padded.narrow(axis, 0, length))
        for first, weight in enumerate((weights / weights.sum()).tolist()):
            found.add_(padded.narrow(axis, first, length), alpha=weight)
    return found


def gaussian_inside(image: Tensor, mask: Tensor, sigma: float) -> Tensor:
    """Blur as if nothing were outside `mask`."""
    return gaussian(image * mask, sigma) / gaussian(mask, sigma).clamp_min(1e-3)


def guided(image: Tensor, guide: Tensor, radius: int, eps: float) -> Tensor:
    """Smooth along the edges of `guide` (He, Sun and Tang, 2010; sampled: He and Sun, 2015).

    A variance below `eps` counts as flat.
    """
    short = min(image.shape[1:])
    radius = min(radius, short - 1)
    step = max(1, min(radius, short // 4) // 4)
    return guided_blur(guide[None], image[None], 2 * radius + 1, eps, subsample=step)[0]


def resize(image: Tensor, shape: Sequence[int]) -> Tensor:
    """Resize bicubically, antialiased where it shrinks."""
    if tuple(image.shape[1:]) == tuple(shape):
        return image
    return F.interpolate(
        image[None], size=tuple(shape), mode="bicubic", antialias=True, align_corners=False
    )[0]
