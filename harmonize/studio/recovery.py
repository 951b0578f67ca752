"""A session on disk, should its studio be killed."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harmonize.errors import HarmonizeError, OutputError
from harmonize.images.atomic_file import write_file
from harmonize.studio.results import asked_of, kept_at
from harmonize.studio.routes import Page
from harmonize.studio.tasks import DONE, FAILED, Task

PREFIX = "harmonize-studio-"
SESSION_FILE = "session.json"
BEGINNING = 600.0  # seconds: a studio that begins has an empty folder, for much less
_saving = threading.Lock()


def save(page: Page, address: tuple[str, int], pictures: Sequence[Path | None]) -> None:
    """Write down what the session holds."""
    with _saving, contextlib.suppress(OutputError):  # a full disk stops no painting
        if not page.ending:
            tree = {**_tree_of(page), "address": address, "pictures": _absolute_paths(pictures)}
            write_file(page.files.folder / SESSION_FILE, json.dumps(tree).encode(), overwrite=True)


def forget(page: Page) -> None:
    """Leave nothing to be taken up."""
    (page.files.folder / SESSION_FILE).unlink(missing_ok=True)


def _tree_of(page: Page) -> dict[str, Any]:
    def place(path: Path) -> str:
        return os.path.relpath(path, folder) if folder in path.parents else str(path)

    folder, (_, tasks, _) = page.files.folder, page.tasks.since(-1)
    files = [
        {"key": file.id, "role": file.role, "path": place(file.path), "source": file.source}
        for file in page.files.all
    ]
    runs = [
        {
            "id": task.id,
            "facts": task.facts,
            "seconds": task.seconds,
            "picture": place(task.kept.picture) if task.kept else None,
        }
        for task in tasks
        if task.state != FAILED
    ]
    start = {role: file.id for role, file in page.start.items()}
    return {"id": page.id, "start": start, "files": files, "tasks": runs}


def remove_empty(root: Path) -> None:
    """Remove what was killed before it held anything."""
    for folder in root.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # it holds something
            if time.time() - folder.stat().st_mtime > BEGINNING:
                folder.rmdir()


def find_session(root: Path, pictures: Sequence[Path | None]) -> tuple[Path, dict[str, Any]] | None:
    """Take over the latest killed session that began with `pictures`."""
    found = [path for path in root.glob(f"{PREFIX}*/{SESSION_FILE}") if _mine(path)]
    for path in sorted(found, key=lambda one: one.stat().st_mtime, reverse=True):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            tree = json.loads(path.read_bytes())
            if tree["pictures"] == _absolute_paths(pictures) and not _answers(*tree["address"]):
                folder = root / f"{PREFIX}{secrets.token_hex(6)}"
                path.parent.rename(folder)  # of two that begin at once, one succeeds
                return folder, tree
    return None


def restore_session(page: Page, tree: dict[str, Any]) -> None:
    """Load a session; the unpainted waits again."""
    files = page.files
    for item in tree["files"]:
        with contextlib.suppress(HarmonizeError):  # one is gone meanwhile
            files.add(item["role"], files.folder / item["path"], item["source"], item["key"])
    known = {file.id: file for file in files.all}
    page.start.update({role: known[key] for role, key in tree["start"].items() if key in known})
    used = {file.path.parent for file in known.values()}
    for item in tree["tasks"]:
        with contextlib.suppress(HarmonizeError):
            given = item["facts"]["asked"].items()
            asked = asked_of({key: value for key, value in given if value is not None}, files)
            task = Task(asked, item["facts"], item["id"], seconds=item["seconds"])
            if item["picture"]:
                task.kept = kept_at(asked, files.folder / item["picture"])
                task.state, task.share = DONE, 1.0
                used.add(task.kept.picture.parent)
            page.tasks.take_up(task)
    for folder in files.folder.iterdir():
        if folder.is_dir() and folder not in used:  # half an upload, half a picture
            shutil.rmtree(folder, ignore_errors=True)


def _absolute_paths(pictures: Sequence[Path | None]) -> list[str | None]:
    return [None if path is None else str(path.absolute()) for path in pictures]


def _mine(path: Path) -> bool:
    # Nobody else can have made it.
    made = path.parent.lstat()
    return not hasattr(os, "getuid") or (made.st_uid == os.getuid() and made.st_mode & 0o77 == 0)


def _answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False
