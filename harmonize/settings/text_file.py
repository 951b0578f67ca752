"""Files of settings, lists and records, opened without waiting for ever."""

import errno
import os
import select
import stat
from pathlib import Path
from typing import BinaryIO

PATIENCE = 30.0  # seconds without a byte from a pipe


def opened(path: Path) -> BinaryIO:
    """Open a file to be read; a pipe must have someone who writes into it.

    Raises:
        OSError: it cannot be opened, or nothing comes through the pipe.
        ValueError: no file can have that name.
    """
    if not stat.S_ISFIFO(os.stat(path).st_mode):
        return path.open("rb")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # to wait for a writer may take for ever
    events = select.poll()
    events.register(handle, select.POLLIN)
    if not events.poll(PATIENCE * 1000):
        os.close(handle)
        reason = f"a pipe through which nothing came for {PATIENCE:g} s"
        raise OSError(errno.ETIMEDOUT, reason)
    os.set_blocking(handle, True)
    return os.fdopen(handle, "rb")
