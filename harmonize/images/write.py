"""Write pictures; failure raises an OutputError."""

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image

from harmonize.errors import OutputError
from harmonize.images import libvips
from harmonize.images.atomic_file import check_output, write_file
from harmonize.images.decoding.containers import png_without_resolution, tiff_without_resolution
from harmonize.images.image import StoredImage

WRITABLE = {
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
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True, "exact": True},
    "BMP": {"dpi": (0, 0)},
}
LONGEST_SIDES = {"JPEG": 65500, "WEBP": 16383}  # pixels a side
LONGEST_PROFILE = {"PNG": 1 << 20, "JPEG": 255 * 65519, "BMP": 0}  # bytes that Pillow reads again
MOST_JPEG_DPI = 65535
WITHOUT_RESOLUTION = {"PNG": png_without_resolution, "TIFF": tiff_without_resolution}
LARGE, RUNS = 4_000_000, 3  # pixels; zlib's strategy Z_RLE
GAP = 12  # pixels between the pictures of a sheet
SEAL = b"painterly-harmonize: cut-out "  # in a cut-out that was made for a picture, and its SHA-256
MARK = b"painterly-harmonize: made beside a result"  # in sheets, frames and pictures so far


def default_output(painting: str | os.PathLike[str]) -> Path:
    """Return `NAME-harmonized.EXT`, PNG for formats not written."""
    path = Path(painting)
    suffix = path.suffix if path.suffix.lower() in WRITABLE else ".png"
    return Path(f"{path.stem}-harmonized{suffix}")


def picture_format(path: Path) -> str:
    """Return Pillow's name of the format."""
    try:
        return WRITABLE[path.suffix.lower()]
    except KeyError:
        raise OutputError(
            f"{path}: unknown picture format; use one of {', '.join(WRITABLE)}"
        ) from None


def check_size(path: Path, size: tuple[int, int]) -> None:
    """Check that the format holds that size."""
    kind = picture_format(path)
    if max(size) > LONGEST_SIDES.get(kind, max(size)):
        raise OutputError(
            f"{path}: {kind} holds pictures of up to {LONGEST_SIDES[kind]} pixels a side, not "
            f"{size[0]} x {size[1]}; use another format"
        )


def fitting(kind: str, picture: StoredImage) -> StoredImage:
    """Return what format `kind` holds: other colors become sRGB, transparency white."""
    if picture.bits == 16 and kind not in DEEP:
        picture = picture.in_8_bits()
    if not _holds_alpha(kind, picture):
        picture = picture.on_white()
    foreign = picture.mode == "CMYK" and kind not in WITH_CMYK
    gray_profile = picture.mode == "L" and picture.icc and kind == "WEBP"  # WebP holds no grays
    if foreign or gray_profile or _too_long(kind, picture) or _unheard_of(kind, picture):
        picture = picture.in_srgb()
    return picture


def losses(path: Path, picture: StoredImage) -> tuple[str, ...]:
    """Tell what the format cannot hold."""
    kind = picture_format(path)
    check_size(path, picture.size)
    found = []
    if picture.bits == 16 and kind not in DEEP:
        found.append(
            f"{path.name}: {kind} holds 8 of the painting's 16 bits a channel; use PNG or TIFF"
        )
    if picture.alpha is not None and not _holds_alpha(kind, picture):
        cure = "turn the painting to RGB" if picture.mode == "CMYK" else "use PNG, TIFF or WebP"
        held = "CMYK is written without" if picture.mode == "CMYK" else f"{kind} holds no"
        found.append(f"{path.name}: {held} transparency, it comes out white; {cure}")
    if picture.mode == "CMYK" and kind not in WITH_CMYK:
        found.append(f"{path.name}: {kind} holds no CMYK, it comes out in sRGB; use TIFF or JPEG")
    elif picture.icc and len(picture.icc) > LONGEST_PROFILE.get(kind, len(picture.icc)) > 0:
        found.append(
            f"{path.name}: other programs read no {kind} with a profile of {len(picture.icc):,} "
            "bytes, it comes out in sRGB; use TIFF"
        )
    elif picture.icc and _unheard_of(kind, picture):
        found.append(
            f"{path.name}: other programs read no TIFF of 16-bit grays with profile and alpha, it "
            "comes out in sRGB; use PNG"
        )
    return tuple(found)


def _holds_alpha(kind: str, picture: StoredImage) -> bool:
    return kind in WITH_ALPHA and picture.mode != "CMYK"  # Pillow would not read that again


def _too_long(kind: str, picture: StoredImage) -> bool:
    icc = picture.icc or b""
    return len(icc) > LONGEST_PROFILE.get(kind, len(icc))


def _unheard_of(kind: str, picture: StoredImage) -> bool:
    # Pillow does not read 16-bit grays with alpha; they become RGB.
    deep_gray = picture.mode == "L" and picture.bits == 16 and picture.alpha is not None
    return kind == "TIFF" and deep_gray


def marked(kind: str, data: bytes) -> bytes:
    """Mark a file as no result."""
    if kind == "PNG":
        return _with_text(data, MARK)
    if kind == "JPEG":
        return data[:2] + b"\xff\xfe" + (len(MARK) + 2).to_bytes(2, "big") + MARK + data[2:]
    return data + MARK


def is_marked(path: Path) -> bool:
    """Tell whether a file has that mark."""
    near = 8 * len(MARK)
    try:
        with path.open("rb") as file:
            start = file.read(near)
            file.seek(-min(near, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return MARK in start or MARK in file.read()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return False


def _with_text(png: bytes, text: bytes) -> bytes:
    chunk = b"tEXtSoftware\0" + text
    length, check = (number.to_bytes(4, "big") for number in (len(chunk) - 4, crc32(chunk)))
    return png[:33] + length + chunk + check + png[33:]


def sealed(picture: StoredImage) -> bytes:
    """Return a PNG that tells whether it was edited since."""
    data = encode_as("PNG", picture)
    return _with_text(data, SEAL + hashlib.sha256(data).hexdigest().encode())


def is_sealed(path: Path) -> bool:
    """Tell whether a file is, to the byte, what `sealed` returned."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    length = len(_with_text(b"", SEAL)) + 64
    plain = data[:33] + data[33 + length :]
    return data == _with_text(plain, SEAL + hashlib.sha256(plain).hexdigest().encode())


def write_picture(
    path: Path, picture: StoredImage, overwrite: bool = False, *, mark: bool = False
) -> str:
    """Write what the format can hold, `marked` or not; return the SHA-256."""
    check_output(path, overwrite)
    data = picture_bytes(path, picture)
    data = marked(picture_format(path), data) if mark else data
    write_file(path, data, overwrite)
    return hashlib.sha256(data).hexdigest()


def picture_bytes(path: Path, picture: StoredImage) -> bytes:
    """Return what a file of this name would hold; OutputError: it cannot hold the picture."""
    kind = picture_format(path)
    held = fitting(kind, picture)
    try:
        return encode_as(kind, held)
    except MemoryError:
        raise
    except Exception as error:  # encoders raise anything
        width, height = picture.size
        raise OutputError(
            f"{path}: a picture of {width} x {height} pixels cannot be written as {kind} "
            f"({error}); use another format"
        ) from error


def encode_as(kind: str, picture: StoredImage) -> bytes:
    """Encode a picture that `fitting` returned."""
    if picture.bits == 16:
        data = libvips.encode(
            picture.pixels, picture.mode, picture.alpha, kind, picture.icc, picture.dpi
        )
        return data if picture.dpi else WITHOUT_RESOLUTION[kind](data)
    options = dict(SAVE_OPTIONS.get(kind, {}))
    if kind == "PNG" and picture.alpha is not None and picture.alpha.size > LARGE:
        options["compress_type"] = RUNS  # a cut-out is as small so, in a third of the time
    if picture.icc:
        options["icc_profile"] = picture.icc
    if picture.dpi and (kind != "JPEG" or max(picture.dpi) < MOST_JPEG_DPI):
        options["dpi"] = picture.dpi
    file = io.BytesIO()
    picture.image.save(file, kind, **options)
    return file.getvalue()


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put sRGB pictures side by side on white."""
    board = Image.new("RGB", _sheet_size([item.size for item in pictures]), "white")
    left = 0
    for item in pictures:
        board.paste(item, (left, 0))
        left += item.width + GAP
    return board


def check_sheet(path: Path, sizes: Sequence[tuple[int, int]]) -> None:
    """Check that the format holds the sheet."""
    check_size(path, _sheet_size(sizes))


def _sheet_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    width = sum(wide for wide, _ in sizes) + GAP * (len(sizes) - 1)
    return width, max(high for _, high in sizes)


def write_sheet(path: Path, pictures: Sequence[Image.Image], overwrite: bool = False) -> None:
    """Write pictures side by side."""
    write_picture(path, StoredImage(np.asarray(sheet(pictures))), overwrite, mark=True)
