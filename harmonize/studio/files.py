"""A session's pictures; the page knows only ids."""

import io
import os
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from harmonize.errors import InputError
from harmonize.images.decoding.decode import quiet
from harmonize.images.decoding.signatures import FORMATS
from harmonize.images.image import StoredImage
from harmonize.images.pixels import Box, eight_bits
from harmonize.images.read import open_picture
from harmonize.scene.mask import FAINT
from harmonize.studio.guard import Limits, show_bytes

VIEW = 2048  # pixels: long side of a picture as the page shows it
THUMB = 240  # the same of a shipped picture
ROLES = ("painting", "element", "mask")
MISREAD = "a request of the page could not be read; load the page again"
SHIPPED = {"paintings": "painting", "cutouts": "element"}


@dataclass(frozen=True, eq=False)
class File:
    """A picture that the session may read."""

    id: str
    role: str
    name: str
    path: Path
    size: tuple[int, int]
    box: Box | None  # what of it can be seen; None: all
    hull: list[tuple[int, int]]  # corners around that
    notes: tuple[str, ...]
    source: str | None  # id of the photograph that it was cut from
    view: bytes  # made smaller, encoded
    shown: bytes | None  # what can be seen of that

    @cached_property
    def facts(self) -> dict[str, Any]:
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
    """A session's files; the caller removes their `folder`."""

    folder: Path
    limits: Limits = field(default_factory=Limits)
    on_change: Callable[[], None] = lambda: None
    _known: dict[str, File] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _decoding: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(2))

    def get(self, key: object) -> File:
        found = self._known.get(key) if isinstance(key, str) else None
        if found is None:
            raise InputError("this session has no such picture; load it again")
        return found

    @property
    def all(self) -> list[File]:
        return list(self._known.values())

    def owns(self, file: File) -> bool:
        return file.path.parent.parent == self.folder

    def room(self, name: str) -> Path:
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

    def without_folder(self, text: str) -> str:
        return re.sub(re.escape(str(self.folder)) + r"[\\/][\w-]+[\\/]", "", text)

    def discard(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
        self._sizes.pop(path.parent.name, None)

    def add(self, role: str, path: Path, source: str | None = None, key: str | None = None) -> File:
        if role not in ROLES:
            raise InputError("expected a painting, an element or a mask")
        with self._decoding:
            _check_pixels(role, path, self.limits.pixels)
            opened = open_picture(role, path)
            file = _described(role, path, source, opened.stored, opened.warnings)
        file = replace(file, id=key or file.id)
        self._known[file.id] = file
        if self.owns(file):
            self._sizes[path.parent.name] = path.stat().st_size
        self.on_change()
        return file


# --- the shipped pictures -------------------------------------------------------------------------


@cache
def samples() -> dict[str, tuple[Path, str]]:
    """Return name → file and role."""
    package = Path(__file__).parent.parent
    inside = package / "samples"  # in a wheel; in a checkout they lie beside the package
    folder = inside if inside.is_dir() else package.parent / "samples"
    return {
        path.stem: (path, role)
        for name, role in SHIPPED.items()
        for path in sorted((folder / name).glob("*.*"))
    }


def sample(name: object) -> tuple[Path, str]:
    """Return a sample's file and role."""
    found = samples().get(name) if isinstance(name, str) else None
    if found is None:
        raise InputError("there is no such sample; load the page again")
    return found


@cache
def thumbnail(path: Path) -> bytes:
    """Return a small sample."""
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        image.load()
        return encoded(image, THUMB, quick=True)


# --- what a picture holds -------------------------------------------------------------------------


def safe_name(name: str) -> str:
    """Return a name fit for folder and command line."""
    stem, suffix = os.path.splitext(name.replace("\\", "/").rpartition("/")[2])
    stem = re.sub(r"[^\w]+", "-", stem).strip("-")[:60] or "picture"
    return stem + re.sub(r"[^.A-Za-z0-9]", "", suffix)[:8].lower()


def _check_pixels(role: str, path: Path, most: int) -> None:
    Image.init()
    try:
        with quiet():
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
            f"{role}: {width} x {height} pixels, more than the limit of {most:,}; make it smaller, "
            "or start the studio with a higher --max-pixels"
        )


def _described(
    role: str, path: Path, source: str | None, stored: StoredImage, notes: tuple[str, ...]
) -> File:
    picture, box, shown = stored.shown, None, None
    hull: list[tuple[int, int]] = []
    if role == "element" and stored.alpha is not None:
        alpha = eight_bits(stored.alpha)
        if alpha.min() < 255:
            box = _visible_box(alpha)
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


def _visible_box(alpha: NDArray[np.uint8]) -> Box | None:
    rows, columns = (np.flatnonzero((alpha > FAINT).any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def convex_hull(alpha: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the hull's corners, x and y."""
    ends = [
        (x, y)
        for row in np.flatnonzero((alpha > FAINT).any(1)).tolist()
        for columns in (np.flatnonzero(alpha[row] > FAINT),)
        for x in (int(columns[0]), int(columns[-1]) + 1)
        for y in (row, row + 1)
    ]
    points = sorted(set(ends))
    return _half_hull(points)[:-1] + _half_hull(points[::-1])[:-1]


# Andrew, "Another efficient algorithm for convex hulls", 1979.
def _half_hull(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for x, y in points:
        while len(found) > 1:
            (ax, ay), (bx, by) = found[-2:]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            found.pop()
        found.append((x, y))
    return found


def alpha_of(path: Path) -> bytes:
    """Return a cut-out's alpha as PNG."""
    alpha = open_picture("element", path).stored.alpha
    if alpha is None:
        raise InputError("element: nothing of it is transparent; cut it out first")
    data = io.BytesIO()
    Image.fromarray(eight_bits(alpha)).save(data, "PNG")
    return data.getvalue()


@lru_cache(maxsize=2)  # before and after
def _pixels(path: Path) -> Image.Image:
    return open_picture("picture", path).stored.shown


def part_of(path: Path, box: tuple[int, ...]) -> bytes:
    """Return `box` (left, top, width, height) of a picture as PNG."""
    left, top, width, height = box
    picture = _pixels(path)
    right, down = min(left + width, picture.width), min(top + height, picture.height)
    if right <= left or down <= top:
        raise InputError("that lies outside the picture; load the page again")
    return encoded(picture.crop((left, top, right, down)), 2 * VIEW)


def encoded(picture: Image.Image, most: int = VIEW, *, quick: bool = False) -> bytes:
    """Return a picture at most `most` pixels long as PNG; `quick`: JPEG or WebP."""
    factor = most / max(picture.size)
    if factor < 1:
        width, height = (max(1, round(side * factor)) for side in picture.size)
        way = Image.Resampling.BILINEAR if quick else Image.Resampling.LANCZOS
        picture = picture.resize((width, height), way, reducing_gap=3.0)
    data = io.BytesIO()
    if not quick:
        picture.save(data, "PNG", compress_level=1)
    elif picture.mode == "RGB":
        picture.save(data, "JPEG", quality=88)
    else:
        picture.save(data, "WEBP", quality=85, method=1)
    return data.getvalue()
