"""Open pictures; unreadable ones raise an InputError."""

import hashlib
import os
import re
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonize.errors import HarmonizeError, InputError
from harmonize.images import color, libvips
from harmonize.images.decoding.decode import Unreadable, decode, quiet
from harmonize.images.decoding.labels import LEFT_OUT, labels_of
from harmonize.images.decoding.memory import from_array, from_image
from harmonize.images.image import StoredImage

Picture = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any]
)

LARGEST_FILE = 1 << 31  # bytes of a file
ADDRESS = re.compile(r"(^|/)(https?|ftp|s3|gs|file|data):/?")
PIPE_WAIT = 30  # seconds without a byte from a pipe


@dataclass(frozen=True)
class Source:
    """A picture as it was given."""

    role: str  # painting, element, mask, …
    stored: StoredImage
    path: str | None  # absolute
    sha256: str  # of the file's bytes, or of the pixels
    warnings: tuple[str, ...] = ()  # on how it was read, a sentence each

    @property
    def where(self) -> str:
        return name(self.role, self.path)


def name(role: str, path: str | os.PathLike[str] | None = None) -> str:
    """Return a picture's name."""
    return role.replace("_", " ") + (f" {os.fspath(path)}" if path is not None else "")


def open_picture(role: str, picture: Picture) -> Source:
    """Open a picture; file objects are read to their end."""
    path = picture if isinstance(picture, (str, os.PathLike)) else None
    where = name(role, path)
    data = bytes_of(where, picture)
    notes: list[str] = []
    with _readable(where), quiet():
        if data is not None:
            stored, notes = decode(data)
        elif isinstance(picture, Image.Image):
            labels = labels_of(picture)
            picture.load()
            stored, notes = from_image(picture, labels), list(labels.notes)
        elif isinstance(picture, np.ndarray):
            stored = from_array(where, picture)
        else:
            raise InputError(
                f"{where}: expected a path, bytes, a binary file, a PIL image or an array, "
                f"got {picture!r:.80}"
            )
        digest = hashlib.sha256(data).hexdigest() if data is not None else _picture_digest(stored)
        stored, more = _usable(stored)
    return Source(
        role,
        stored,
        None if path is None else os.path.abspath(path),
        digest,
        tuple(f"{name(role)}: {note}" for note in (*notes, *more)),
    )


def read_srgb(role: str, path: Path) -> Image.Image:
    """Read 8-bit sRGB on white."""
    return open_picture(role, path).stored.shown


def bytes_of(where: str, picture: Picture) -> bytes | None:
    """Return a file's bytes; None: it is none."""
    if isinstance(picture, (str, os.PathLike)):
        return read_bytes(where, picture)
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return _checked_size(where, bytes(picture))
    if not isinstance(picture, (Image.Image, np.ndarray)) and hasattr(picture, "read"):
        return _read_object(where, picture)
    return None


def read_bytes(where: str, path: str | os.PathLike[str]) -> bytes:
    """Read a file or pipe, up to 2 GiB."""
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISFIFO(kind):
            data = _read_pipe(where, path)
        elif stat.S_ISREG(kind) or stat.S_ISDIR(kind):
            with open(path, "rb") as file:
                data = file.read(LARGEST_FILE + 1)
        else:
            raise InputError(f"{where}: neither a file nor a pipe; give a picture's file")
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else str(error)
        cure = "check its name"
        if isinstance(error, FileNotFoundError) and ADDRESS.search(os.fsdecode(path)):
            cure = "an address is no file: download it, and give the file's name"
        raise InputError(f"{where}: {reason or 'cannot be read'}; {cure}") from error
    except MemoryError as error:
        raise _beyond_memory(where) from error
    return _checked_size(where, data)


def _read_pipe(where: str, path: str | os.PathLike[str]) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        events = select.poll()
        events.register(handle, select.POLLIN)
        parts, length = [], 0
        while length <= LARGEST_FILE:
            if not events.poll(PIPE_WAIT * 1000):
                raise InputError(
                    f"{where}: a pipe through which nothing came for {PIPE_WAIT} s; write "
                    "into it while it is read, or give a file"
                )
            part = os.read(handle, 1 << 20)
            if not part:
                break
            parts.append(part)
            length += len(part)
        return b"".join(parts)
    finally:
        os.close(handle)


def _read_object(where: str, file: Any) -> bytes:
    parts, length = [], 0
    try:
        while length <= LARGEST_FILE and (part := file.read(1 << 24)):
            if not isinstance(part, bytes):
                raise InputError(f"{where}: a text file; open it in binary mode ('rb')")
            parts.append(part)
            length += len(part)
    except (OSError, ValueError) as error:  # ValueError: of a file that is closed
        raise InputError(f"{where}: cannot be read ({error}); open it again") from error
    except MemoryError as error:
        raise _beyond_memory(where) from error
    return _checked_size(where, b"".join(parts))


def _checked_size(where: str, data: bytes) -> bytes:
    if len(data) > LARGEST_FILE:
        raise InputError(f"{where}: more than 2 GiB; make it smaller, or compress it")
    if not data:
        raise InputError(f"{where}: is empty; give a picture's file")
    return data


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except HarmonizeError:
        raise
    except Unreadable as error:
        raise InputError(f"{where}: {error}") from error
    except Image.DecompressionBombError as error:  # by a lower limit of the calling program's
        raise InputError(
            f"{where}: more pixels than PIL.Image.MAX_IMAGE_PIXELS allows; raise that"
        ) from error
    except MemoryError as error:
        raise _beyond_memory(where) from error
    except libvips.UnknownValues as error:
        raise InputError(f"{where}: {error}") from error
    except Exception as error:  # decoders of damaged files raise anything
        raise InputError(f"{where}: damaged or truncated image file; export it again") from error


def _beyond_memory(where: str) -> InputError:
    return InputError(f"{where}: too large for this machine's memory; make it smaller")


def _usable(stored: StoredImage) -> tuple[StoredImage, list[str]]:
    notes = []
    if stored.alpha is not None and not stored.alpha.any():
        stored = replace(stored, alpha=None)
        notes.append("transparent everywhere, as some programs export it; taken as opaque")
    icc, mode = stored.icc, stored.mode
    if icc is None or (color.fits(icc, mode) and color.reachable(icc, mode)):
        return stored, notes
    if not color.fits(icc, mode) or color.is_srgb(icc, mode):
        notes.append(LEFT_OUT)
        return replace(stored, icc=None), notes
    return stored.in_srgb(), [*notes, "its color profile leads one way only; it is turned to sRGB"]


def _picture_digest(stored: StoredImage) -> str:
    digest = hashlib.sha256(f"{stored.mode} {stored.size} {stored.bits} ".encode())
    for part in (stored.pixels, stored.alpha, stored.icc):
        digest.update(b"" if part is None else part.data if isinstance(part, np.ndarray) else part)
    return digest.hexdigest()
