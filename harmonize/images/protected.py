"""Keep inputs from being written, by whatever name."""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from harmonize.errors import OutputError

Named = tuple[str, str | os.PathLike[str]]  # what messages call a file; its path


def protect(inputs: Iterable[Named], outputs: Iterable[Named]) -> None:
    """Refuse outputs that are inputs or one another."""
    for output, problem in clashes(inputs, outputs):
        raise OutputError(f"{output}: {problem}")


def clashes(inputs: Iterable[Named], outputs: Iterable[Named]) -> Iterator[tuple[str, str]]:
    """Yield each output not to be written, and why."""
    own = {key: (name, path) for name, path in inputs for key in _keys(path)}
    taken: dict[object, Named] = {}
    for name, path in outputs:
        if os.fspath(path) == "-":
            yield (
                name,
                "-: only pictures of harmonize run and cutout go to standard output; give a file",
            )
            continue
        keys = [*_keys(path), _place(path)]
        clash = next((own[key] for key in keys if key in own), None)
        if clash is not None:
            yield name, _refusal(path, f"is {clash[0]}", clash[1], "which is never replaced")
        other = next((taken[key] for key in keys if key in taken), None)
        if other is not None:
            yield name, _refusal(path, f"is the file of {other[0]} too", other[1], "they need two")
        taken |= {key: (name, path) for key in keys if key not in taken}


def files_under(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield all files in a folder and below."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


def _refusal(
    path: str | os.PathLike[str], what: str, other: str | os.PathLike[str], why: str
) -> str:
    also = "" if os.fspath(other) == os.fspath(path) else f" ({os.fspath(other)})"
    return f"{os.fspath(path)} {what}{also}, {why}; give another name"


def _keys(path: str | os.PathLike[str]) -> list[object]:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return []
    return [(found.st_dev, found.st_ino)]


def _place(path: str | os.PathLike[str]) -> object:
    try:
        folder, name = os.path.split(os.path.realpath(path))
        key = next(iter(_keys(folder)), folder)
    except (OSError, ValueError):  # a name that no file can have is somebody else's to refuse
        return os.fspath(path)
    return key, unicodedata.normalize("NFC", name).casefold()
