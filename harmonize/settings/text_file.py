"""Files of settings, lists, records."""

import errno
import io
import os
import select
import stat
from pathlib import Path
from typing import BinaryIO

PATIENCE = 30.0  # seconds without a byte from a pipe
MOST_PIPED = 100_000_001  # bytes that are taken from a pipe: more than any such file may have


def opened(path: Path) -> BinaryIO:
    """Open a file or pipe; OSError: silent for half a minute."""
    if not stat.S_ISFIFO(os.stat(path).st_mode):
        return path.open("rb")
    return io.BytesIO(_piped(path))


def _piped(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # to wait for a writer may take for ever
    try:
        events = select.poll()
        events.register(handle, select.POLLIN)
        parts, left = [], MOST_PIPED
        while left > 0:
            if not events.poll(PATIENCE * 1000):
                reason = f"a pipe through which nothing came for {PATIENCE:g} s"
                raise OSError(errno.ETIMEDOUT, reason)
            part = os.read(handle, 1 << 20)
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(handle)
