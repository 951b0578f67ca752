"""A stored picture as tensors at any scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harmonize.synthesis.image_ops.windows import Window

# Pixels that are turned to 32-bit numbers at once.
AREA = 1 << 20
TOP = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535, np.dtype(np.float32): 1}


@dataclass(frozen=True, eq=False)
class Raster:
    """A picture [H, W, C]: uint8, uint16 or float32; never written to.

    Parts are float32 tensors, 0 to 1.
    """

    pixels: NDArray[Any]
    device: torch.device = torch.device("cpu")

    @classmethod
    def of(cls, image: Tensor) -> Raster:
        pixels = image.detach().float().permute(1, 2, 0).contiguous().cpu().numpy()
        return cls(pixels, image.device)

    @property
    def shape(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]

    def part(self, window: Window) -> Raster:
        return Raster(window.crop_pixels(self.pixels), self.device)

    def crop(self, window: Window) -> Tensor:
        rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
        return self._tensor(self.pixels[rows, columns]).permute(2, 0, 1).contiguous()

    def pick(self, places: Tensor) -> Tensor:
        return self._tensor(self._flat.take(places.cpu().numpy(), axis=0)).T

    def patches(self, places: Tensor, size: int) -> Tensor:
        h, w = self.shape
        steps = torch.arange(size, device=places.device) - size // 2
        y = (places[:, None] // w + steps).clamp(0, h - 1)
        x = (places[:, None] % w + steps).clamp(0, w - 1)
        found = self.pick((y[:, :, None] * w + x[:, None, :]).flatten())
        return found.view(len(found), len(places), size**2).transpose(0, 1).flatten(1)

    def bands(self, most: int | None = None) -> Iterator[Tensor]:
        """Yield bands of rows, each with the next's first; `most`: about so many pixels."""
        h, w = self.shape
        rows = max(1, AREA // w)
        starts = list(range(0, h, rows))
        step = 1 if most is None else max(1, -(-h * w // max(most, 1)))
        for top in starts[::step]:
            yield self.crop(Window(top, 0, min(top + rows + 1, h), w))

    def sample(self, most: int = AREA) -> Tensor:
        h, w = self.shape
        step = max(1, round((h * w / most) ** 0.5))
        return self._tensor(self.pixels[::step, ::step]).flatten(0, 1).T

    def resized(self, shape: Sequence[int], window: Window | None = None) -> Tensor:
        """Return the picture at `shape`, or its `window` there."""
        window = window or Window(0, 0, *shape)
        if tuple(shape) == self.shape:
            return self.crop(window)
        found = torch.empty(self.pixels.shape[2], *window.shape, device=self.device)
        for here, part in self._resized(shape, window):
            here.within(window).crop(found).copy_(part)
        return found

    def at(self, shape: Sequence[int]) -> Raster:
        if tuple(shape) == self.shape:
            return self
        pixels = np.empty((*shape, self.pixels.shape[2]), np.float32)
        for here, part in self._resized(shape, Window(0, 0, *shape)):
            here.crop_pixels(pixels)[:] = part.clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        return Raster(pixels, self.device)

    def _resized(self, shape: Sequence[int], window: Window) -> Iterator[tuple[Window, Tensor]]:
        scale = max(old / new for old, new in zip(self.shape, shape, strict=True))
        side = max(8, min(256, round(AREA**0.5 / scale)))
        for tile in tiles(window.shape, side, align=1):
            here = tile.moved(window.top, window.left)
            there = support(here, self.shape, shape)
            yield here, resample(self.crop(there), there, self.shape, here, shape)

    @cached_property
    def _flat(self) -> NDArray[Any]:
        return self.pixels.reshape(-1, self.pixels.shape[2])

    def _tensor(self, pixels: NDArray[Any]) -> Tensor:
        values = pixels.astype(np.float32)
        if (top := TOP[self.pixels.dtype]) != 1:
            values /= np.float32(top)
        return torch.from_numpy(values).to(self.device)


def tiles(shape: Sequence[int], side: int, align: int = 16) -> list[Window]:
    """Return windows of about `side` pixels that cover `shape`, on multiples of `align`."""

    def cuts(length: int) -> list[tuple[int, int]]:
        count = -(-length // side)
        step = -(-length // count // align) * align if count > 1 else length
        return [(start, min(start + step, length)) for start in range(0, length, step)]

    return [
        Window(top, left, bottom, right)
        for top, bottom in cuts(shape[0])
        for left, right in cuts(shape[1])
    ]


def support(window: Window, shape: Sequence[int], target: Sequence[int]) -> Window:
    """Return what `window` at `target` needs of `shape`."""
    top, bottom = _reach(shape[0], target[0], window.top, window.bottom)
    left, right = _reach(shape[1], target[1], window.left, window.right)
    return Window(top, left, bottom, right)


def resample(
    part: Tensor, there: Window, shape: Sequence[int], window: Window, target: Sequence[int]
) -> Tensor:
    """Resize `part`, at `there`, to `window`: bicubic (a = −½), stretched where it shrinks."""
    down = _cubic_weights(shape[0], target[0], window.top, window.bottom, there.top, there.bottom)
    across = _cubic_weights(shape[1], target[1], window.left, window.right, there.left, there.right)
    return down.to(part) @ part @ across.to(part).T


def _reach(size: int, target: int, first: int, last: int) -> tuple[int, int]:
    scale = size / target
    stretch = 2 * max(scale, 1.0)
    low = int(max((first + 0.5) * scale - stretch + 0.5, 0))
    high = int(min((last - 0.5) * scale + stretch + 0.5, size))
    return low, high


@lru_cache(maxsize=128)
def _cubic_weights(size: int, target: int, first: int, last: int, start: int, end: int) -> Tensor:
    scale = size / target
    stretch = max(scale, 1.0)
    centers = ((torch.arange(first, last, dtype=torch.float64) + 0.5) * scale)[:, None]
    places = torch.arange(start, end, dtype=torch.float64)
    low = (centers - 2 * stretch + 0.5).clamp(0, size).floor()
    high = (centers + 2 * stretch + 0.5).clamp(0, size).floor()
    weights = _cubic(((places + 0.5 - centers) / stretch).abs())
    weights = weights * ((places >= low) & (places < high))
    return (weights / weights.sum(1, keepdim=True)).float()


def _cubic(x: Tensor) -> Tensor:
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
