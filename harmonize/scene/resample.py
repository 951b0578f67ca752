"""Resample what shows of an element."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonize.images.pixels import Pixels, Size, largest_value
from harmonize.scene.layout import Bounds, Layout, size_of, turned
from harmonize.scene.mask import Mask

Plane = NDArray[np.float32]

TILE = 1024  # pixels: what is turned at a time
SUPPORT = 3  # pixels around what is turned that take part


def fitted(mask: Mask, layout: Layout) -> Mask:
    """Return a mask [h, w] in the layout's rows and columns."""
    mask = layout.oriented(mask)
    if layout.angle:
        return _turned_mask(mask, layout)
    if size_of(mask) == layout.size:
        return mask[_shown_part(layout)]
    image = Image.fromarray(np.ascontiguousarray(mask))
    box = _box_of(layout, size_of(mask))
    height, width = layout.shape
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box=box))


def fitted_element(colors: Pixels, alpha: Mask, layout: Layout) -> tuple[Pixels, Mask]:
    """Return colors [h, w, 3] and alpha [h, w] there."""
    colors, alpha = layout.oriented(colors), layout.oriented(alpha)
    if layout.angle:
        return _turned_element(colors, alpha, layout)
    if size_of(alpha) == layout.size:
        return colors[_shown_part(layout)], alpha[_shown_part(layout)]
    box = _box_of(layout, size_of(alpha))
    size = layout.shape[::-1]
    weight = _lanczos(alpha.astype(np.float32), size, box)
    resized: Pixels = np.empty((*layout.shape, 3), colors.dtype)
    for channel in range(3):
        shown = _lanczos(np.multiply(colors[..., channel], alpha, dtype=np.float32), size, box)
        shown /= np.maximum(weight, 1)
        resized[..., channel] = np.clip(np.rint(shown), 0, largest_value(colors))
    return resized, _rounded(weight)


def on_canvas(mask: Mask, layout: Layout, canvas: Size) -> Mask:
    """Put a mask into a black canvas."""
    whole = np.zeros(canvas[::-1], np.uint8)
    whole[layout.rows, layout.columns] = mask
    return whole


# --- upright --------------------------------------------------------------------------------------


def _box_of(layout: Layout, source: Size) -> Bounds:
    x, y = source[0] / layout.size[0], source[1] / layout.size[1]
    left, up = layout.corner
    return (
        (layout.columns.start - left) * x,
        (layout.rows.start - up) * y,
        (layout.columns.stop - left) * x,
        (layout.rows.stop - up) * y,
    )


def _shown_part(layout: Layout) -> tuple[slice, slice]:
    left, up = map(round, layout.corner)
    return (
        slice(layout.rows.start - up, layout.rows.stop - up),
        slice(layout.columns.start - left, layout.columns.stop - left),
    )


def _lanczos(plane: Plane, size: Size, box: Bounds) -> Plane:
    return np.array(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS, box=box))


def _rounded(plane: Plane) -> Mask:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


# --- turned ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tile:
    layout: Layout
    rows: slice
    columns: slice
    source: tuple[int, int, int, int]  # box of the resized element; beyond it all is 0

    def part(self, element: Size) -> tuple[slice, slice, Bounds]:
        ratio = [own / size for own, size in zip(element, self.layout.size, strict=True)]
        left, up, right, down = self._held()
        box = (left * ratio[0], up * ratio[1], right * ratio[0], down * ratio[1])
        more = [math.ceil(3 * max(1, r)) + 1 for r in ratio]  # what Lanczos looks at around it
        first = [max(math.floor(box[axis]) - more[axis], 0) for axis in (0, 1)]
        last = [min(math.ceil(box[axis + 2]) + more[axis], element[axis]) for axis in (0, 1)]
        inner = (box[0] - first[0], box[1] - first[1], box[2] - first[0], box[3] - first[1])
        return slice(first[1], last[1]), slice(first[0], last[0]), inner

    def turned(self, plane: Plane, box: Bounds) -> Plane:
        left, up, right, down = self._held()
        sized = _lanczos(plane, (right - left, down - up), box)
        x, y, end_x, end_y = self.source
        sized = np.pad(sized, ((up - y, end_y - down), (left - x, end_x - right)))
        shift = np.array([self.columns.start, self.rows.start]) - self._corner()
        c, s = (f(math.radians(self.layout.angle)) for f in (math.cos, math.sin))
        back = np.array([[c, -s], [s, c]])
        moved = back @ shift - (x, y)
        size = (self.columns.stop - self.columns.start, self.rows.stop - self.rows.start)
        matrix = (*back[0], moved[0], *back[1], moved[1])
        image = Image.fromarray(sized)
        return np.asarray(
            image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
        )

    def _held(self) -> tuple[int, int, int, int]:
        x, y, end_x, end_y = self.source
        width, height = self.layout.size
        return max(x, 0), max(y, 0), min(end_x, width), min(end_y, height)

    def _corner(self) -> NDArray[np.float64]:
        layout = self.layout
        x, y = layout.corner
        return np.array([x - layout.columns.start, y - layout.rows.start], np.float64)


def _tiles(layout: Layout) -> Iterator[_Tile]:
    height, width = layout.shape
    for top_row in range(0, height, TILE):
        for first in range(0, width, TILE):
            rows = slice(top_row, min(top_row + TILE, height))
            columns = slice(first, min(first + TILE, width))
            ends = [[x, y] for x in _start_stop(columns) for y in _start_stop(rows)]
            on_painting = np.array(ends, np.float64)
            on_painting += (layout.columns.start, layout.rows.start)
            back = turned(on_painting - layout.corner, -layout.angle)
            (x, y), (end_x, end_y) = np.floor(back.min(0)), np.ceil(back.max(0))
            source = (
                max(int(x), 0) - SUPPORT,
                max(int(y), 0) - SUPPORT,
                min(int(end_x), layout.size[0]) + SUPPORT,
                min(int(end_y), layout.size[1]) + SUPPORT,
            )
            tile = _Tile(layout, rows, columns, source)
            left, up, right, down = tile._held()
            if right > left and down > up:
                yield tile


def _start_stop(span: slice) -> tuple[int, int]:
    return span.start, span.stop


def _turned_mask(mask: Mask, layout: Layout) -> Mask:
    found = np.zeros(layout.shape, np.uint8)
    for tile in _tiles(layout):
        rows, columns, box = tile.part(size_of(mask))
        plane = tile.turned(mask[rows, columns].astype(np.float32), box)
        found[tile.rows, tile.columns] = _rounded(plane)
    return found


def _turned_element(colors: Pixels, alpha: Mask, layout: Layout) -> tuple[Pixels, Mask]:
    found: Pixels = np.zeros((*layout.shape, 3), colors.dtype)
    shown = np.zeros(layout.shape, np.uint8)
    for tile in _tiles(layout):
        rows, columns, box = tile.part(size_of(alpha))
        shares = alpha[rows, columns]
        if not shares.any():
            continue
        weight = tile.turned(shares.astype(np.float32), box)
        shown[tile.rows, tile.columns] = _rounded(weight)
        for channel in range(3):
            weighed = np.multiply(colors[rows, columns, channel], shares, dtype=np.float32)
            plane = tile.turned(weighed, box) / np.maximum(weight, 1)
            plane = np.clip(np.rint(plane), 0, largest_value(colors))
            found[tile.rows, tile.columns, channel] = plane
    return found, shown
