"""Paint one run at a time."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harmonize.errors import HarmonizeError, InputError, MemoryLimitError, StopRun

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
MOST_WAITING = 20


class Abandoned(BaseException):
    """Raised in a run when the server ends."""


@dataclass(eq=False)
class Task:
    """One run."""

    asked: Any
    facts: dict[str, Any]  # what is asked for, as the page knows it
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: str = WAITING
    stage: str = ""
    share: float = 0.0  # that is done, 0 to 1
    seconds: float = 0.0
    left: float | None = None  # seconds to come
    picture: bytes | None = None
    pictures: int = 0
    kept: Any = None
    stopped: bool = False
    error: str | None = None
    version: int = 0  # grows with every change of any task

    @property
    def told(self) -> dict[str, Any]:
        names = ("id", "state", "stage", "share", "seconds", "left", "pictures", "stopped", "error")
        result = {} if self.kept is None else self.kept.told
        return {**{name: getattr(self, name) for name in names}, **self.facts, "result": result}


class Tasks:
    """Runs in order; `work` does one and often calls `check`."""

    def __init__(self, work: Callable[[Task, "Tasks"], Any]) -> None:
        self.version = 0
        self.closing = False
        self.on_change: Callable[[], None] = lambda: None
        self._work = work
        self._all: dict[str, Task] = {}
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="paint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, patience: float = 20.0) -> None:
        with self._change:
            self.closing = True
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join(patience)

    def add(self, asked: Any, facts: dict[str, Any]) -> Task:
        task = Task(asked, facts)
        with self._change:
            if sum(other.state == WAITING for other in self._all.values()) >= MOST_WAITING:
                raise InputError(f"{MOST_WAITING} pictures are waiting already; stop some first")
            self._all[task.id] = task
            self._changed(task)
        self.on_change()
        return task

    def take_up(self, task: Task) -> None:
        with self._change:
            self._all[task.id] = task
            self._changed(task)

    def get(self, key: str) -> Task:
        found = self._all.get(key)
        if found is None:
            raise InputError("this session has no such run; load the page again")
        return found

    def stop(self, task: Task) -> None:
        """End a run with the picture so far, or before it begins."""
        with self._change:
            task.stopped = True
            if task.state == WAITING:
                del self._all[task.id]
                task.state = "gone"
            self._changed(task)
        self.on_change()

    def since(self, version: int) -> tuple[int, list[Task], list[str]]:
        """Return the version, tasks changed since, and all ids."""
        with self._change:
            changed = [task for task in self._all.values() if task.version > version]
            return self.version, changed, list(self._all)

    def tell(self, task: Task, **changes: Any) -> None:
        with self._change:
            for name, value in changes.items():
                setattr(task, name, value)
            self._changed(task)

    def check(self, task: Task) -> None:
        if self.closing:
            raise Abandoned
        if task.stopped:
            raise StopRun

    def _changed(self, task: Task) -> None:
        self.version += 1
        task.version = self.version
        self._change.notify_all()

    def _next(self) -> Task | None:
        with self._change:
            while not self.closing:
                for task in self._all.values():
                    if task.state == WAITING:
                        task.state = RUNNING
                        self._changed(task)
                        return task
                self._change.wait()
        return None

    def _run(self) -> None:
        while (task := self._next()) is not None:
            began = time.monotonic()
            try:
                kept = self._work(task, self)
            except Abandoned:
                return
            except (MemoryError, MemoryLimitError):
                told = "Out of memory; close other programs, or choose Preview."
                self.tell(task, state=FAILED, error=told)
            except HarmonizeError as error:
                self.tell(task, state=FAILED, error=" ".join(error.lines))
            except Exception as error:  # the page must learn of it, whatever it is
                self.tell(task, state=FAILED, error=f"This should not have happened: {error!r}")
            else:
                seconds = time.monotonic() - began
                self.tell(task, state=DONE, kept=kept, seconds=seconds, share=1.0, left=0.0)
            self.on_change()
