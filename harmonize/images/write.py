"""Pictures → files.

The extension tells the format. PNG, TIFF, WebP and BMP are written without loss, JPEG at quality 95
without chroma subsampling.
"""

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image

from harmonize.errors import OutputError
from harmonize.images import libvips
from harmonize.images.atomic_file import check_output, write_file
from harmonize.images.image import StoredImage

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
}
DEEP = ("PNG", "TIFF")  # 16 bits a channel
WITH_ALPHA = ("PNG", "TIFF", "WEBP")
WITH_CMYK = ("TIFF", "JPEG")
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True, "exact": True},
}
LONGEST = {"JPEG": 65500, "WEBP": 16383}  # pixels a side
GAP = 12  # pixels between the pictures of a sheet
MARK = b"painterly-harmonize: made beside a result"  # in sheets, frames and pictures so far


def default_output(painting: str | os.PathLike[str]) -> Path:
    """Return `NAME-harmonized.EXT` in the current folder, in the painting's format family.

    A painting in a format that is not written here (a GIF, say) gives a PNG.
    """
    path = Path(painting)
    suffix = path.suffix if path.suffix.lower() in FORMATS else ".png"
    return Path(f"{path.stem}-harmonized{suffix}")


def picture_format(path: Path) -> str:
    """Return Pillow's name of the format that the extension stands for.

    Raises:
        OutputError: no format that is written here has that extension.
    """
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise OutputError(
            f"{path}: unknown picture format; use one of {', '.join(FORMATS)}"
        ) from None


def _encoded(kind: str, picture: StoredImage) -> bytes:
    if picture.bits == 16:
        return libvips.encode(
            picture.pixels, picture.mode, picture.alpha, kind, picture.icc, picture.dpi
        )
    options = dict(OPTIONS.get(kind, {}))
    if picture.icc:
        options["icc_profile"] = picture.icc
    if picture.dpi:
        options["dpi"] = picture.dpi
    data = io.BytesIO()
    picture.image.save(data, kind, **options)
    return data.getvalue()


def fitting(kind: str, picture: StoredImage) -> StoredImage:
    """Return what a file of the format `kind` can hold of a picture.

    16 bits go to PNG and TIFF, alpha to these and WebP, CMYK to TIFF and JPEG, profiles to all but
    BMP. Colors that must leave their space come out in sRGB.
    """
    if picture.bits == 16 and kind not in DEEP:
        picture = picture.in_8_bits()
    if picture.alpha is not None and kind not in WITH_ALPHA:
        picture = replace(picture, alpha=None)
    foreign = picture.mode == "CMYK" and kind not in WITH_CMYK
    gray_profile = picture.mode == "L" and picture.icc and kind == "WEBP"  # WebP holds no grays
    if foreign or gray_profile or (picture.icc and kind == "BMP"):
        picture = picture.in_srgb()
    return picture


def losses(path: Path, picture: StoredImage) -> tuple[str, ...]:
    """Return what the format of `path` cannot hold of a picture, a sentence each.

    Raises:
        OutputError: it cannot hold the picture at all.
    """
    kind = picture_format(path)
    _check_size(path, picture.size)
    held = fitting(kind, replace(picture, pixels=picture.pixels[:1], alpha=None))
    found = []
    if picture.bits != held.bits:
        found.append(
            f"{path.name}: {kind} holds 8 of the painting's 16 bits a channel; use PNG or TIFF"
        )
    if picture.alpha is not None and kind not in WITH_ALPHA:
        found.append(f"{path.name}: {kind} holds no transparency; use PNG, TIFF or WebP")
    if picture.mode == "CMYK" != held.mode:
        found.append(f"{path.name}: {kind} holds no CMYK, it comes out in sRGB; use TIFF or JPEG")
    return tuple(found)


def marked(kind: str, data: bytes) -> bytes:
    """Return a picture file's bytes with the mark of those that are no results.

    As a comment in PNG and JPEG; after the end in other formats, where readers pass it by.
    """
    if kind == "PNG":
        chunk = b"tEXtSoftware\0" + MARK
        length, check = (number.to_bytes(4, "big") for number in (len(chunk) - 4, crc32(chunk)))
        return data[:33] + length + chunk + check + data[33:]
    if kind == "JPEG":
        return data[:2] + b"\xff\xfe" + (len(MARK) + 2).to_bytes(2, "big") + MARK + data[2:]
    return data + MARK


def is_marked(path: Path) -> bool:
    """Whether a file has that mark; false where it cannot be read."""
    near = 8 * len(MARK)
    try:
        with path.open("rb") as file:
            start = file.read(near)
            file.seek(-min(near, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return MARK in start or MARK in file.read()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return False


def write_picture(
    path: Path, picture: StoredImage, overwrite: bool = False, *, mark: bool = False
) -> str:
    """Write a picture in its own depth, mode and profile, as far as the format holds them.

    Returns the SHA-256 of the file. The extension of `path` says the format. With `mark` no batch
    takes it for a painting.

    Raises:
        OutputError: the file exists, or cannot be written.
    """
    kind = picture_format(path)
    check_output(path, overwrite)
    held = fitting(kind, picture)
    try:
        data = _encoded(kind, held)
    except MemoryError:
        raise
    except Exception as error:  # encoders raise anything
        width, height = picture.size
        raise OutputError(
            f"{path}: a picture of {width} x {height} pixels cannot be written as {kind} "
            f"({error}); use another format"
        ) from error
    data = marked(kind, data) if mark else data
    write_file(path, data, overwrite)
    return hashlib.sha256(data).hexdigest()


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures in sRGB side by side on white, at their own sizes."""
    width = sum(item.width for item in pictures) + GAP * (len(pictures) - 1)
    board = Image.new("RGB", (width, max(item.height for item in pictures)), "white")
    left = 0
    for item in pictures:
        board.paste(item, (left, 0))
        left += item.width + GAP
    return board


def check_sheet(path: Path, sizes: Sequence[tuple[int, int]]) -> None:
    """Find out whether the format of a sheet holds pictures of these sizes side by side.

    Raises:
        OutputError: it does not.
    """
    width = sum(wide for wide, _ in sizes) + GAP * (len(sizes) - 1)
    _check_size(path, (width, max(high for _, high in sizes)))


def _check_size(path: Path, size: tuple[int, int]) -> None:
    kind = picture_format(path)
    if max(size) > LONGEST.get(kind, max(size)):
        raise OutputError(
            f"{path}: {kind} holds pictures of up to {LONGEST[kind]} pixels a side, not "
            f"{size[0]} x {size[1]}; use another format"
        )


def write_sheet(path: Path, pictures: Sequence[Image.Image], overwrite: bool = False) -> None:
    """Write pictures in sRGB side by side.

    Raises:
        OutputError: the file exists, or cannot be written.
    """
    write_picture(path, StoredImage(np.asarray(sheet(pictures))), overwrite, mark=True)
