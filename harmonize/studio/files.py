"""The pictures of a session, known to the page by their ids alone."""

import io
import os
import re
import secrets
import threading
import warnings
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from harmonize.errors import InputError
from harmonize.images.decoding.signatures import FORMATS
from harmonize.images.image import StoredImage
from harmonize.images.pixels import eight_bits
from harmonize.images.read import open_picture
from harmonize.scene.mask import FAINT
from harmonize.studio.guard import Limits, show_bytes

VIEW = 2048  # pixels: long side of a picture as the page shows it
ROLES = ("painting", "element", "mask")
Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, eq=False)
class File:
    """A picture that the session may read.

    Attributes:
        id: what the page calls it.
        role: `painting`, `element` (a photograph or a cut-out) or `mask`.
        name: of the file, without a folder.
        path: where it lies.
        size: width and height in pixels.
        box: what of it can be seen, or None where nothing is transparent.
        hull: corners of the outline of what can be seen, x and y; empty without a box.
        notes: what the user should know of it, a sentence each.
        source: id of the photograph that it was cut from, or None.
        view: the picture made smaller for the page, encoded.
        shown: the visible part of it made smaller, or None.
    """

    id: str
    role: str
    name: str
    path: Path
    size: tuple[int, int]
    box: Box | None
    hull: list[tuple[int, int]]
    notes: tuple[str, ...]
    source: str | None
    view: bytes
    shown: bytes | None

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the page is told."""
        width, height = self.size
        return {
            "id": self.id,
            "role": self.role,
            "name": self.name,
            "width": width,
            "height": height,
            "box": self.box,
            "hull": self.hull or None,
            "notes": self.notes,
            "source": self.source,
        }


@dataclass(eq=False)
class Files:
    """The session's files: those it was given, and those in its own folder.

    Attributes:
        folder: where uploads lie; whoever made it removes it.
        limits: what is taken in.
    """

    folder: Path
    limits: Limits = field(default_factory=Limits)
    _known: dict[str, File] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _decoding: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(2))

    def get(self, key: object) -> File:
        """Return the file of an id.

        Raises:
            InputError: there is none.
        """
        found = self._known.get(key) if isinstance(key, str) else None
        if found is None:
            raise InputError("this session has no such picture; load it again")
        return found

    def listed(self) -> list[dict[str, Any]]:
        """Return what the page is told of every file."""
        return [file.facts for file in list(self._known.values())]

    def owns(self, file: File) -> bool:
        """Whether a file lies in the session's own folder."""
        return file.path.parent.name in self._sizes

    def room(self, name: str) -> Path:
        """Return a path for a new file, in a folder of its own.

        Raises:
            InputError: the session holds as many files or bytes as it may.
        """
        with self._lock:
            if len(self._sizes) >= self.limits.files:
                raise InputError(f"this session holds {self.limits.files} pictures; start another")
            if sum(self._sizes.values()) >= self.limits.total:
                held = show_bytes(self.limits.total)
                raise InputError(f"this session holds {held} of pictures; start another")
            key = secrets.token_urlsafe(12)
            self._sizes[key] = 0
        (self.folder / key).mkdir()
        return self.folder / key / safe_name(name)

    def discard(self, path: Path) -> None:
        """Remove a file that turned out to be of no use, and its folder."""
        path.unlink(missing_ok=True)
        path.parent.rmdir()
        self._sizes.pop(path.parent.name, None)

    def add(self, role: str, path: Path, source: str | None = None) -> File:
        """Take in the file at `path`: one of the session's own, or one named at its start.

        Raises:
            InputError: it is no picture that can be used, or has too many pixels.
        """
        if role not in ROLES:
            raise InputError("a picture is a painting, an element or a mask")
        with self._decoding:
            check_pixels(role, path, self.limits.pixels)
            opened = open_picture(role, path)
            file = _described(role, path, source, opened.stored, opened.warnings)
        self._known[file.id] = file
        if path.parent.name in self._sizes:
            self._sizes[path.parent.name] = path.stat().st_size
        return file


def safe_name(name: str) -> str:
    """Return the name of an upload as it may stand in a folder and on a command line."""
    stem, suffix = os.path.splitext(name.replace("\\", "/").rpartition("/")[2])
    stem = re.sub(r"[^\w]+", "-", stem).strip("-")[:60] or "picture"
    return stem + re.sub(r"[^.A-Za-z0-9]", "", suffix)[:8].lower()


def check_pixels(role: str, path: Path, most: int) -> None:
    """Read the size in a picture's header, and nothing else of it.

    Raises:
        InputError: it has more than `most` pixels, or is no picture.
    """
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kinds = [kind for kind in FORMATS if kind in Image.OPEN]
            with Image.open(path, formats=kinds) as image:
                width, height = image.size
    except UnidentifiedImageError:
        return  # a TIFF that Pillow does not know, or none: the reader says so
    except Image.DecompressionBombError:
        raise InputError(f"{role}: too many pixels to open safely; make it smaller") from None
    except Exception as error:  # a damaged header raises anything
        raise InputError(f"{role}: damaged or truncated image file; export it again") from error
    if width * height > most:
        raise InputError(
            f"{role}: {width} x {height} pixels, more than the {most / 1e6:.0f} million that are "
            "opened here; make it smaller"
        )


def _described(
    role: str, path: Path, source: str | None, stored: StoredImage, notes: tuple[str, ...]
) -> File:
    picture, box, shown = stored.shown, None, None
    hull: list[tuple[int, int]] = []
    if role == "element" and stored.alpha is not None:
        alpha = eight_bits(stored.alpha)
        if alpha.min() < 255:
            box = visible_box(alpha)
            picture.putalpha(Image.fromarray(alpha))
            if box is None:
                raise InputError("element: all of it is transparent; give another")
            hull = convex_hull(alpha)
            shown = encoded(picture.crop(box))
    return File(
        id=secrets.token_urlsafe(12),
        role=role,
        name=path.name,
        path=path,
        size=stored.size,
        box=box,
        hull=hull,
        notes=notes,
        source=source,
        view=encoded(picture),
        shown=shown,
    )


def visible_box(alpha: NDArray[np.uint8]) -> Box | None:
    """Return left, top, right and bottom of what can be seen in alpha [H, W], 0 to 255."""
    rows, columns = (np.flatnonzero((alpha > FAINT).any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def convex_hull(alpha: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the corners of the smallest convex shape around what can be seen in alpha [H, W]."""
    ends = [
        (x, y)
        for row in np.flatnonzero((alpha > FAINT).any(1)).tolist()
        for columns in (np.flatnonzero(alpha[row] > FAINT),)
        for x in (int(columns[0]), int(columns[-1]) + 1)
        for y in (row, row + 1)
    ]
    points = sorted(set(ends))
    return _chain(points)[:-1] + _chain(points[::-1])[:-1]


def _chain(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """One side of a hull (Andrew, "Another efficient algorithm for convex hulls", 1979)."""
    found: list[tuple[int, int]] = []
    for x, y in points:
        while len(found) > 1:
            (ax, ay), (bx, by) = found[-2:]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            found.pop()
        found.append((x, y))
    return found


def mask_of(path: Path) -> bytes:
    """Return the alpha of a cut-out as a PNG of its size, white where the element is.

    Raises:
        InputError: it has none.
    """
    alpha = open_picture("element", path).stored.alpha
    if alpha is None:
        raise InputError("element: nothing of it is transparent, so there is no mask")
    data = io.BytesIO()
    Image.fromarray(eight_bits(alpha)).save(data, "PNG")
    return data.getvalue()


@lru_cache(maxsize=2)  # before and after
def _pixels(path: Path) -> Image.Image:
    return open_picture("picture", path).stored.shown


def part_of(path: Path, box: tuple[int, ...]) -> bytes:
    """Return a part of a picture, in its own pixels unless it is very large, as PNG.

    `box` is left, top, width and height.

    Raises:
        InputError: it lies outside.
    """
    left, top, width, height = box
    picture = _pixels(path)
    right, down = min(left + width, picture.width), min(top + height, picture.height)
    if right <= left or down <= top:
        raise InputError("that lies outside the picture")
    return encoded(picture.crop((left, top, right, down)), 2 * VIEW)


def encoded(picture: Image.Image, most: int = VIEW, *, quick: bool = False) -> bytes:
    """Return a picture made smaller to `most` pixels, as PNG; `quick`: as WebP, with loss."""
    factor = most / max(picture.size)
    if factor < 1:
        width, height = (max(1, round(side * factor)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    data = io.BytesIO()
    if quick:
        picture.save(data, "WEBP", quality=85, method=1)
    else:
        picture.save(data, "PNG", compress_level=1)
    return data.getvalue()
