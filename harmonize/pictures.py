"""Files, PIL images and arrays → `Stored` pictures, upright, as a viewer shows them.

Only formats in `SAFE` are opened: the others start programs, or are no pictures of pixels.
"""

import hashlib
import io
import logging
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from harmonize import colors, vips
from harmonize.errors import InputError
from harmonize.stored import Stored
from harmonize.strips import strips
from harmonize.vips import Pixels

Picture = str | os.PathLike[str] | Image.Image | NDArray[Any]

SAFE = (
    "PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "TGA", "JPEG2000", "AVIF", "ICO",
)  # fmt: skip
MANY = ("PNG", "GIF", "WEBP", "AVIF", "TIFF")  # formats in which more pictures may follow the first
LARGEST = 1 << 31  # bytes of a file
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ORIENTATION = 0x0112  # tag of EXIF
NOTHING = np.empty((0, 0), np.uint8)

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
    stored: Stored
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
            stored = _from_array(where, picture)
        elif isinstance(picture, Image.Image):
            picture.load()
            stored = _from_image(picture)
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
    except Exception as error:  # decoders of damaged files raise anything
        raise InputError(f"{where}: damaged or truncated image file; export it again") from error


def _too_large(where: str) -> InputError:
    return InputError(f"{where}: too large for this machine's memory; make it smaller")


# --- files ----------------------------------------------------------------------------------------


def _decoded(data: bytes) -> tuple[Stored, list[str]]:
    """Decode the first picture of a file, and say what was left or changed."""
    Image.init()
    try:
        image = Image.open(io.BytesIO(data), formats=[kind for kind in SAFE if kind in Image.OPEN])
    except UnidentifiedImageError:
        if not data.startswith(TIFFS):
            raise
        _check_size(vips.size(data, "TIFF"))  # a layout that Pillow does not know
        return _by_vips(data, Stored(NOTHING, format="TIFF")), []
    count, notes = _count(image), []
    if count > 1:
        notes.append(f"holds {count} pictures; only the first is used")
    if image.mode == "F":
        notes.append("its floating values are turned to 16 bits")
    labels = _labels(image)
    if _is_for_vips(image, data):
        return _by_vips(data, labels), notes
    image.load()
    return replace(_from_image(image), format=labels.format), notes


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


def _by_vips(data: bytes, labels: Stored) -> Stored:
    pixels, mode, alpha = vips.read(data, labels.format or "")
    return replace(labels, pixels=pixels, mode=mode, alpha=None if mode == "CMYK" else alpha)


def _check_size(size: tuple[int, int]) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > 2 * limit:
        raise Image.DecompressionBombError


def _labels(image: Image.Image) -> Stored:
    """What a picture says besides its pixels."""
    icc = None if image.mode == "LAB" else image.info.get("icc_profile") or None
    return Stored(NOTHING, icc=icc, dpi=_dpi(image.info.get("dpi")), format=image.format)


def _dpi(dpi: Any) -> tuple[float, float] | None:
    try:
        x, y = float(dpi[0]), float(dpi[1])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def _usable(stored: Stored) -> tuple[Stored, list[str]]:
    """Keep a profile if colors can go there and back; say so if not."""
    icc, mode = stored.icc, stored.mode
    if icc is None or (colors.fits(icc, mode) and colors.reachable(icc, mode)):
        return stored, []
    if not colors.fits(icc, mode) or colors.is_srgb(icc, mode):
        return replace(stored, icc=None), ["its color profile cannot be used and is left out"]
    return stored.in_srgb(), ["its color profile leads one way only; it is turned to sRGB"]


# --- PIL images -----------------------------------------------------------------------------------


def _from_image(image: Image.Image) -> Stored:
    """Take over a decoded PIL image, a strip at a time: Pillow's colors take 4 bytes a pixel."""
    mode, transparent, read = _reader(image)
    turn = _orientation(image)
    size = image.size if turn < 5 else image.size[::-1]
    sample = read(image.crop((0, 0, 1, 1)))
    pixels = np.empty((*size[::-1], vips.CHANNELS[mode]), sample.dtype)
    alpha = np.empty(size[::-1], sample.dtype) if transparent else None
    for rows in strips(image.height, image.width):
        strip = read(image.crop((0, rows.start, image.width, rows.stop)))
        _lying(pixels, turn)[rows] = strip[..., : pixels.shape[2]]
        if alpha is not None:
            _lying(alpha, turn)[rows] = strip[..., -1]
    flat = pixels[..., 0] if mode == "L" else pixels
    return replace(_labels(image), pixels=flat, mode=mode, alpha=alpha)


def _reader(image: Image.Image) -> tuple[str, bool, Callable[[Image.Image], NDArray[Any]]]:
    """The mode that an image is stored in, whether with alpha, and how: a strip → [H, W, C]."""
    if image.mode[0] in "IF":
        return "L", False, _deep_gray(image)
    if image.mode == "LAB":
        return "RGB", False, _from_lab
    if image.mode == "CMYK":
        return "CMYK", False, np.asarray
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    transparent = image.has_transparency_data
    through = mode + "A" * transparent

    def read(strip: Image.Image) -> NDArray[np.uint8]:
        return np.atleast_3d(np.asarray(strip.convert(through)))

    return mode, transparent, read


def _deep_gray(image: Image.Image) -> Callable[[Image.Image], NDArray[Any]]:
    """How to read 16-bit, 32-bit and floating grays; the range of the latter is said nowhere."""
    largest: Any = image.getextrema()[1] if image.mode in ("I", "F") else 65535
    factor = 1.0
    if image.mode == "F":
        factor = 65535.0 if largest <= 1 else 257.0 if largest <= 255 else 1.0
    dtype = np.uint8 if image.mode == "I" and largest <= 255 else np.uint16

    def read(strip: Image.Image) -> NDArray[Any]:
        values = np.nan_to_num(np.asarray(strip, np.float64) * factor)
        return np.clip(np.rint(values), 0, 65535).astype(dtype)[..., None]

    return read


def _from_lab(strip: Image.Image) -> NDArray[Any]:
    stored = np.asarray(strip)  # the last two channels have a sign
    light = stored[..., :1] * np.float32(100 / 255)
    lab = np.concatenate([light, stored[..., 1:].view(np.int8)], -1, dtype=np.float32)
    return vips.lab_to_srgb(lab)


def _orientation(image: Image.Image) -> int:
    """How EXIF says that the picture lies, 1 to 8; 1, upright, where that cannot be read."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data are no damage to the picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _lying(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The same pixels in the order in which a file of that orientation has them."""
    down, across = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    turned = upright[:: -1 if down else 1, :: -1 if across else 1]
    return turned if orientation < 5 else turned.swapaxes(0, 1)


# --- arrays ---------------------------------------------------------------------------------------


def _from_array(where: str, array: NDArray[Any]) -> Stored:
    """Take over an array; one of whole numbers is not copied."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] > 4) or not array.size:
        raise InputError(
            f"{where}: array of shape {array.shape}, expected [H, W] or [H, W, 1 to 4]"
        )
    whole = _whole_numbers(where, array[..., None] if array.ndim == 2 else array)
    channels = whole.shape[2]
    alpha: Pixels | None = np.ascontiguousarray(whole[..., -1]) if channels in (2, 4) else None
    if channels < 3:
        return Stored(np.ascontiguousarray(whole[..., 0]), "L", alpha=alpha)
    return Stored(np.ascontiguousarray(whole[..., :3]), "RGB", alpha=alpha)


def _whole_numbers(where: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"{where}: array of {array.dtype}, expected uint8, uint16, or float in [0, 1]"
        )
    if not (array.min() >= 0 and array.max() <= 1):  # neither is so for NaN
        raise InputError(f"{where}: float array with values outside [0, 1]")
    whole = np.empty(array.shape, np.uint8)
    for rows in strips(*array.shape[:2]):
        whole[rows] = np.rint(array[rows] * 255)
    return whole


def _digest(stored: Stored) -> str:
    """A hash of what a picture shows, for one that came without a file."""
    digest = hashlib.sha256(f"{stored.mode} {stored.size} {stored.bits} ".encode())
    for part in (stored.pixels, stored.alpha, stored.icc):
        digest.update(b"" if part is None else part.data if isinstance(part, np.ndarray) else part)
    return digest.hexdigest()
