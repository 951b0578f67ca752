"""A placement → pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmonize.errors import InputError
from harmonize.images.pixels import Size
from harmonize.scene.mask import FAINT, Mask
from harmonize.scene.placement import CENTER, Placement, in_pixels

Bounds = tuple[float, float, float, float]  # left, top, right, bottom
Points = NDArray[np.float64]  # [n, 2]: x and y

MOST = 16  # times the painting's pixels that a placed element may have, mostly outside
DEFAULT_WIDTH, DEFAULT_HEIGHT = 1 / 3, 2 / 3  # of the painting: what an unplaced element fits in
BLUR_REACH = 2  # pixels that turning may blur a contour by


@dataclass(frozen=True)
class Layout:
    """Where an element lies: mirrored, turned by quarters, resized, turned by `angle`, moved."""

    rows: slice  # of the painting, that it may cover, as columns
    columns: slice
    flip: str | None
    quarters: int  # turns by 90 degrees, counter-clockwise, 0 to 3
    size: Size  # after these, with the transparent margin
    angle: float  # degrees left to turn around the top left corner, -45 to 45
    corner: tuple[float, float]  # that corner on the painting; whole at angle 0
    stretch: tuple[float, float]  # x and y factor from the element's pixels to the painting's
    visible: float  # share of the visible box on the painting

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def oriented(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if self.flip:
            pixels = np.flip(pixels, 1 if self.flip == "horizontal" else 0)
        return np.rot90(pixels, self.quarters)


def lay_out(alpha: Mask, canvas: Size, placement: Placement) -> Layout:
    """Place an element of this alpha [h, w]; InputError: it lies outside or is huge."""
    element = size_of(alpha)
    if element == canvas and placement.is_default:
        size = (canvas[0], canvas[1])
        return Layout(slice(0, size[1]), slice(0, size[0]), None, 0, size, 0.0, (0, 0), (1, 1), 1.0)
    quarters, angle = _turns(placement.rotate)
    points = outline(alpha) if placement.box == "visible" else _corners(element)
    points = _mirrored(points, element, placement.flip)
    stretch = _stretch(points, canvas, placement)
    size = _stretched(element, stretch)
    points, size = _turned_by_quarters(points * (np.array(size) / element), size, quarters)
    points = turned(points, angle)
    box = _bounds(points)
    _check_area(box, canvas)
    x, y = _top_left(box, canvas, placement)
    corner: tuple[float, float] = (x - box[0], y - box[1])
    if not angle:
        corner = (_whole(corner[0]), _whole(corner[1]))
    shown = _overlap((x, y, x + box[2] - box[0], y + box[3] - box[1]), canvas)
    whole = _bounds(turned(_corners(size), angle))
    spans = [
        _span_within(
            start + corner[axis], end + corner[axis], canvas[axis], BLUR_REACH if angle else 0
        )
        for axis, (start, end) in enumerate(((whole[0], whole[2]), (whole[1], whole[3])))
    ]
    return Layout(spans[1], spans[0], placement.flip, quarters, size, angle, corner, stretch, shown)


def outline(alpha: Mask) -> Points:
    """Return each row's outermost shown corners."""
    shown = alpha > FAINT
    rows = np.flatnonzero(shown.any(1))
    left = shown[rows].argmax(1)
    right = alpha.shape[1] - shown[rows, ::-1].argmax(1)
    return np.concatenate(
        [np.stack([x, y], 1) for x in (left, right) for y in (rows, rows + 1)]
    ).astype(np.float64)


def turned(points: Points, degrees: float) -> Points:
    """Turn points counter-clockwise around 0, 0; y points down."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    found: Points = points @ np.array([[c, -s], [s, c]])
    return found


def size_of(mask: Mask) -> Size:
    """Return a mask's width and height."""
    height, width = mask.shape
    return width, height


def show_size(size: Size) -> str:
    """Return a size for messages."""
    return f"{size[0]} x {size[1]}"


# --- size and turn --------------------------------------------------------------------------------


def _turns(degrees: float) -> tuple[int, float]:
    quarters = round(degrees / 90)
    return quarters % 4, degrees - 90 * quarters


def _corners(size: Size) -> Points:
    width, height = size
    return np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)


def _mirrored(points: Points, size: Size, flip: str | None) -> Points:
    if flip is None:
        return points
    axis = 0 if flip == "horizontal" else 1
    mirrored = points.copy()
    mirrored[:, axis] = size[axis] - points[:, axis]
    return mirrored


def _turned_by_quarters(points: Points, size: Size, quarters: int) -> tuple[Points, Size]:
    for _ in range(quarters):
        points = np.stack([points[:, 1], size[0] - points[:, 0]], 1)
        size = size[::-1]
    return points, size


def _stretch(points: Points, canvas: Size, placement: Placement) -> tuple[float, float]:
    box = _bounds(points)
    wide, high = box[2] - box[0], box[3] - box[1]
    if placement.scale is not None:
        return placement.scale, placement.scale
    width = None if placement.width is None else in_pixels(placement.width, canvas[0])
    height = None if placement.height is None else in_pixels(placement.height, canvas[1])
    if width is None and height is None:
        if isinstance(placement.at, tuple) or placement.box == "whole":
            return 1.0, 1.0
        fit = min(canvas[0] * DEFAULT_WIDTH / wide, canvas[1] * DEFAULT_HEIGHT / high)
        return fit, fit
    x = (width or 0) / wide or (height or 0) / high
    y = (height or 0) / high or x
    return x, y


def _stretched(size: Size, stretch: tuple[float, float]) -> Size:
    return max(round(size[0] * stretch[0]), 1), max(round(size[1] * stretch[1]), 1)


def _bounds(points: Points) -> Bounds:
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return float(left), float(top), float(right), float(bottom)


def _check_area(box: Bounds, canvas: Size) -> None:
    area = (box[2] - box[0]) * (box[3] - box[1])
    if area > MOST * canvas[0] * canvas[1]:
        raise InputError(
            f"placement: the element would have {area:.3g} pixels on a painting of "
            f"{show_size(canvas)}; check `width`, `height` and `scale`"
        )


# --- place ----------------------------------------------------------------------------------------


def _top_left(box: Bounds, canvas: Size, placement: Placement) -> tuple[float, float]:
    size = (box[2] - box[0], box[3] - box[1])
    if placement.at is None and placement.box == "whole":  # aligned, at the painting's corner
        return 0, 0
    if placement.at is None or placement.at == CENTER:
        x, y = ((whole - side) / 2 for whole, side in zip(canvas, size, strict=True))
        return _whole(x), _whole(y)
    x, y = (in_pixels(at, side) for at, side in zip(placement.at, canvas, strict=True))
    x, y = _whole(x), _whole(y)
    if x >= canvas[0] or y >= canvas[1] or x + size[0] <= 0 or y + size[1] <= 0:
        raise InputError(
            f"placement: an element of {size[0]:.0f} x {size[1]:.0f} pixels at {x},{y} lies "
            f"outside the painting of {show_size(canvas)}; check `at`"
        )
    return x, y


def _overlap(box: Bounds, canvas: Size) -> float:
    wide = min(box[2], canvas[0]) - max(box[0], 0)
    high = min(box[3], canvas[1]) - max(box[1], 0)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(wide, 0) * max(high, 0) / area


def _span_within(start: float, end: float, limit: int, more: int) -> slice:
    first = min(max(math.floor(start) - more, 0), limit)
    return slice(first, max(first, min(math.ceil(end) + more, limit)))


def _whole(value: float) -> int:
    return math.floor(value + 0.5)  # half up, so that it moves evenly under the hand
