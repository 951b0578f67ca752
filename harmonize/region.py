"""Which window of the painting is worked on, and the masks of what may change."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harmonize import filters

# Activations of relu5_1 lie on a grid of 16 pixels; windows begin and end on it.
ALIGN = 16


@dataclass(frozen=True)
class Window:
    """A rectangle in pixels: rows `top` to `bottom`, columns `left` to `right` (exclusive)."""

    top: int
    left: int
    bottom: int
    right: int

    def crop(self, image: Tensor) -> Tensor:
        """The part of `image` [..., H, W] inside the window (a view)."""
        return image[..., self.top : self.bottom, self.left : self.right]

    def paste(self, image: Tensor, part: Tensor) -> Tensor:
        """A copy of `image` [..., H, W] with `part` in the window's place."""
        result = image.clone()
        self.crop(result).copy_(part)
        return result


def canvas(mask: Tensor) -> Window:
    """The whole of `mask` [H, W]."""
    return Window(0, 0, *mask.shape)


def around(mask: Tensor, margin: int) -> Window:
    """The box of what is above 0 in `mask` [H, W], plus `margin` pixels, aligned, inside.

    It begins and ends on multiples of 16 (or the canvas's end), so that its features are in
    phase with the painting's. `margin` is what the deepest tap
    should see of the painting around the patch. Raises ValueError for a mask that is 0 everywhere.
    """
    ys, xs = torch.nonzero(mask > 0, as_tuple=True)
    if len(ys) == 0:
        raise ValueError("the mask is empty")
    top, bottom = _span(int(ys.min()), int(ys.max()) + 1, margin, mask.shape[0])
    left, right = _span(int(xs.min()), int(xs.max()) + 1, margin, mask.shape[1])
    return Window(top, left, bottom, right)


def _span(first: int, last: int, margin: int, limit: int) -> tuple[int, int]:
    low = max(first - margin, 0) // ALIGN * ALIGN
    high = -(-min(last + margin, limit) // ALIGN) * ALIGN
    return low, min(high, limit)


def loose(tight: Tensor, sigma: float) -> Tensor:
    """The loose mask [H, W] of the `tight` one: blurred by a Gaussian, above 0.1, 0 or 1.

    `sigma` in pixels; the authors' kernel is 35 × 35 with σ = 35/3 at 700 pixels.
    """
    half = max(1, int(1.5 * sigma))
    return (filters.gaussian(tight[None], sigma, 2 * half + 1)[0] > 0.1).to(tight.dtype)


def paste_mask(tight: Tensor, loose_mask: Tensor, sigma: float) -> Tensor:
    """How much of the result shows, [H, W], 0 to 1: all of it inside `tight`, fading outside it.

    Twice the Gaussian blur of `tight` (σ `sigma` pixels, 7 × 7 at σ = 3; 0: no blur), at most 1,
    and 0 outside `loose_mask`. The authors paste by the blur itself, which makes thin parts
    transparent.
    """
    if sigma < 1e-3:  # a blur that moves nothing
        return tight * loose_mask
    half = max(1, round(sigma))
    blurred = filters.gaussian(tight[None], sigma, 2 * half + 1)[0]
    return torch.maximum(tight, (2 * blurred).clamp_max(1)) * loose_mask
