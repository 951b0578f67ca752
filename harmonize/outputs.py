"""Pictures and records → files, each written whole or not at all.

The family of a picture's format is told by its extension. PNG, TIFF, WebP and BMP are written
without loss, JPEG at quality 95 without chroma subsampling.
"""

import contextlib
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonize.errors import OutputError
from harmonize.inputs import ImageMeta

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
}
WITH_ALPHA = ("PNG", "TIFF", "WEBP")
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True, "exact": True},
}
GAP = 12  # pixels between the pictures of a sheet


def default_output(painting: str | os.PathLike[str]) -> Path:
    """Return `NAME-harmonized.EXT` in the current folder, in the painting's format family.

    A painting in a format that is not written here (a GIF, say) gives a PNG.
    """
    path = Path(painting)
    suffix = path.suffix if path.suffix.lower() in FORMATS else ".png"
    return Path(f"{path.stem}-harmonized{suffix}")


def check_output(path: Path, overwrite: bool) -> None:
    """Find out before a long run whether a file could be written.

    Raises:
        OutputError: the file exists and `overwrite` is false, it is a folder, or its folder is
            missing or cannot be written to.
    """
    if os.path.isdir(path):
        raise OutputError(f"{path}: is a folder; give a file name")
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"{path}: exists; use --overwrite to replace it, or another name")
    try:
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=".part", dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"{path}: cannot write there ({error.strerror})") from error


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


def with_meta(pixels: NDArray[np.uint8], meta: ImageMeta) -> Image.Image:
    """Return uint8 [H, W, 3] as a picture of the painting's mode, with its alpha and profile."""
    image = Image.fromarray(pixels).convert(meta.mode)
    if meta.alpha is not None:
        image.putalpha(Image.fromarray(meta.alpha))
    if meta.icc:
        image.info["icc_profile"] = meta.icc
    if meta.dpi:
        image.info["dpi"] = meta.dpi
    return image


def meta_of(image: Image.Image) -> ImageMeta:
    """Return what `with_meta` gave a picture."""
    return ImageMeta(
        mode="L" if image.mode in ("L", "LA") else "RGB",
        icc=image.info.get("icc_profile"),
        alpha=np.asarray(image.getchannel("A")) if "A" in image.getbands() else None,
        dpi=image.info.get("dpi"),
    )


def write_picture(
    path: Path, image: Image.Image | NDArray[np.uint8], meta: ImageMeta, overwrite: bool = False
) -> str:
    """Write a picture with the painting's mode, alpha, color profile and resolution.

    Returns the SHA-256 of the file.

    Args:
        path: where to; the extension says the format.
        image: RGB pixels, uint8 [H, W, 3], or a picture of which only the colors are taken.
        meta: from the painting's `Scene`.
        overwrite: replace a file that is there.

    Raises:
        OutputError: the file exists, or cannot be written.
    """
    kind = picture_format(path)
    pixels = np.asarray(image.convert("RGB")) if isinstance(image, Image.Image) else image
    picture = with_meta(pixels, meta)
    options = dict(OPTIONS.get(kind, {}))
    if meta.icc and not (kind == "WEBP" and meta.mode == "L"):  # WebP holds no grays
        options["icc_profile"] = meta.icc
    if meta.dpi:
        options["dpi"] = meta.dpi
    if kind not in WITH_ALPHA:
        picture = picture.convert(meta.mode)
    data = io.BytesIO()
    picture.save(data, kind, **options)
    write_file(path, data.getvalue(), overwrite)
    return hashlib.sha256(data.getvalue()).hexdigest()


def record_path(picture: Path) -> Path:
    """Return where the record of a picture lies: beside it."""
    return picture.with_suffix(".json")


def write_result(
    path: Path,
    image: Image.Image,
    meta: ImageMeta,
    record: dict[str, Any],
    overwrite: bool = False,
    *,
    replace: bool = False,
) -> None:
    """Write a run's picture and then, beside it, its record with the picture's name and hash.

    `replace` lets the picture alone take a file's place: the picture so far of the same run.

    Raises:
        OutputError: a file exists, or cannot be written.
    """
    digest = write_picture(path, image, meta, overwrite or replace)
    whole = {**record, "output": path.name, "output_sha256": digest}
    write_record(record_path(path), whole, overwrite)


def write_record(path: Path, record: dict[str, Any], overwrite: bool = False) -> None:
    """Write a run record as JSON.

    Raises:
        OutputError: the file exists, or cannot be written.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False)
    # A name that is no UTF-8 has surrogates in it: their escapes are JSON's.
    write_file(path, f"{text}\n".encode("utf-8", "backslashreplace"), overwrite)


def sheet(images: Sequence[Image.Image | NDArray[np.uint8]]) -> Image.Image:
    """Return pictures side by side on white, at their own sizes."""
    pictures = [item if isinstance(item, Image.Image) else Image.fromarray(item) for item in images]
    width = sum(item.width for item in pictures) + GAP * (len(pictures) - 1)
    board = Image.new("RGB", (width, max(item.height for item in pictures)), "white")
    left = 0
    for item in pictures:
        board.paste(item.convert("RGB"), (left, 0))
        left += item.width + GAP
    return board


def write_sheet(
    path: Path,
    images: Sequence[Image.Image | NDArray[np.uint8]],
    meta: ImageMeta,
    overwrite: bool = False,
) -> None:
    """Write pictures side by side, in the painting's colors.

    Raises:
        OutputError: the file exists, or cannot be written.
    """
    icc = meta.icc if meta.mode == "RGB" else None
    write_picture(path, sheet(images), ImageMeta(icc=icc), overwrite)


def write_file(path: Path, data: bytes, overwrite: bool = False) -> None:
    """Write beside the target, then rename: nobody ever sees half a file.

    Raises:
        OutputError: the file exists, or cannot be written.
    """
    check_output(path, overwrite)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
