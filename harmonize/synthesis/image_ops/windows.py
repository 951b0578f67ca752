"""Which window of the painting is worked on, and the masks of what may change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from harmonize.synthesis.image_ops import filters

# Activations of relu5_1 lie on a grid of 16 pixels; windows begin and end on it.
ALIGN = 16


@dataclass(frozen=True)
class Window:
    """A rectangle in pixels: rows `top` to `bottom`, columns `left` to `right` (exclusive)."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    def crop(self, image: Tensor) -> Tensor:
        """The part of `image` [..., H, W] inside the window (a view)."""
        return image[..., self.top : self.bottom, self.left : self.right]

    def crop_pixels(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The part of `pixels` [H, W, ...] inside the window (a view)."""
        return pixels[self.top : self.bottom, self.left : self.right]

    def moved(self, down: int, right: int) -> Window:
        """This window so many pixels further down and to the right."""
        return Window(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def scaled(self, factor: int) -> Window:
        """This window in cells as a window in pixels, `factor` of them a cell."""
        return Window(*(factor * edge for edge in (self.top, self.left, self.bottom, self.right)))

    def grown(self, margin: int) -> Window:
        """This window with `margin` pixels more on every side."""
        return Window(
            self.top - margin, self.left - margin, self.bottom + margin, self.right + margin
        )

    def aligned(self, step: int, shape: Sequence[int]) -> Window:
        """The smallest window around this one, within `shape` (h, w), on multiples of `step`.

        It may end with the picture instead.
        """
        top, bottom = _span(self.top, self.bottom, step, shape[0])
        left, right = _span(self.left, self.right, step, shape[1])
        return Window(top, left, bottom, right)

    def within(self, other: Window) -> Window:
        """The part of this window that lies in `other`, in pixels of `other`."""
        return Window(
            max(self.top - other.top, 0),
            max(self.left - other.left, 0),
            min(self.bottom, other.bottom) - other.top,
            min(self.right, other.right) - other.left,
        )

    def paste(self, image: Tensor, part: Tensor) -> Tensor:
        """A copy of `image` [..., H, W] with `part` in the window's place."""
        result = image.clone()
        self.crop(result).copy_(part)
        return result


def box(mask: NDArray[Any]) -> Window:
    """The box of what is above 0 in `mask` [H, W]. Raises ValueError if nothing is."""
    rows, columns = (np.flatnonzero(np.any(mask, axis)) for axis in (1, 0))
    if len(rows) == 0:
        raise ValueError("the mask is empty")
    return Window(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def centered(inner: Window, side: int, shape: Sequence[int]) -> Window:
    """The window of `side` pixels around the middle of `inner`, moved and cut to fit `shape`."""
    edges = []
    for first, last, limit in (
        (inner.top, inner.bottom, shape[0]),
        (inner.left, inner.right, shape[1]),
    ):
        length = min(max(side, last - first), limit)
        low = min(max((first + last - length) // 2, 0), limit - length)
        edges.append((low, low + length))
    return Window(edges[0][0], edges[1][0], edges[0][1], edges[1][1])


def around(mask: NDArray[Any], margin: int) -> Window:
    """The box of what is above 0 in `mask` [H, W], plus `margin` pixels, aligned, inside.

    It begins and ends on multiples of 16 (or the canvas's end), so that its features are in
    phase with the painting's. `margin` is what the deepest tap
    should see of the painting around the patch. Raises ValueError for a mask that is 0 everywhere.
    """
    return box(mask).grown(margin).aligned(ALIGN, mask.shape)


def _span(first: int, last: int, step: int, limit: int) -> tuple[int, int]:
    low = max(first, 0) // step * step
    high = -(-min(last, limit) // step) * step
    return low, min(high, limit)


def loose(tight: Tensor, sigma: float) -> Tensor:
    """The loose mask [H, W] of the `tight` one: 1 where its Gaussian blur is above 0.1, else 0.

    `sigma` in pixels; the authors' kernel is 35 × 35 with σ = 35/3 at 700 pixels. What the blur
    all but wipes out, thin lines and specks, is in it too, with a quarter of `sigma` around: our
    departure from the paper, where it would not show.
    """
    half = max(1, int(1.5 * sigma))
    wide = filters.gaussian(tight[None], sigma, 2 * half + 1)[0] > 0.1
    near = max(1, round(sigma / 4))
    least = min(0.1, float(tight.max()) / 2)
    core = (tight > least).to(tight.dtype)[None]
    for kernel in ((2 * near + 1, 1), (1, 2 * near + 1)):
        core = F.max_pool2d(core, kernel, stride=1, padding=(kernel[0] // 2, kernel[1] // 2))
    thin = core[0] > 0
    return (wide | thin).to(tight.dtype)


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
