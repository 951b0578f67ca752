"""Files, PIL images and arrays → `StoredImage` pictures, upright, as a viewer shows them.

Only formats in `SAFE` are opened: the others start programs, or are no pictures of pixels.
"""

import hashlib
import io
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from harmonize.errors import InputError
from harmonize.images import color, libvips
from harmonize.images.convert import NOTHING, from_array, from_image, labels_of
from harmonize.images.image import StoredImage

Picture = str | os.PathLike[str] | Image.Image | NDArray[Any]

SAFE = (
    "PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "TGA", "JPEG2000", "AVIF", "ICO",
)  # fmt: skip
MANY = ("PNG", "GIF", "WEBP", "AVIF", "TIFF")  # formats in which more pictures may follow the first
LARGEST = 1 << 31  # bytes of a file
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints its errors


@dataclass(frozen=True)
class Source:
    """One picture as it was given.

    Attributes:
        role: what it is for: `painting`, `patch`, `mask`, …
        stored: the picture.
        path: absolute path of its file, or None.
        sha256: of the file's bytes, or of the pixels of a picture that came without a file.
        warnings: what the user should know of how it was read, a sentence each.
    """

    role: str
    stored: StoredImage
    path: str | None
    sha256: str
    warnings: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """What to call the picture in a message."""
        return name(self.role, self.path)


def name(role: str, path: str | os.PathLike[str] | None = None) -> str:
    """Return what to call a picture in a message."""
    return role.replace("_", " ") + (f" {os.fspath(path)}" if path is not None else "")


def open_picture(role: str, picture: Picture) -> Source:
    """Open and decode one picture; `role` names it in messages.

    Raises:
        InputError: no such file, not a picture in a format that is read here, damaged, too large,
            or an array of the wrong shape or range.
    """
    path = picture if isinstance(picture, (str, os.PathLike)) else None
    where = name(role, path)
    notes: list[str] = []
    data = None if path is None else read_bytes(where, path)
    with _readable(where):
        if data is not None:
            stored, notes = _decoded(data)
        elif isinstance(picture, np.ndarray):
            stored = from_array(where, picture)
        elif isinstance(picture, Image.Image):
            picture.load()
            stored = from_image(picture)
        else:
            raise InputError(f"{where}: expected a path, a PIL image or an array, got {picture!r}")
        digest = hashlib.sha256(data).hexdigest() if data is not None else _digest(stored)
        stored, more = _usable(stored)
    return Source(
        role,
        stored,
        None if path is None else os.path.abspath(path),
        digest,
        tuple(f"{name(role)}: {note}" for note in (*notes, *more)),
    )


def read_srgb(role: str, path: Path) -> Image.Image:
    """Read a finished picture as a viewer shows it: 8-bit RGB in sRGB, without alpha.

    Raises:
        InputError: it cannot be read.
    """
    return open_picture(role, path).stored.shown


def read_bytes(where: str, path: str | os.PathLike[str]) -> bytes:
    """Read a file or a pipe, as far as 2 GiB.

    Raises:
        InputError: it is not there, not readable, neither file nor pipe, or larger.
    """
    try:
        kind = os.stat(path).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind) or stat.S_ISDIR(kind)):
            raise InputError(f"{where}: neither a file nor a pipe; give a picture's file")
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{where}: {reason or 'cannot be read'}") from error
    except MemoryError as error:
        raise _too_large(where) from error
    if len(data) > LARGEST:
        raise InputError(f"{where}: more than 2 GiB; make it smaller, or compress it")
    return data


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn whatever goes wrong in a decoder into an `InputError`; keep its warnings away."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except UnidentifiedImageError as error:
        kinds = f"{', '.join(SAFE[:-1])} or {SAFE[-1]}"
        raise InputError(f"{where}: not an image in a format that is read here: {kinds}") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{where}: too many pixels to open safely; make it smaller") from error
    except MemoryError as error:
        raise _too_large(where) from error
    except libvips.UnknownValues as error:
        raise InputError(f"{where}: {error}; save it with 8 or 16 bits a channel") from error
    except Exception as error:  # decoders of damaged files raise anything
        raise InputError(f"{where}: damaged or truncated image file; export it again") from error


def _too_large(where: str) -> InputError:
    return InputError(f"{where}: too large for this machine's memory; make it smaller")


# --- files ----------------------------------------------------------------------------------------


def _decoded(data: bytes) -> tuple[StoredImage, list[str]]:
    """Decode the first picture of a file, and say what was left or changed."""
    Image.init()
    try:
        image = Image.open(io.BytesIO(data), formats=[kind for kind in SAFE if kind in Image.OPEN])
    except UnidentifiedImageError:
        if not data.startswith(TIFFS):
            raise
        size, icc = libvips.header(data, "TIFF")  # of a layout that Pillow does not know
        _check_size(size)
        return _by_vips(data, StoredImage(NOTHING, icc=icc, format="TIFF")), []
    count, notes = _count(image), []
    if count > 1:
        notes.append(f"holds {count} pictures; only the first is used")
    if image.mode == "F":
        notes.append("its floating values are turned to 16 bits")
    labels = labels_of(image)
    if _is_for_vips(image, data):
        return _by_vips(data, labels), notes
    image.load()
    return replace(from_image(image), format=labels.format), notes


def _count(image: Image.Image) -> int:
    if image.format not in MANY:
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # what follows the first picture is damaged
        return 1


def _is_for_vips(image: Image.Image, data: bytes) -> bool:
    """Whether Pillow would lose half of 16 bits, or complain of a TIFF on the error stream."""
    if image.format == "PNG":
        return data[24] == 16
    return image.format == "TIFF" and image.mode not in ("I", "F", "LAB")


def _by_vips(data: bytes, labels: StoredImage) -> StoredImage:
    pixels, mode, alpha = libvips.read(data, labels.format or "")
    return replace(labels, pixels=pixels, mode=mode, alpha=None if mode == "CMYK" else alpha)


def _check_size(size: tuple[int, int]) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > 2 * limit:
        raise Image.DecompressionBombError


def _usable(stored: StoredImage) -> tuple[StoredImage, list[str]]:
    """Keep a profile if colors can go there and back; say so if not."""
    icc, mode = stored.icc, stored.mode
    if icc is None or (color.fits(icc, mode) and color.reachable(icc, mode)):
        return stored, []
    if not color.fits(icc, mode) or color.is_srgb(icc, mode):
        return replace(stored, icc=None), ["its color profile cannot be used and is left out"]
    return stored.in_srgb(), ["its color profile leads one way only; it is turned to sRGB"]


def _digest(stored: StoredImage) -> str:
    """A hash of what a picture shows, for one that came without a file."""
    digest = hashlib.sha256(f"{stored.mode} {stored.size} {stored.bits} ".encode())
    for part in (stored.pixels, stored.alpha, stored.icc):
        digest.update(b"" if part is None else part.data if isinstance(part, np.ndarray) else part)
    return digest.hexdigest()
