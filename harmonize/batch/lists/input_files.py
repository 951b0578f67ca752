"""What names and patterns mean."""

import fnmatch
import glob
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from harmonize.images.write import is_marked
from harmonize.run.record import record_beside

# What lies beside pictures: records, reports, lists, sidecars, leftovers of other programs.
BESIDE = {
    *(".json", ".checkpoint", ".html", ".log", ".yaml", ".yml", ".csv", ".tsv", ".txt", ".md"),
    *(".xmp", ".aae", ".pp3", ".dop", ".cos", ".mov", ".mp4", ".pdf", ".zip"),
    *(".db", ".ini", ".lnk", ".url", ".webloc", ".bak", ".tmp", ".part", ".crdownload"),
}

Skip = Callable[[Path], bool]
PathPart = str | re.Pattern[str]  # of a path: a name, or what a name must match


def folded(name: str) -> str:
    """Return a name without case and Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def actual(path: Path) -> Path:
    """Return the path, else the only one but for case or Unicode form."""
    if os.path.lexists(path):
        return path
    found = list(_found(Path(path.anchor or "."), path.relative_to(path.anchor).parts))
    if not found and (other := with_slashes(str(path))) != str(path):
        return actual(Path(other))
    return found[0] if len(found) == 1 else path


def with_slashes(path: str) -> str:
    """Return a Windows path as it is written here."""
    return path.replace("\\", os.sep)


def matching(pattern: str, base: Path) -> list[Path]:
    """Return a glob's files, sorted; `**` is any folders."""
    asked = Path(pattern)
    parts: list[PathPart] = []
    names = asked.relative_to(asked.anchor).parts
    for name in (*names, "*") if names[-1:] == ("**",) else names:
        if name == "**" and parts and parts[-1] == "**":
            continue
        magic = name != "**" and glob.has_magic(name)
        parts.append(re.compile(fnmatch.translate(folded(name))) if magic else name)
    found = set(_found(Path(asked.anchor) if asked.anchor else base, parts))
    return sorted(path for path in found if os.path.isfile(path) and not is_beside(path))


def is_beside(path: Path) -> bool:
    """Tell whether a file accompanies pictures."""
    return path.suffix.lower() in BESIDE or path.name.endswith(("~", "\r"))


def _found(folder: Path, parts: Sequence[PathPart]) -> Iterator[Path]:
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        for inner in _folders(folder, set()):
            yield from _found(inner, rest)
    elif isinstance(first, str):
        exact = folder / first
        if first == ".." or os.path.lexists(exact):
            yield from _found(exact, rest)
        else:
            for name in _names(folder):
                if folded(name) == folded(first):
                    yield from _found(folder / name, rest)
    else:
        hidden = first.pattern.startswith(("(?s:\\.", "\\."))
        for name in _names(folder):
            if first.match(folded(name)) and (hidden or not name.startswith(".")):
                yield from _found(folder / name, rest)


def _folders(folder: Path, seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    yield folder
    for name in _names(folder):
        if not name.startswith(".") and os.path.isdir(folder / name):
            yield from _folders(folder / name, seen)


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(folder))
    return []


def visible(folder: Path, skip: Skip) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each visible folder with the files that `skip` leaves."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not skip(Path(place, name))
        )
        files = [Path(place, name) for name in sorted(names) if not name.startswith(".")]
        yield Path(place), [path for path in files if os.path.isfile(path) and not skip(path)]


def own_files(output: Path) -> Skip:
    """Return a test for this program's files and those in `output`."""
    root = os.path.realpath(output)

    def skip(path: Path) -> bool:
        inside = Path(os.path.realpath(path)).is_relative_to(root)
        return inside or bool(record_beside(path)) or (os.path.isfile(path) and is_marked(path))

    return skip
