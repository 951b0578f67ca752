"""The painting with its element, and windows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harmonize.synthesis.image_ops import windows
from harmonize.synthesis.image_ops.tiled_image import Raster, resample, support
from harmonize.synthesis.image_ops.windows import Window

SHORTEST_SIDE = 16  # pixels: the shortest side of a picture at work


@dataclass(frozen=True)
class View:
    """A canvas at one scale: all of the painting, a window of the rest."""

    painting: Raster
    window: Window
    frame: Tensor  # the painting in the window
    composite: Tensor
    loose: Tensor  # 1 where the painting may change
    tight: Tensor  # 1 where the element is

    @property
    def shape(self) -> tuple[int, int]:
        return self.painting.shape


@dataclass(frozen=True)
class Canvas:
    """A painting and what is pasted on it, full size."""

    painting: Raster
    composite: Raster
    loose: NDArray[np.uint8]
    tight: Raster
    corner: tuple[int, int] = (0, 0)  # row and column of the whole where a part begins

    @property
    def shape(self) -> tuple[int, int]:
        return self.painting.shape

    @cached_property
    def box(self) -> Window:
        return windows.box(self.loose)

    def part(self, window: Window) -> Canvas:
        return Canvas(
            self.painting.part(window),
            self.composite.part(window),
            window.crop_pixels(self.loose),
            self.tight.part(window),
            (window.top, window.left),
        )

    def view(self, shape: Sequence[int], margin: int | None) -> View:
        """Return the view at `shape`, `margin` pixels around the loose mask; None: all."""
        near = self._near(shape)
        loose = self._loose(shape, near)
        if margin is None:
            window = Window(0, 0, *shape)
        else:
            box = windows.box(loose).moved(near.top, near.left)
            window = box.grown(margin).aligned(windows.ALIGN, shape)
        mask = np.zeros(window.shape, np.float32)
        near.within(window).crop_pixels(mask)[:] = window.within(near).crop_pixels(loose)
        painting = self.painting.at(shape)
        return View(
            painting,
            window,
            painting.crop(window),
            self.composite.resized(shape, window).clamp(0, 1),
            torch.from_numpy(mask).to(self.painting.device),
            self.tight.resized(shape, window)[0].clamp(0, 1),
        )

    def _near(self, shape: Sequence[int]) -> Window:
        box, (h, w) = self.box, self.shape
        return Window(
            box.top * shape[0] // h,
            box.left * shape[1] // w,
            -(-box.bottom * shape[0] // h),
            -(-box.right * shape[1] // w),
        )

    def _loose(self, shape: Sequence[int], window: Window) -> NDArray[np.bool_]:
        h, w = self.shape
        rows = np.stack(
            [
                self.loose[y * h // shape[0] : -(-(y + 1) * h // shape[0])].any(0)
                for y in range(window.top, window.bottom)
            ]
        )
        columns = [
            rows[:, x * w // shape[1] : -(-(x + 1) * w // shape[1])].any(1)
            for x in range(window.left, window.right)
        ]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class StrokePlaces:
    """Pixels' positions in the window and places in the painting."""

    positions: Tensor
    places: Tensor


@dataclass(frozen=True)
class Painted:
    """A picture: `image` in the view's window, the painting outside."""

    view: View
    image: Tensor
    strokes: StrokePlaces | None = None

    @classmethod
    def on(cls, view: View, image: Tensor) -> Painted:
        return cls(view, torch.lerp(view.frame, image.detach().clamp(0, 1), view.loose))

    def seen(self, view: View) -> Tensor:
        mine = self.view
        if (mine.shape, mine.window) == (view.shape, view.window):
            return self.image
        there = support(view.window, mine.shape, view.shape)
        around = mine.painting.crop(there)
        held = mine.window.within(there)
        held.crop(around).copy_(there.within(mine.window).crop(self.image))
        if mine.shape == view.shape:
            return view.window.moved(-there.top, -there.left).crop(around)
        return resample(around, there, mine.shape, view.window, view.shape).clamp(0, 1)


def scaled(shape: Sequence[int], scale: float) -> tuple[int, int]:
    """Return `shape` times `scale`, at least `SHORTEST_SIDE`."""
    h, w = (max(SHORTEST_SIDE, round(side * scale)) for side in shape)
    return h, w
