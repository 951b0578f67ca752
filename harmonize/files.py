"""Bytes → a file, written whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

from harmonize.errors import OutputError


def check_output(path: Path, overwrite: bool) -> None:
    """Find out before a long run whether a file could be written.

    Raises:
        OutputError: the file exists and `overwrite` is false, it is a folder, or its folder is
            missing or cannot be written to.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give a file name")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists; use --overwrite to replace it, or another name")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"{path}: cannot write there ({error.strerror})") from error


def write_file(path: Path, data: bytes, overwrite: bool = False) -> None:
    """Write beside the target, then rename: nobody ever sees half a file.

    Raises:
        OutputError: the file exists, or cannot be written.
    """
    check_output(path, overwrite)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
