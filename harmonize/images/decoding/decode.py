"""Decode with Pillow, or libvips where Pillow loses bits or mistakes colors."""

import io
import logging
import os
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from harmonize.errors import ConfigError
from harmonize.images import libvips
from harmonize.images.decoding import containers, signatures, tiff
from harmonize.images.decoding.labels import LEFT_OUT, Labels, labels_of
from harmonize.images.decoding.memory import from_image, upright
from harmonize.images.image import StoredImage

LIMIT = "HARMONIZE_MAX_PIXELS"  # a variable of the environment
MOST_PIXELS = 178_956_970  # of a file, unless the variable says otherwise
MULTIPLE = ("PNG", "GIF", "WEBP", "AVIF", "TIFF")  # more pictures may follow the first
END_OF_JPEG = b"\xff\xd9"
NOT_THESE = (SyntaxError, IndexError, TypeError, KeyError, EOFError, struct.error)

_one_at_a_time = threading.RLock()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints its errors


class Unreadable(Exception):
    """Says what a file is and what to do."""


def decode(data: bytes) -> tuple[StoredImage, list[str]]:
    """Decode the first picture, upright, and tell what was changed.

    Raises `Unreadable`; for damage, anything.
    """
    if data[:4] in tiff.SIGNATURES:
        return _tiff(data)
    kept = containers.without_texts(data) if data.startswith(containers.PNG) else data
    image = _opened_image(kept)
    check_pixel_limit(image.size)
    labels, notes = labels_of(image, data), _notes(image)
    if image.format == "PNG" and data[24] == 16:
        stored = _by_vips(kept, "PNG", labels)
    else:
        image, more = _loaded(image, kept)
        stored, notes = from_image(image, labels), [*notes, *more]
    return stored, [*notes, *labels.notes]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow and lift its limit of pixels; one thread at a time."""
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, limit = Image.MAX_IMAGE_PIXELS, pixel_limit()
        if before is not None and limit > 2 * before:
            Image.MAX_IMAGE_PIXELS = limit
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def parse_pixels(text: str, name: str) -> int:
    """Read a number like `250M`, or raise a ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", text.strip())
    count = float(found[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[found[2]] if found else 0
    if not 1 <= count < 1e15:
        raise ConfigError(f"{name}: {text!r}, expected a number such as 250000000 or 250M")
    return int(count)


def pixel_limit() -> int:
    """Return the limit that HARMONIZE_MAX_PIXELS sets."""
    told = os.environ.get(LIMIT, "")
    return parse_pixels(told, LIMIT) if told.strip() else MOST_PIXELS


@contextmanager
def limited_to(text: str) -> Iterator[None]:
    """Set the limit, for child processes too."""
    parse_pixels(text, "`max_pixels`")
    before = os.environ.get(LIMIT)
    os.environ[LIMIT] = text
    try:
        yield
    finally:
        os.environ.pop(LIMIT, None)
        if before is not None:
            os.environ[LIMIT] = before


def check_pixel_limit(size: tuple[int, int]) -> None:
    """Raise `Unreadable` above the limit."""
    limit = pixel_limit()
    if size[0] * size[1] > limit:
        raise Unreadable(
            f"{size[0]} x {size[1]} pixels, more than the limit of {limit:,}; make it smaller, or "
            f"raise the limit with `max_pixels` (in a program: the variable {LIMIT})"
        )


def _opened_image(data: bytes) -> Any:
    Image.init()
    openers = {kind: Image.OPEN[kind] for kind in signatures.FORMATS if kind in Image.OPEN}
    known = False
    for factory, accept in openers.values():
        if accept is not None and accept(data[:16]) is not True:
            continue
        try:
            return factory(io.BytesIO(data), "")
        except NOT_THESE:
            known = known or accept is not None
    if signatures.what_is(data) == signatures.HEIC and (heic := _heic(data)):
        return heic
    if said := signatures.what_is(data):
        raise Unreadable(said)
    if known:
        raise ValueError("damaged header")
    kinds = f"{', '.join(signatures.FORMATS[:-1])} or {signatures.FORMATS[-1]}"
    raise Unreadable(f"not an image in a format that is read here: use {kinds}")


def _heic(data: bytes) -> Any:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        return None
    return HeifImageFile(io.BytesIO(data), "")


def _notes(image: Any) -> list[str]:
    count, notes = _pictures_in(image), []
    if count > 1:
        notes.append(f"holds {count} pictures; only the first is used; save another one by itself")
    if image.mode == "F":
        notes.append("its floating values are turned to 16 bits")
    return notes


def _pictures_in(image: Any) -> int:
    if image.format not in MULTIPLE:
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # what follows the first picture is damaged
        return 1


def _loaded(image: Any, data: bytes) -> tuple[Any, list[str]]:
    try:
        image.load()
        return image, []
    except OSError:
        ended = data.rstrip(b"\xff") + END_OF_JPEG
        if image.format not in ("JPEG", "MPO") or not libvips.is_whole_jpeg(ended):
            raise
    again = _opened_image(ended)
    again.load()
    return again, [
        "its end marker is missing; its pixels are whole, export it again if any seem not to be"
    ]


def _by_vips(data: bytes, kind: str, labels: Labels) -> StoredImage:
    pixels, mode, extra = libvips.read(data, kind)
    alpha = None if extra is None else upright(np.ascontiguousarray(extra[..., 0]), labels.turn)
    return StoredImage(upright(pixels, labels.turn), mode, labels.icc, alpha, labels.dpi, kind)


# --- TIFF -----------------------------------------------------------------------------------------


def _tiff(data: bytes) -> tuple[StoredImage, list[str]]:
    tags = tiff.read_tags(data)
    check_pixel_limit(tags.size)
    if tags.raw:
        raise Unreadable(tiff.RAW_PHOTO)
    if name := tags.unknown_compression:
        raise Unreadable(f"TIFF compression {name} is not read here; save it with LZW or without")
    if tags.bits not in tiff.BITS:
        raise Unreadable(f"a TIFF of {tags.bits} bits a channel is not read here; save it with 16")
    image = _header(data)
    labels = tags.labels
    if labels.icc is None and image is not None:
        labels = replace(labels, icc=labels_of(image).icc)
    notes = [*labels.notes, *([] if image is None else _notes(image))]
    if image is not None and image.mode == "LAB":
        if labels.icc is not None and labels.icc[16:20] != b"Lab ":
            notes.append(LEFT_OUT)
        labels = replace(labels, icc=None)
    if tags.is_for_pillow or (image is not None and image.mode in ("I", "F", "LAB")):
        return _tiff_by_pillow(image, tags, labels, notes)
    pixels, mode, extra = libvips.read(data, "TIFF", "truncated" if tags.odd else "error")
    alpha = None
    if extra is not None:
        place = tags.alpha
        left = extra.shape[2] - (place is not None)
        if left:
            many = f"{left} extra channels are" if left > 1 else "an extra channel is"
            notes.append(f"{many} left out (saved selections or spot colors, not transparency)")
        if place is not None and place < extra.shape[2]:
            alpha = upright(np.ascontiguousarray(extra[..., place]), labels.turn)
    stored = StoredImage(upright(pixels, labels.turn), mode, labels.icc, alpha, labels.dpi, "TIFF")
    return stored, notes


def _header(data: bytes) -> Any:
    factory, _ = Image.OPEN["TIFF"]
    try:
        return factory(io.BytesIO(data), "")
    except NOT_THESE:
        return None


def _tiff_by_pillow(
    image: Any, tags: tiff.Tags, labels: Labels, notes: list[str]
) -> tuple[StoredImage, list[str]]:
    name = tiff.FOR_PILLOW.get(tags.compression)
    if image is None:
        kind = f"compression {name}" if name else "YCbCr"
        raise Unreadable(f"a TIFF of {kind} and {tags.bits} bits is not read here; save it as RGB")
    image.load()
    stored = from_image(image, labels)
    if name and stored.bits == 8 < tags.bits <= 16:
        notes = [
            *notes,
            f"{tags.bits} bits a channel are read as 8 from compression {name}; save it with LZW "
            "or without to keep them",
        ]
    return stored, notes
