"""Keep what a command reads from being written.

A file is known by device and inode: through links, relative paths, and letters of any case.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from harmonize.errors import OutputError

Named = tuple[str, str | os.PathLike[str]]  # what messages call a file; its path


def protect(inputs: Iterable[Named], outputs: Iterable[Named]) -> None:
    """Make sure that no output is an input, and that no two outputs are one file.

    Names of inputs are like `the painting`, of outputs like `output`.

    Raises:
        OutputError: the first clash.
    """
    for output, problem in clashes(inputs, outputs):
        raise OutputError(f"{output}: {problem}")


def clashes(inputs: Iterable[Named], outputs: Iterable[Named]) -> Iterator[tuple[str, str]]:
    """Return every output that cannot be written for that reason, and the reason."""
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
    """Return every file in a folder and its subfolders."""
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
    """What a file to come will be known by: its folder, and its name in any case."""
    try:
        folder, name = os.path.split(os.path.realpath(path))
        key = next(iter(_keys(folder)), folder)
    except (OSError, ValueError):  # a name that no file can have is somebody else's to refuse
        return os.fspath(path)
    return key, unicodedata.normalize("NFC", name).casefold()
