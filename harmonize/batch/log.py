"""A batch's log: an event a line."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from harmonize.batch.pace import Pace
from harmonize.batch.runner import Event
from harmonize.errors import OutputError
from harmonize.images.atomic_file import check_own, made_folders
from harmonize.run.result import record_path

LINES_EVERY = 10.0  # seconds between lines on how far a job is


class EventLog:
    """Appends events to a file, as JSON; without a path, nothing."""

    def __init__(
        self, path: Path | None, pace: Pace, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._pace, self._clock = path, pace, clock
        self._said = clock()
        try:
            self._file = path and os.fdopen(
                _appended(path), "a", encoding="utf-8", errors="backslashreplace"
            )
        except OSError as error:
            raise self._cannot(error) from error

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._close()

    def write(self, event: str, **about: Any) -> None:
        if not self._file:
            return
        line = {"time": round(time.time(), 3), "event": event, **about}
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:  # said once
            self._close()
            raise self._cannot(error) from error

    def _close(self) -> None:
        if self._file:
            with suppress(OSError):  # what could not be written has been said
                self._file.close()
        self._file = None

    def tell(self, event: Event) -> None:
        if event.kind == "note":
            about = {} if event.job is None else {"job": event.job.name}
            self.write("note", **about, note=event.note)
        elif event.job is None:
            return
        elif event.step is None:
            self.write(f"job {event.kind}", **_about(event), **self._left(event))
        elif self._clock() - self._said >= LINES_EVERY:
            self._said = self._clock()
            step = event.step
            facts = {"stage": step.stage, "step": step.step, "total": step.total}
            share = round(step.share, 3)
            self.write("job step", job=event.job.name, **facts, share=share, **self._left(event))

    def _left(self, event: Event) -> dict[str, int]:
        left = self._pace.seconds_left
        return {} if left is None or event.kind == "started" else {"seconds_left": round(left)}

    def _cannot(self, error: OSError) -> OutputError:
        return OutputError(
            f"`log_json` {self._path}: cannot be written ({error.strerror}); choose another place"
        )


def _appended(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)
    # A pipe that nobody reads is an error, not a reason to wait.
    handle = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
    os.set_blocking(handle, True)
    return handle


def check_log(path: Path | None) -> None:
    """Refuse where no log can be written; leave only its folder."""
    if path is None:
        return
    there = os.path.exists(path)
    check_own(path, "log of a batch", _is_log)
    with made_folders([path]), EventLog(path, Pace(0)):
        pass
    if not there:
        os.unlink(os.path.realpath(path))


def _is_log(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.readline(1000)
    except OSError:  # said when it is opened to be written
        return True
    return start.startswith(b'{"time": ') and b'"event": "batch started"' in start


def _about(event: Event) -> dict[str, Any]:
    assert event.job is not None  # only events of jobs are told so
    about: dict[str, Any] = {"job": event.job.name}
    if event.kind == "started":
        return {**about, "inputs": {role: str(path) for role, path in event.job.inputs.items()}}
    about["seconds"] = round(event.seconds, 3)
    if event.error:
        return {**about, "error": event.error}
    if event.warnings:
        about["warnings"] = event.warnings
    return {**about, "picture": str(event.job.output), "record": str(record_path(event.job.output))}
