"""Cut out by box, strokes and mask."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from harmonize.errors import InputError
from harmonize.images.pixels import eight_bits
from harmonize.images.read import open_picture
from harmonize.scene.mask import FAINT, Mask, fitted_to, mask_of
from harmonize.scene.matting import with_alpha
from harmonize.scene.segmentation import cutout_alpha, doubts, quick_mask
from harmonize.studio.files import MISREAD, File, Files, encoded

MOST_STROKES, MOST_POINTS = 2000, 200_000
QUICK = 800  # pixels: long side of the copy that answers at once
VEIL = 28  # gray laid over what is cut away
NARROW = 0.006  # of the long side: radius from which a stroke tells what the thing looks like
MOST_HINTS = 500
FURTHEST = 100.0  # pixels: the most that an edge is moved or softened by


@dataclass(frozen=True)
class Stroke:
    """A brush's line."""

    keep: bool
    radius: float
    points: Sequence[tuple[float, float]]

    def scaled(self, factor: float) -> "Stroke":
        points = [(x * factor, y * factor) for x, y in self.points]
        return Stroke(self.keep, self.radius * factor, points)


@dataclass(frozen=True)
class Cut:
    """What to cut out; lengths in pixels of the photograph."""

    photo: File
    box: tuple[float, float, float, float] | None
    strokes: tuple[Stroke, ...]
    mask: File | None
    edges: bool  # look for the edge; else take all as drawn
    grow: float  # how far the edge moves out
    feather: float  # sigma that softens it

    def scaled(self, factor: float) -> "Cut":
        box = self.box
        if box is not None:
            box = box[0] * factor, box[1] * factor, box[2] * factor, box[3] * factor
        return replace(
            self,
            box=box,
            strokes=tuple(stroke.scaled(factor) for stroke in self.strokes),
            grow=self.grow * factor,
            feather=self.feather * factor,
        )


def cut_of(tree: Mapping[str, Any], files: Files) -> Cut:
    """Read a page's request."""
    photo = files.get(tree.get("photo"))
    mask = tree.get("mask")
    try:
        box = tree.get("box")
        strokes = tuple(_stroke(item) for item in tree.get("strokes", ()))
        cut = Cut(
            photo=photo,
            box=None if box is None else _box_within(box, photo.size),
            strokes=strokes,
            mask=None if mask is None else files.get(mask),
            edges=bool(tree.get("edges", True)),
            grow=_number_between(tree.get("grow", 0), -FURTHEST, FURTHEST),
            feather=_number_between(tree.get("feather", 0), 0, FURTHEST),
        )
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise InputError(MISREAD) from error
    if len(strokes) > MOST_STROKES or sum(len(one.points) for one in strokes) > MOST_POINTS:
        raise InputError("too many strokes; start again, or load a mask")
    if cut.box is None and not strokes and cut.mask is None:
        raise InputError("nothing is marked yet; draw a box around the thing")
    return cut


def _number_between(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{value!r} is no number from {low} to {high}")
    return float(value)


def _stroke(tree: Mapping[str, Any]) -> Stroke:
    far = 1e6
    points = [
        (_number_between(x, -far, far), _number_between(y, -far, far)) for x, y in tree["points"]
    ]
    if tree["mode"] not in ("keep", "remove") or not points:
        raise ValueError("no stroke")
    return Stroke(tree["mode"] == "keep", _number_between(tree["radius"], 0, far), points)


def _box_within(values: Sequence[Any], size: tuple[int, int]) -> tuple[float, float, float, float]:
    x, y, width, height = (_number_between(value, -1e6, 1e6) for value in values)
    left, top = max(x, 0), max(y, 0)
    width, height = min(x + width, size[0]) - left, min(y + height, size[1]) - top
    if width < 1 or height < 1:
        raise InputError("the box lies outside the photograph; draw it again")
    return left, top, width, height


# --- cutting --------------------------------------------------------------------------------------


def quick(cut: Cut) -> tuple[bytes, dict[str, Any]]:
    """Return a PNG veil over what is cut away, and facts."""
    photo = _reduced(cut.photo)
    alpha = _alpha(cut.scaled(photo.width / cut.photo.size[0]), photo, quick=True)
    veil = np.dstack([np.full_like(alpha, VEIL), (255 - alpha) // 8 * 7])
    return encoded(Image.fromarray(veil)), {
        "share": float(alpha.mean() / 255),
        "notes": notes(cut, alpha),
    }


def whole_element(cut: Cut, files: Files) -> File:
    """Return the element at the photograph's size."""
    rgba = _rgba(cut, _read_photo(cut.photo))
    if not (rgba[..., 3] > FAINT).any():
        raise InputError("nothing is left of it; brush over what is to stay")
    path = files.room(f"{cut.photo.path.stem}-cutout.png")
    Image.fromarray(rgba).save(path, compress_level=1)
    try:
        return files.add("element", path, cut.photo.id)
    except InputError:
        files.discard(path)
        raise


def notes(cut: Cut, alpha: Mask) -> list[str]:
    """Return doubts about a cut."""
    given = () if cut.mask is None else _given(cut.mask, cut.photo)[1]
    return [f"{text[0].upper()}{text[1:]}." for text in (*given, *doubts(alpha))]


def _read_photo(photo: File) -> Image.Image:
    return open_picture("photograph", photo.path).stored.shown


@lru_cache(maxsize=2)
def _reduced(photo: File) -> Image.Image:
    # From what the page shows: the file itself may take seconds.
    with Image.open(io.BytesIO(photo.view), formats=("PNG",)) as image:
        factor = min(1.0, QUICK / max(image.size))
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        return image.convert("RGB").resize(size, Image.Resampling.BILINEAR)


def _strokes_on(size: tuple[int, int], strokes: Sequence[Stroke], keep: bool) -> Mask:
    image = Image.new("L", size)
    draw = ImageDraw.Draw(image)
    for stroke in strokes:
        ink, radius = 255 if stroke.keep == keep else 0, max(stroke.radius, 0.5)
        draw.line(list(stroke.points), ink, math.ceil(2 * radius), "curve")
        for x, y in stroke.points:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), ink)
    return np.array(image)


def _move_edge(alpha: Mask, grow: float, feather: float) -> Mask:
    image = Image.fromarray(alpha)
    if grow:
        # A straight edge blurred by sigma has the value 0.159 one sigma away from it.
        blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(abs(grow))), np.float32) / 255
        level = 0.1587 if grow > 0 else 0.8413
        steep = max(abs(grow), 1.0) * 4.0  # an edge about a pixel wide
        image = Image.fromarray(_as_mask((blurred - level) * steep))
    if feather:
        image = image.filter(ImageFilter.GaussianBlur(feather))
    return np.array(image)


def _as_mask(share: NDArray[Any]) -> Mask:
    found: Mask = np.rint(np.clip(share + 0.5, 0, 1) * 255).astype(np.uint8)
    return found


def _alpha(cut: Cut, photo: Image.Image, *, quick: bool) -> Mask:
    keep = _strokes_on(photo.size, cut.strokes, True)
    remove = _strokes_on(photo.size, cut.strokes, False)
    alpha = np.maximum(_base(cut, photo, quick), keep)
    return _move_edge(np.minimum(alpha, 255 - remove), cut.grow, cut.feather)


def _base(cut: Cut, photo: Image.Image, quick: bool) -> Mask:
    mask = _mask(cut, photo.size)
    if cut.edges:
        hints: dict[str, Any] = {
            "box": cut.box,
            "foreground": _points_along(cut.strokes, True, photo.size),
            "background": _points_along(cut.strokes, False, photo.size),
            "rough": mask,
        }
        pixels = np.asarray(photo)
        return quick_mask(pixels, **hints) if quick else cutout_alpha(pixels, **hints)
    if mask is not None:
        return mask
    alpha = np.zeros(photo.size[::-1], np.uint8)
    if cut.box is not None:
        left, top, width, height = (round(side) for side in cut.box)
        alpha[top : top + height, left : left + width] = 255
    return alpha


def _points_along(
    strokes: Sequence[Stroke], keep: bool, size: tuple[int, int]
) -> list[tuple[float, float]]:
    least, found = NARROW * max(size), list[tuple[float, float]]()
    for stroke in strokes:
        if stroke.keep != keep or stroke.radius < least:
            continue
        last: tuple[float, float] | None = None
        for x, y in stroke.points:
            inside = 0 <= x < size[0] and 0 <= y < size[1]
            if inside and (last is None or math.dist(last, (x, y)) >= stroke.radius):
                last = x, y
                found.append(last)
    return found[:MOST_HINTS]


@lru_cache(maxsize=1)
def _given(file: File, photo: File) -> tuple[Mask, tuple[str, ...]]:
    opened = open_picture("mask", file.path)
    alpha = opened.stored.alpha
    if alpha is not None and (shown := eight_bits(alpha)).min() < 255:
        found, notes = shown, list[str]()
    else:
        found, notes = mask_of(opened)
    found, scaled = fitted_to(opened, found, open_picture("photo", photo.path))
    return found, (*opened.warnings, *notes, *scaled)


def _mask(cut: Cut, size: tuple[int, int]) -> Mask | None:
    if cut.mask is None:
        return None
    found, _ = _given(cut.mask, cut.photo)
    return np.asarray(Image.fromarray(found).resize(size, Image.Resampling.BILINEAR))


def _rgba(cut: Cut, photo: Image.Image) -> NDArray[np.uint8]:
    pixels, alpha = np.asarray(photo), _alpha(cut, photo, quick=False)
    return with_alpha(pixels, alpha) if cut.edges else np.dstack([pixels, alpha])
