"""Read masks: uint8 [H, W], 255 inside; unclear ones raise an InputError."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from harmonize.errors import InputError
from harmonize.images.color import LUMA
from harmonize.images.decoding.labels import ORIENTATION
from harmonize.images.decoding.memory import upright
from harmonize.images.decoding.signatures import FORMATS
from harmonize.images.image import StoredImage
from harmonize.images.pixels import Size, eight_bits, strips
from harmonize.images.read import Picture, Source, bytes_of, name

Mask = NDArray[np.uint8]

FAINT = 12  # of 255: a mask with nothing above it is empty
FULL = 242  # a mask with nothing below it leaves no outside
BLACK, WHITE = 32, 223  # of a picture of a mask: what is beyond is compression noise
LABELS = 12  # a gray mask with no value above this holds labels
COLORED = 60  # of 255, between channels: from there on a pixel has a color
APART = 60  # between two colors that are not the same
SOME, OTHERS = 0.002, 0.02  # of the pixels: that make a mask colored, that make it more than two
SEEN = 500_000  # pixels that colors are counted in
SAME_SHAPE = 0.01  # how far two shapes that are the same may be apart


def mask_of(source: Source) -> tuple[Mask, list[str]]:
    """Read a mask: one color on black or another color, or labels 0 and 1."""
    stored = source.stored
    notes: list[str] = []
    mask: Mask = np.empty(stored.pixels.shape[:2], np.uint8)
    pair = _two_colors(source)
    if pair is not None:
        notes.append(
            f"{name(source.role)}: colored; {_rgb(pair[1])} is taken for the element, "
            f"{_rgb(pair[0])} for the rest; make it white on black if that is wrong"
        )
    values = np.arange(256) - BLACK
    levels = np.clip(np.rint(values * 255 / (WHITE - BLACK)), 0, 255).astype(np.uint8)
    for rows in strips(*mask.shape):
        mask[rows] = levels[
            _gray(stored, rows) if pair is None else _share_of_element(stored, rows, *pair)
        ]
    if pair is None and (labels := _labels(source)) is not None:
        mask = labels
    if stored.alpha is None:
        return mask, notes
    alpha = eight_bits(stored.alpha)
    if mask.min() == mask.max() and alpha.min() < alpha.max():
        return alpha, notes  # one color all over: its transparency is the mask
    return times(mask, alpha), notes


def labelled(role: str, picture: Picture, value: int) -> Mask:
    """Return 255 where palette indices or grays are `value`."""
    image: Image.Image
    if isinstance(picture, Image.Image):
        image = picture
    elif isinstance(picture, np.ndarray):
        image = Image.fromarray(picture)
    else:
        where = name(role, picture if isinstance(picture, (str, os.PathLike)) else None)
        try:
            data = bytes_of(where, picture) or b""
            image = Image.open(io.BytesIO(data), formats=list(FORMATS))
            image.load()
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{where}: not an image that can be read; export it again") from error
    image = ImageOps.exif_transpose(image)
    if image.mode not in ("1", "L", "P", "I", "I;16"):
        raise InputError(
            f"{name(role)}: `mask_value` needs a mask of labels, and this has colors; leave it"
        )
    values = np.asarray(image).astype(np.int64)
    found = values == value
    if not found.any():
        raise InputError(
            f"{name(role)}: nothing in it has the value {value}; choose of {_listed(values)}"
        )
    return np.where(found, np.uint8(255), np.uint8(0))


def fitted_to(source: Source, mask: Mask, element: Source) -> tuple[Mask, list[str]]:
    """Return a mask at the element's size, and warnings."""
    own, wanted = (mask.shape[1], mask.shape[0]), element.stored.size
    if own == wanted:
        return mask, []
    if own == wanted[::-1] and (turned := _turned(mask, element)) is not None:
        return turned, [f"{name(source.role)}: turned as its photograph's EXIF says"]
    if _same_shape(own, wanted):
        sized = Image.fromarray(mask).resize(wanted, Image.Resampling.LANCZOS)
        return np.asarray(sized), [
            f"{name(source.role)}: its {own[0]} x {own[1]} pixels are scaled to the element's "
            f"{wanted[0]} x {wanted[1]}"
        ]
    raise InputError(
        f"{source.where}: {own[0]} x {own[1]} pixels, but the element has {wanted[0]} x "
        f"{wanted[1]}; give the mask the element's size or shape"
    )


def times(a: Mask, b: Mask) -> Mask:
    """Multiply two masks; 255 stands for 1."""
    product = np.empty(a.shape, np.uint8)
    for rows in strips(*a.shape):
        product[rows] = (a[rows].astype(np.uint16) * b[rows] + 127) // 255
    return product


def inverted(mask: Mask) -> list[str]:
    """Warn if only the middle of a mask is black."""
    white = mask > 127
    height, width = mask.shape
    border = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
    middle = white[height // 4 : height - height // 4, width // 4 : width - width // 4]
    if border.mean() <= 0.97 or middle.all():
        return []
    return [
        "mask: white at the border and black in the middle; white marks the element; use "
        "`invert_mask` to turn it round"
    ]


# --- values ---------------------------------------------------------------------------------------


def _gray(stored: StoredImage, rows: slice) -> Mask:
    plain = replace(stored, icc=None, alpha=None)  # a mask's values are no colors
    part = replace(plain, pixels=stored.pixels[rows])
    gray = part.pixels if part.mode == "L" else np.rint(part.srgb() @ LUMA)
    return eight_bits(gray.astype(part.pixels.dtype))


def _labels(source: Source) -> Mask | None:
    pixels = source.stored.pixels
    if pixels.max() > LABELS:
        return None
    plane = pixels if pixels.ndim == 2 else pixels.max(-1)
    found = np.unique(plane)
    if len(found) > 2 or (len(found) == 2 and found[0] != 0):
        raise InputError(
            f"{source.where}: holds the labels {_listed(plane)}; say with `mask_value` which of "
            "them is the element"
        )
    return np.where(plane > 0, np.uint8(255), np.uint8(0))


def _listed(values: NDArray[np.integer]) -> str:
    found = np.unique(values)
    return ", ".join(map(str, found[:9])) + (" …" if len(found) > 9 else "")


# --- colors ---------------------------------------------------------------------------------------


def _two_colors(source: Source) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    stored = source.stored
    if stored.mode != "RGB":
        return None
    height, width = stored.pixels.shape[:2]
    step = max(1, int((height * width / SEEN) ** 0.5))
    seen = eight_bits(np.ascontiguousarray(stored.pixels[::step, ::step]))
    spread = seen.max(-1).astype(int) - seen.min(-1)
    if (spread > COLORED).mean() < SOME:
        return None
    rest, element = _dominant(seen)
    line = element - rest
    flat = seen.reshape(-1, 3).astype(np.float32)
    share = np.clip((flat - rest) @ line / (line @ line), 0, 1)
    off = np.linalg.norm(flat - rest - share[:, None] * line, axis=1)
    if (off > APART).mean() > OTHERS:
        raise InputError(
            f"{source.where}: has many colors; make it white, or one color, where the element is "
            "(a palette's labels: say which with `mask_value`)"
        )
    return rest, element


def _dominant(seen: Mask) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the two commonest colors, black or the border's first."""
    coarse = (seen >> 4).astype(np.int64)
    keys = coarse[..., 0] * 256 + coarse[..., 1] * 16 + coarse[..., 2]
    found, counts = np.unique(keys, return_counts=True)
    order = found[np.argsort(-counts)]

    def color(key: int) -> NDArray[np.float32]:
        return np.asarray(np.median(seen[keys == key], axis=0), np.float32)

    first = color(order[0])
    others = (color(key) for key in order[1:64])
    second = next((c for c in others if np.linalg.norm(c - first) > APART), None)
    if second is None:
        return np.zeros(3, np.float32), first
    border = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]]).astype(np.float32)
    near = np.linalg.norm(border - first, axis=1) < np.linalg.norm(border - second, axis=1)
    dark = [bool(c.max() < BLACK) for c in (first, second)]
    first_is_rest = dark[0] if dark[0] != dark[1] else near.mean() >= 0.5
    return (first, second) if first_is_rest else (second, first)


def _share_of_element(
    stored: StoredImage, rows: slice, rest: NDArray[np.float32], element: NDArray[np.float32]
) -> Mask:
    line = element - rest
    part = eight_bits(stored.pixels[rows]).astype(np.float32)
    found: Mask = np.rint(np.clip((part - rest) @ line / (line @ line), 0, 1) * 255).astype(
        np.uint8
    )
    return found


def _rgb(color: Sequence[float] | NDArray[np.float32]) -> str:
    return "rgb(" + ", ".join(f"{value:.0f}" for value in color) + ")"


# --- size -----------------------------------------------------------------------------------------


def _same_shape(own: Size, wanted: Size) -> bool:
    near = all(abs(a - b) <= 2 for a, b in zip(own, wanted, strict=True))
    ratio = own[0] * wanted[1] / (own[1] * wanted[0])
    return near or abs(ratio - 1) < SAME_SHAPE


def _turned(mask: Mask, element: Source) -> Mask | None:
    if element.path is None:
        return None
    try:
        with Image.open(element.path, formats=list(FORMATS)) as image:
            turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data say nothing
        return None
    return eight_bits(upright(mask, turn)) if turn in (5, 6, 7, 8) else None
