"""Cut out elements."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonize.errors import InputError
from harmonize.images.image import StoredImage
from harmonize.images.pixels import eight_bits
from harmonize.images.read import Picture, Source, open_picture
from harmonize.images.write import sealed
from harmonize.scene.mask import Mask, fitted_to, inverted, labelled, mask_of
from harmonize.scene.matting import Photo, bounds, soft_alpha, with_alpha
from harmonize.scene.placement import Length, box_in, point_in

HintBox = Sequence[Length]  # left, top, width, height
Point = Sequence[Length]

PIXELS, ROUNDS = 300_000, 5  # of the copy that GrabCut works on; how often it goes round
QUICK_PIXELS, QUICK_ROUNDS = 50_000, 3
BOX_AROUND = 0.35  # of the box's sides: background that is looked at around it
BORDER = 0.02  # of the sides: taken for background where no box is given
BRUSH = 0.012  # of the copy's long side: radius of a point
CONTOUR_DOUBT = 0.05  # of the root of a rough mask's area: how far off its contour may be
SPECK = 0.01  # of the largest piece: smaller ones go, and holes …
PINHOLE = 0.001  # … smaller than this are filled
EDGE = 1.5  # pixels of the copy: half the width of the soft edge
PIECES = 6  # more than these are told


@dataclass(frozen=True)
class Hints:
    """What tells an element from the rest."""

    box: HintBox | None = None  # around it; lengths in pixels or as "30%"
    foreground: Sequence[Point] = ()  # x, y on it
    background: Sequence[Point] = ()  # x, y beside it
    rough: Picture | None = None  # white roughly on it
    mask: Picture | None = None
    mask_value: int | None = None
    invert_mask: bool = False
    rembg: bool = False


def cut_from(
    source: Source, hints: Hints, on_step: Callable[[str], None] = lambda step: None
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return RGBA of the photo's size, and warnings; InputError: bad hints.

    `on_step` is told what comes next.
    """
    photo = np.ascontiguousarray(eight_bits(source.stored.srgb()))
    notes = list(source.warnings)
    if hints.mask is None and (hints.mask_value is not None or hints.invert_mask):
        raise InputError("`mask_value` and `invert_mask` go with `mask`; give it too")
    if hints.mask is not None:
        if hints.box is not None:
            raise InputError("`box` cuts the element out, `mask` has it cut out already: leave one")
        found = with_alpha(photo, _exact(hints, hints.mask, source, notes))
    elif hints.rembg:
        found = with_rembg(photo)
    else:
        rough = None if hints.rough is None else _like("rough mask", hints.rough, source, notes)
        if hints.box is None and rough is None and not hints.foreground:
            notes.append(
                "no `box`: what lies along the photo's edge is taken for background; give one if "
                "that is wrong"
            )
        on_step("finding the outline")
        outline = _outline(photo, hints.box, hints.foreground, hints.background, rough)
        on_step("softening the edge")
        alpha = _softened(photo, *outline)
        on_step("taking the background out of the edge's colors")
        found = with_alpha(photo, alpha)
    if source.stored.alpha is not None:
        found[..., 3] = np.minimum(found[..., 3], eight_bits(source.stored.alpha))
    return found, [*notes, *doubts(found[..., 3])]


def as_picture(rgba: NDArray[np.uint8]) -> StoredImage:
    """Return RGBA as a picture."""
    colors, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    return StoredImage(colors, alpha=alpha)


def cut_source(photo: Source, hints: Hints) -> Source:
    """Return a cut-out as if read from its PNG."""
    found, notes = cut_from(photo, hints)
    stored = as_picture(found)
    digest = hashlib.sha256(sealed(stored)).hexdigest()
    return Source("element", stored, None, digest, tuple(notes))


def _exact(hints: Hints, mask: Picture, source: Source, notes: list[str]) -> Mask:
    if hints.mask_value is None:
        found = _like("mask", mask, source, notes)
    else:
        found = labelled("mask", mask, hints.mask_value)
        path = os.fspath(mask) if isinstance(mask, (str, os.PathLike)) else None
        found, more = fitted_to(replace(source, role="mask", path=path), found, source)
        notes += more
    found = np.asarray(255 - found, np.uint8) if hints.invert_mask else found
    notes += inverted(found)
    return found


def _like(role: str, mask: Picture, source: Source, notes: list[str]) -> Mask:
    opened = open_picture(role, mask)
    found, more = mask_of(opened)
    found, scaled = fitted_to(opened, found, source)
    notes += [*more, *scaled]
    return found


def cut_out(
    photo: Photo,
    *,
    box: HintBox | None = None,
    foreground: Iterable[Point] = (),
    background: Iterable[Point] = (),
    rough: Mask | None = None,
) -> NDArray[np.uint8]:
    """Cut an element out by `Hints`: straight RGBA of a photo [H, W, 3], 8 pixels a side or more.

    GrabCut (Rother, Kolmogorov and Blake 2004) on a small copy, then a soft edge.
    """
    return with_alpha(photo, _softened(photo, *_outline(photo, box, foreground, background, rough)))


def cutout_alpha(photo: Photo, **hints: Any) -> Mask:
    """Return `cut_out`'s alpha [H, W]."""
    return _softened(photo, *_outline(photo, **hints))


def quick_mask(photo: Photo, **hints: Any) -> Mask:
    """Return a hard mask within a second; see `cut_out`."""
    inside, _ = _outline(photo, **hints, quick=True)
    return inside


def with_rembg(photo: Photo) -> NDArray[np.uint8]:
    """Cut out RGBA by rembg, or raise an InputError."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            rembg: Any = importlib.import_module("rembg")
    except (ImportError, SystemExit):  # without onnxruntime it ends the process
        missing = 'rembg is not installed, or not whole; install it with: pip install "rembg[cpu]"'
        raise InputError(missing) from None
    try:
        mask = np.asarray(rembg.remove(Image.fromarray(photo), only_mask=True).convert("L"))
    except Exception as error:  # it downloads models and runs them: anything can happen
        raise InputError(f"rembg: {error}; leave it, and give `box`") from error
    if mask.shape != photo.shape[:2]:
        raise InputError("rembg: its mask has not the photo's size; update rembg")
    return with_alpha(photo, mask)


def doubts(alpha: Mask) -> list[str]:
    """Say if a cut-out looks wrong."""
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
    box: HintBox | None = None,
    foreground: Iterable[Point] = (),
    background: Iterable[Point] = (),
    rough: Mask | None = None,
    quick: bool = False,
) -> tuple[Mask, float]:
    """Return the hard mask, and its copy's scale."""
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise InputError(f"photo: {photo.dtype} {photo.shape}, expected uint8 [H, W, 3]")
    height, width = photo.shape[:2]
    if min(height, width) < 8:
        raise InputError(f"photo: {width} x {height} pixels are too few; give a larger photo")
    if rough is not None and rough.shape != (height, width):
        raise InputError(
            f"rough mask: {rough.shape[1]} x {rough.shape[0]} pixels, but the photo has "
            f"{width} x {height}; make it as large"
        )
    given = None if box is None else box_in(box, width, height)
    points = [[point_in(p, width, height) for p in side] for side in (foreground, background)]
    left, top, right, bottom = _region(given, points, rough, width, height)
    part = photo[top:bottom, left:right]
    pixels, rounds = (QUICK_PIXELS, QUICK_ROUNDS) if quick else (PIXELS, ROUNDS)
    scale = min(1.0, (pixels / (part.shape[0] * part.shape[1])) ** 0.5)
    size = (max(8, round(part.shape[1] * scale)), max(8, round(part.shape[0] * scale)))
    ratio = np.array([size[0] / part.shape[1], size[1] / part.shape[0]])
    labels = np.full(size[::-1], cv2.GC_PR_FGD, np.uint8)
    if rough is not None:
        _mark_rough(labels, _shrunk(rough[top:bottom, left:right], size))
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
    found = _cleaned(_grab_cut(_shrunk(part, size), labels, rounds), labels)
    whole = np.zeros((height, width), np.uint8)
    # Enlarged softly and cut at one half, so that the contour has no steps.
    grown = cv2.resize(found, (right - left, bottom - top), interpolation=cv2.INTER_CUBIC)
    whole[top:bottom, left:right] = cv2.threshold(grown, 127, 255, cv2.THRESH_BINARY)[1]
    return whole, float(ratio.min())


def _shrunk(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
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
    for value, least in ((255, SPECK), (0, PINHOLE)):
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(
            (mask == value).astype(np.uint8), connectivity=8
        )
        if count < 2:
            continue
        areas = stats[:, cv2.CC_STAT_AREA]
        small = areas < least * (areas[1:].max() if value else (mask > 0).sum())
        small[0] = False
        sure = cv2.GC_FGD if value else cv2.GC_BGD
        small[np.unique(pieces[labels == sure])] = False
        mask = np.where(small[pieces], np.uint8(255 - value), mask)
    return mask


def _softened(photo: Photo, inside: Mask, scale: float) -> Mask:
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
    if box is None and rough is not None and (shown := bounds(np.where(rough > 127, rough, 0))):
        box = (shown[1].start, shown[0].start, shown[1].stop, shown[0].stop)
    if box is None:
        return 0, 0, width, height
    more_x, more_y = BOX_AROUND * (box[2] - box[0]) + 4, BOX_AROUND * (box[3] - box[1]) + 4
    x = [box[0] - more_x, box[2] + more_x, *(p[0] for side in points for p in side)]
    y = [box[1] - more_y, box[3] + more_y, *(p[1] for side in points for p in side)]
    return (
        max(0, int(min(x))),
        max(0, int(min(y))),
        min(width, int(max(x)) + 1),
        min(height, int(max(y)) + 1),
    )


def _mark_box(labels: Mask, corners: NDArray[np.float64]) -> None:
    (left, top), (right, bottom) = np.floor(corners[0]).astype(int), np.ceil(corners[1]).astype(int)
    outside = np.ones(labels.shape, bool)
    outside[max(top, 0) : bottom, max(left, 0) : right] = False
    labels[outside] = cv2.GC_BGD


def _mark_rough(labels: Mask, rough: Mask) -> None:
    inside = (rough > 127).astype(np.uint8)
    reach = max(1, round(CONTOUR_DOUBT * float(inside.sum()) ** 0.5))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    labels[:] = np.where(inside > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    labels[cv2.erode(inside, kernel) > 0] = cv2.GC_FGD
    labels[cv2.dilate(inside, kernel) == 0] = cv2.GC_BGD
