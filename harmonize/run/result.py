"""A run's picture and record → files."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from harmonize.errors import OutputError
from harmonize.images.atomic_file import check_output, check_own, file_at_hand, write_file
from harmonize.images.image import StoredImage
from harmonize.images.protected import protect
from harmonize.images.write import losses, picture_bytes
from harmonize.scene.scene import Scene


@dataclass(frozen=True, eq=False)
class Result:
    """A finished run."""

    picture: StoredImage  # in the painting's size, depth, mode, profile and alpha
    record: dict[str, Any]  # how it was made, for JSON
    scene: Scene

    @property
    def image(self) -> Image.Image:
        """The picture for Pillow, 8 bits a channel."""
        return self.picture.image

    @property
    def array(self) -> NDArray[Any]:
        """Its pixels: uint8 or uint16, [H, W] or [H, W, C]."""
        return self.picture.pixels

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write picture and record; OutputError: a file exists, or is an input."""
        if not isinstance(path, (str, os.PathLike)):
            raise OutputError(f"path: expected a file's name; got {path!r:.60}")
        target = Path(path)
        made_from = self.scene.paths.items()
        protect(
            [(f"the {role}".replace("_", " "), file) for role, file in made_from if file],
            [("path", target), ("the record beside path", record_path(target))],
        )
        write_result(target, self.picture, self.record, overwrite)


def record_path(picture: Path) -> Path:
    """Return where a picture's record lies."""
    return picture.with_suffix(".json")


def write_result(
    path: Path,
    picture: StoredImage,
    record: dict[str, Any],
    overwrite: bool = False,
    *,
    replace: bool = False,
) -> None:
    """Write picture and record; `replace`: the picture may replace a file."""
    check_output(path, overwrite or replace)
    data = picture_bytes(path, picture)
    whole = {**record, "output": path.name, "output_sha256": hashlib.sha256(data).hexdigest()}
    whole["warnings"] = [*record.get("warnings", ()), *losses(path, picture)]
    write_both(path, data, whole, overwrite, replace=replace)


@contextlib.contextmanager
def or_kept(name: str, write: Callable[[Path], None]) -> Iterator[None]:
    """Where the work within raises an OutputError, `write` to a temporary folder; it says where."""
    try:
        yield
    except OutputError as error:
        kept = _kept(name, write)
        if kept is None:
            raise
        raise OutputError(f"{error}; the picture is kept as {kept}; move it from there") from error


def _kept(name: str, write: Callable[[Path], None]) -> Path | None:
    try:
        folder = Path(tempfile.mkdtemp(prefix="harmonize-"))
    except OSError:
        return None
    try:
        write(folder / name)
    except OutputError:  # this disk is full too
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return folder / name


def write_both(
    path: Path,
    data: bytes,
    record: dict[str, Any],
    overwrite: bool = False,
    *,
    replace: bool = False,
) -> None:
    """Write a picture's bytes, then its record."""
    # The record lies at hand before the picture has its name: whenever the process is killed,
    # `check_own_picture` knows the picture.
    beside = record_path(path)
    check_own_record(beside)
    with file_at_hand(beside, _record_bytes(record), overwrite):
        write_file(path, data, overwrite or replace)


def check_record(path: Path, overwrite: bool = False, missing_folder: bool = False) -> None:
    """Refuse where no record can be written."""
    check_output(path, overwrite, missing_folder)
    check_own_record(path)


def check_own_record(path: Path) -> None:
    """Refuse to replace what is no record."""
    check_own(path, "record of a run", _is_record)


def _is_record(path: Path) -> bool:
    try:
        tree = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and {"config", "inputs", "placement"} <= tree.keys()


def _record_bytes(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, indent=2, ensure_ascii=False)
    # A name that is no UTF-8 has surrogates in it: their escapes are JSON's.
    return f"{text}\n".encode("utf-8", "backslashreplace")
