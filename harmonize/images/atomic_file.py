"""Write files whole or not at all; failure raises an OutputError."""

import contextlib
import hashlib
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

from harmonize.errors import OutputError


def check_output(path: Path, overwrite: bool, missing_folder: bool = False) -> None:
    """Check that a file, or with `missing_folder` its folder too, can be made."""
    try:
        kind = _kind(path)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise OutputError(
            f"{path}: cannot write there ({_reason(error)}); choose another place"
        ) from error
    if kind == stat.S_IFDIR:
        raise OutputError(f"{path}: is a folder; give a file name")
    if kind not in (0, stat.S_IFREG):
        raise OutputError(f"{path}: is no ordinary file; give another name")
    if kind and not overwrite:
        raise OutputError(f"{path}: exists; use `overwrite` to replace it, or another name")
    folder = Path(os.path.realpath(path)).parent
    check_name(path)
    try:
        while missing_folder and not folder.exists():
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{path}: cannot write there ({_reason(error)}); choose another place"
        ) from error


def check_own(path: Path, kind: str, is_own: Callable[[Path], bool]) -> None:
    """Refuse a file that is neither empty nor, by `is_own`, a `kind`."""
    if os.path.isfile(path) and os.path.getsize(path) and not is_own(path):
        raise OutputError(
            f"{path}: is there and no {kind}; give another name, or move that file away"
        )


def check_name(path: Path) -> None:
    """Refuse names that are too long."""
    place, names = os.path.realpath(path), []
    while not os.path.lexists(place):
        place, name = os.path.split(place)
        names.append(name)
    try:
        for name in names:
            _kind(Path(place, name))
    except OSError as error:
        raise OutputError(
            f"{path}: cannot write there ({_reason(error)}); choose another place"
        ) from error


@contextlib.contextmanager
def made_folders(paths: Iterable[Path]) -> Iterator[None]:
    """Make files' folders; empty ones go if the work within fails."""
    made: list[Path] = []
    try:
        for path in paths:
            try:
                _make_folder(Path(os.path.realpath(path)).parent, made)
            except (OSError, ValueError) as error:
                raise OutputError(
                    f"{path}: cannot write there ({_reason(error)}); choose another place"
                ) from error
        yield
    except BaseException:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _make_folder(folder: Path, made: list[Path]) -> None:
    if not folder.exists():  # what is there and no folder is said when it is written to
        _make_folder(folder.parent, made)
        folder.mkdir()
        made.append(folder)


def write_file(path: Path, data: bytes, overwrite: bool = False) -> None:
    """Write a file, through links."""
    check_output(path, overwrite)
    with contextlib.suppress(OSError):
        sweep(path)
    with _file_beside(path, data):
        pass


@contextlib.contextmanager
def file_at_hand(path: Path, data: bytes, overwrite: bool = False) -> Iterator[None]:
    """Write a file that gets its name after the work within; `unfinished` if killed."""
    check_output(path, overwrite)
    with _file_beside(path, data):
        yield
    with contextlib.suppress(OSError):  # not before: what is there may be all that is known
        sweep(path)


@contextlib.contextmanager
def _file_beside(path: Path, data: bytes) -> Iterator[None]:
    target = Path(os.path.realpath(path))
    part = target.with_name(f"{_temporary_start(target)}{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # who may read the file stays as it was
            shutil.copymode(target, part)
        yield
        os.replace(part, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({_reason(error)}); choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _kind(path: Path) -> int:
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def unfinished(path: Path) -> list[Path]:
    """Return what killed writers, on any machine, left beside a file."""
    target = Path(os.path.realpath(path))
    start = _short_name(target)
    try:
        names = os.listdir(target.parent)
    except OSError:
        return []
    return [
        target.parent / name for name in names if name.startswith(start) and name.endswith(".part")
    ]


def _temporary_start(target: Path) -> str:
    host = re.sub(r"[^A-Za-z0-9]", "-", socket.gethostname())[:40]
    return f"{_short_name(target)}{host}."


def _short_name(target: Path) -> str:
    return f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}."


def sweep(path: Path) -> None:
    """Remove what killed writers left beside a file."""
    target = Path(os.path.realpath(path))
    start = _temporary_start(target)
    for name in os.listdir(target.parent):
        number = name.removeprefix(start).removesuffix(".part")
        if name == f"{start}{number}.part" and number.isdecimal():
            with contextlib.suppress(OSError):
                if not psutil.pid_exists(int(number)):
                    os.unlink(target.parent / name)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
