"""Rectangles of pixels; the paste's mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harmonize.synthesis.image_ops import filters

# Activations of relu5_1 lie on a grid of 16 pixels; windows begin and end on it.
ALIGN = 16


@dataclass(frozen=True)
class Window:
    """Rows `top` to `bottom`, columns `left` to `right` (exclusive)."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        return self.shape[0] * self.shape[1]

    def crop(self, image: Tensor) -> Tensor:
        return image[..., self.top : self.bottom, self.left : self.right]

    def crop_pixels(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return pixels[self.top : self.bottom, self.left : self.right]

    def moved(self, down: int, right: int) -> Window:
        return Window(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def scaled(self, factor: int) -> Window:
        return Window(*(factor * edge for edge in (self.top, self.left, self.bottom, self.right)))

    def grown(self, margin: int) -> Window:
        return Window(
            self.top - margin, self.left - margin, self.bottom + margin, self.right + margin
        )

    def aligned(self, step: int, shape: Sequence[int]) -> Window:
        """Grow to multiples of `step`, cut to `shape`."""
        top, bottom = _span(self.top, self.bottom, step, shape[0])
        left, right = _span(self.left, self.right, step, shape[1])
        return Window(top, left, bottom, right)

    def within(self, other: Window) -> Window:
        """Return the part in `other`, from its corner."""
        return Window(
            max(self.top - other.top, 0),
            max(self.left - other.left, 0),
            min(self.bottom, other.bottom) - other.top,
            min(self.right, other.right) - other.left,
        )


def box(mask: NDArray[Any]) -> Window:
    """Return the box of what is above 0; ValueError: nothing."""
    rows, columns = (np.flatnonzero(np.any(mask, axis)) for axis in (1, 0))
    if len(rows) == 0:
        raise ValueError("the mask is empty")
    return Window(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def centered(inner: Window, side: int, shape: Sequence[int]) -> Window:
    """Return `side` pixels or more around `inner`, moved and cut to fit."""
    edges = []
    for first, last, limit in (
        (inner.top, inner.bottom, shape[0]),
        (inner.left, inner.right, shape[1]),
    ):
        length = min(max(side, last - first), limit)
        low = min(max((first + last - length) // 2, 0), limit - length)
        edges.append((low, low + length))
    return Window(edges[0][0], edges[1][0], edges[0][1], edges[1][1])


def _span(first: int, last: int, step: int, limit: int) -> tuple[int, int]:
    low = max(first, 0) // step * step
    high = -(-min(last, limit) // step) * step
    return low, min(high, limit)


def paste_mask(tight: Tensor, loose_mask: Tensor, sigma: float) -> Tensor:
    """Return how much of the result shows: 2 · blur(`tight`), at most 1, 0 outside `loose_mask`."""
    if sigma < 1e-3:  # a blur that moves nothing
        return tight * loose_mask
    half = max(1, round(sigma))
    # The authors' single blur makes thin parts transparent.
    blurred = filters.gaussian(tight[None], sigma, 2 * half + 1)[0]
    return torch.maximum(tight, (2 * blurred).clamp_max(1)) * loose_mask
