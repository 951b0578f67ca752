"""A photograph and a hint or two → the cut-out: an outline on a small copy, then a soft edge."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonize.errors import InputError
from harmonize.scene.mask import Mask
from harmonize.scene.matting import element_colors, soft_alpha
from harmonize.scene.placement import Length, in_pixels, length_of

Photo = NDArray[np.uint8]
Box = Sequence[Length]  # left, top, width, height
Point = Sequence[Length]

PIXELS, ROUNDS = 300_000, 5  # of the copy that GrabCut works on; how often it goes round
QUICK_PIXELS, QUICK_ROUNDS = 50_000, 3
AROUND = 0.35  # of the box's sides: background that is looked at around it
BORDER = 0.02  # of the sides: taken for background where no box is given
BRUSH = 0.012  # of the copy's long side: radius of a point
DOUBT = 0.05  # of the root of a rough mask's area: how far off its contour may be
SPECK = 0.01  # of the largest piece: smaller ones go, and holes …
PINHOLE = 0.001  # … smaller than this are filled
EDGE = 1.5  # pixels of the copy: half the width of the soft edge
PIECES = 6  # more than these are told


def cut_out(
    photo: Photo,
    *,
    box: Box | None = None,
    foreground: Iterable[Point] = (),
    background: Iterable[Point] = (),
    rough: Mask | None = None,
) -> NDArray[np.uint8]:
    """Cut out what is in the box, or around the points, or under a rough mask.

    GrabCut (Rother, Kolmogorov and Blake 2004) finds the outline on a copy of 0.3 megapixels; then
    alpha is made soft in a narrow band, and the colors there are the element's own.

    Args:
        photo: RGB [H, W, 3].
        box: left, top, width and height around the element, each in pixels or as "30%".
        foreground: points x, y that are the element's.
        background: points that are not.
        rough: [H, W], white about where the element is.

    Returns:
        RGBA of the photo's size, alpha not multiplied into the colors.

    Raises:
        InputError: a box or point outside the photo, a rough mask of another size, a photo of less
            than 8 pixels a side.
    """
    inside, scale = _outline(photo, box, foreground, background, rough)
    return with_alpha(photo, _softened(photo, inside, scale))


def quick_mask(
    photo: Photo,
    *,
    box: Box | None = None,
    foreground: Iterable[Point] = (),
    background: Iterable[Point] = (),
    rough: Mask | None = None,
) -> Mask:
    """Return a first mask [H, W] within a second, from a small copy; arguments as `cut_out`."""
    inside, _ = _outline(photo, box, foreground, background, rough, quick=True)
    return inside


def with_rembg(photo: Photo) -> NDArray[np.uint8]:
    """Cut out what rembg, if it is installed, takes for the subject; returns RGBA.

    Raises:
        InputError: rembg is not installed, or fails.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            rembg: Any = importlib.import_module("rembg")
    except (ImportError, SystemExit):  # without onnxruntime it ends the process
        missing = 'rembg is not installed, or not whole; install it with: pip install "rembg[cpu]"'
        raise InputError(missing) from None
    try:
        mask = np.asarray(rembg.remove(Image.fromarray(photo), only_mask=True).convert("L"))
    except Exception as error:  # it downloads models and runs them: anything can happen
        raise InputError(f"rembg: {error}") from error
    if mask.shape != photo.shape[:2]:
        raise InputError("rembg: its mask has not the photo's size; update rembg")
    return with_alpha(photo, mask)


def with_alpha(photo: Photo, alpha: Mask) -> NDArray[np.uint8]:
    """Return RGBA with the element's own colors under `alpha`, and none where it is 0."""
    found = np.zeros((*alpha.shape, 4), np.uint8)
    shown = bounds(alpha, 4)
    if shown is not None:
        part = alpha[shown]
        found[(*shown, slice(0, 3))] = element_colors(photo[shown], part)
        found[(*shown, 3)] = part
        found[shown][part == 0] = 0
    return found


def bounds(alpha: Mask, margin: int = 0) -> tuple[slice, slice] | None:
    """Return rows and columns of all that shows, and `margin` pixels more; None if nothing does."""
    rows, columns = (np.flatnonzero(alpha.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + 1 + margin),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + 1 + margin),
    )


def doubts(alpha: Mask) -> list[str]:
    """Return what looks wrong with a cut-out: empty, everything, many pieces; a sentence each."""
    shown = (alpha > 127).astype(np.uint8)
    if not shown.any():
        return ["the cut-out is empty; give a box around the element, or points on it"]
    if shown.mean() > 0.98:
        return ["the cut-out is the whole picture; give a box, or points on the background"]
    _, _, stats, _ = cv2.connectedComponentsWithStats(shown)
    areas = stats[1:, cv2.CC_STAT_AREA]
    pieces = int((areas > SPECK * areas.max()).sum())
    if pieces > PIECES:
        return [f"the cut-out is in {pieces} pieces; look at it, and give points or a box"]
    return []


# --- the outline ----------------------------------------------------------------------------------


def _outline(
    photo: Photo,
    box: Box | None,
    foreground: Iterable[Point],
    background: Iterable[Point],
    rough: Mask | None,
    quick: bool = False,
) -> tuple[Mask, float]:
    """The hard mask at the photo's size, and the copy's scale."""
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise InputError(f"photo: {photo.dtype} {photo.shape}, expected uint8 [H, W, 3]")
    height, width = photo.shape[:2]
    if min(height, width) < 8:
        raise InputError(f"photo: {width} x {height} pixels are too few to cut something out of")
    if rough is not None and rough.shape != (height, width):
        raise InputError(
            f"rough mask: {rough.shape[1]} x {rough.shape[0]} pixels, but the photo has "
            f"{width} x {height}"
        )
    given = None if box is None else _box(box, width, height)
    points = [[_point(p, width, height) for p in side] for side in (foreground, background)]
    left, top, right, bottom = _region(given, points, rough, width, height)
    part = photo[top:bottom, left:right]
    pixels, rounds = (QUICK_PIXELS, QUICK_ROUNDS) if quick else (PIXELS, ROUNDS)
    scale = min(1.0, (pixels / (part.shape[0] * part.shape[1])) ** 0.5)
    size = (max(8, round(part.shape[1] * scale)), max(8, round(part.shape[0] * scale)))
    small = _resized(part, size)
    ratio = np.array([size[0] / part.shape[1], size[1] / part.shape[0]])
    labels = np.full(size[::-1], cv2.GC_PR_FGD, np.uint8)
    if rough is not None:
        _mark_rough(labels, _resized(rough[top:bottom, left:right], size))
    elif given is None and (right - left, bottom - top) == (width, height):
        frame = max(1, round(BORDER * min(size)))
        edge = np.ones_like(labels, bool)
        edge[frame:-frame, frame:-frame] = False
        labels[edge] = cv2.GC_BGD
    if given is not None:
        _mark_box(labels, (np.array(given, float).reshape(2, 2) - (left, top)) * ratio)
    for label, side in ((cv2.GC_BGD, points[1]), (cv2.GC_FGD, points[0])):
        for point in side:
            x, y = (np.array(point) - (left, top)) * ratio
            radius = max(1, round(BRUSH * max(size)))
            cv2.circle(labels, (int(x), int(y)), radius, int(label), -1)
    found = _cleaned(_grab_cut(small, labels, rounds), labels)
    whole = np.zeros((height, width), np.uint8)
    # Enlarged softly and cut at one half, so that the contour has no steps.
    grown = cv2.resize(found, (right - left, bottom - top), interpolation=cv2.INTER_CUBIC)
    whole[top:bottom, left:right] = np.where(grown > 127, 255, 0)
    return whole, float(ratio.min())


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _grab_cut(small: Photo, labels: Mask, rounds: int) -> Mask:
    if not np.isin(labels, (cv2.GC_BGD, cv2.GC_PR_BGD)).any():
        return np.full(labels.shape, 255, np.uint8)
    if not np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).any():
        return np.zeros(labels.shape, np.uint8)
    cv2.setRNGSeed(0)  # it groups colors at random: the same cut every time
    models = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(small[..., ::-1])
    labels = labels.copy()
    cv2.grabCut(bgr, labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return np.where((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)


def _cleaned(mask: Mask, labels: Mask) -> Mask:
    """Without specks and pinholes; a piece that a point or rough mask is sure of stays."""
    for value, least in ((255, SPECK), (0, PINHOLE)):
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(
            (mask == value).astype(np.uint8), connectivity=8
        )
        if count < 2:
            continue
        areas = stats[:, cv2.CC_STAT_AREA]
        small = areas < least * (areas[1:].max() if value else (mask > 0).sum())
        small[0] = False
        if value:
            small[np.unique(pieces[labels == cv2.GC_FGD])] = False
        else:
            small[np.unique(pieces[labels == cv2.GC_BGD])] = False
        mask = np.where(small[pieces], np.uint8(255 - value), mask)
    return mask


def _softened(photo: Photo, inside: Mask, scale: float) -> Mask:
    """Alpha with a soft edge: the contour is known to a pixel of the copy."""
    radius = max(2, round(EDGE / scale))
    shown = bounds(inside, 2 * radius + 2)
    if shown is None:
        return inside
    alpha = inside.copy()
    alpha[shown] = soft_alpha(photo[shown], inside[shown], radius)
    return alpha


# --- hints ----------------------------------------------------------------------------------------


def _region(
    box: tuple[float, float, float, float] | None,
    points: Sequence[Sequence[tuple[float, float]]],
    rough: Mask | None,
    width: int,
    height: int,
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is looked at."""
    if box is None and rough is not None and (shown := bounds(np.where(rough > 127, rough, 0))):
        box = (shown[1].start, shown[0].start, shown[1].stop, shown[0].stop)
    if box is None:
        return 0, 0, width, height
    more_x, more_y = AROUND * (box[2] - box[0]) + 4, AROUND * (box[3] - box[1]) + 4
    x = [box[0] - more_x, box[2] + more_x, *(p[0] for side in points for p in side)]
    y = [box[1] - more_y, box[3] + more_y, *(p[1] for side in points for p in side)]
    return (
        max(0, int(min(x))),
        max(0, int(min(y))),
        min(width, int(max(x)) + 1),
        min(height, int(max(y)) + 1),
    )


def _mark_box(labels: Mask, corners: NDArray[np.float64]) -> None:
    """What lies outside the box is background."""
    (left, top), (right, bottom) = np.floor(corners[0]).astype(int), np.ceil(corners[1]).astype(int)
    outside = np.ones(labels.shape, bool)
    outside[max(top, 0) : bottom, max(left, 0) : right] = False
    labels[outside] = cv2.GC_BGD


def _mark_rough(labels: Mask, rough: Mask) -> None:
    """Far inside a rough mask is the element, far outside is not; in between, probably."""
    inside = (rough > 127).astype(np.uint8)
    reach = max(1, round(DOUBT * float(inside.sum()) ** 0.5))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    labels[:] = np.where(inside > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    labels[cv2.erode(inside, kernel) > 0] = cv2.GC_FGD
    labels[cv2.dilate(inside, kernel) == 0] = cv2.GC_BGD


def _box(box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    lengths = [length_of(value) for value in (box.split(",") if isinstance(box, str) else box)]
    if len(lengths) != 4 or None in lengths:
        raise InputError(
            f"`box={box}`: expected left, top, width and height in pixels or percent, such as "
            "120,40,300,200"
        )
    x, y, w, h = (
        in_pixels(length, side)  # type: ignore[arg-type]
        for length, side in zip(lengths, (width, height, width, height), strict=True)
    )
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if right - left < 2 or bottom - top < 2:
        raise InputError(f"`box={box}`: lies outside the photo of {width} x {height}, or is empty")
    return left, top, right, bottom


def _point(point: Point, width: int, height: int) -> tuple[float, float]:
    lengths = [
        length_of(value) for value in (point.split(",") if isinstance(point, str) else point)
    ]
    if len(lengths) != 2 or None in lengths:
        raise InputError(f"point {point}: expected x and y in pixels or percent, such as 120,40")
    x, y = (in_pixels(length, side) for length, side in zip(lengths, (width, height), strict=True))  # type: ignore[arg-type]
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(f"point {x:g},{y:g}: lies outside the photo of {width} x {height}")
    return x, y
