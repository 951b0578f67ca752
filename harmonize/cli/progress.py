"""What a command says at work; Ctrl-C."""

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer
from tqdm import tqdm

from harmonize.cli.options import in_flags
from harmonize.errors import OutputError, StopRun

if TYPE_CHECKING:
    from harmonize.batch.pace import Pace
    from harmonize.batch.runner import Event, JobStep
    from harmonize.run.prepare import Plan
    from harmonize.run.session import Progress

INTERRUPTED = 130  # exit code
QUIET = 60.0  # seconds between lines on a batch's running job, where there is no terminal


class Forgiving(io.FileIO):
    """A standard stream that never fails; `failed` says why."""

    failed: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failed = self.failed or error
            return memoryview(data).nbytes


def forgiving_streams() -> Callable[[], OSError | None]:
    """Make standard streams forgiving; the result tells stdout's failure."""
    for number in (0, 1, 2):  # a closed one is opened on nothing: no picture's file gets its number
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    out: list[Forgiving] = []
    for name, number in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        if old is not getattr(sys, f"__{name}__"):  # somebody listens, such as a test
            if isinstance(old, io.TextIOWrapper):
                old.reconfigure(errors="backslashreplace")
            continue
        if old is not None and isinstance(getattr(old.buffer, "raw", None), Forgiving):
            raw = old.buffer.raw
        else:
            raw = Forgiving(number, "w", closefd=False)
            stream = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=getattr(old, "encoding", "utf-8"),
                errors="backslashreplace",  # names of files may be no text
                line_buffering=number == 2 or raw.isatty(),
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        out += [raw] if number == 1 else []

    def failure() -> OSError | None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        return out[0].failed if out else None

    return failure


@contextmanager
def deaf_to_hang_ups() -> Iterator[None]:
    """Work on when the terminal hangs up."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() != threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def announce(plan: "Plan") -> None:
    """Say what a run computes with."""
    estimated = " (estimated)" if plan.estimated else ""
    typer.echo(
        f"device {plan.device}, weights {plan.weights}, "
        f"style level {plan.level:.1f}{estimated}, size {plan.size}",
        err=True,
    )
    warn(plan.warnings)


def warn(notes: Iterable[str]) -> None:
    """Print each warning."""
    for note in notes:
        typer.echo(_warning(note), err=True)


def lost(error: OutputError) -> None:
    """Warn of what a run can no longer save."""
    warn([f"{error}; the run goes on and saves no more of these"])


def _warning(note: str) -> str:
    return in_flags(f"harmonize: warning: {' '.join(note.split())}")


class Bars:
    """A progress bar for each pass."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._name = ""

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: "Progress") -> None:
        if self._bar is None or progress.stage != self._name:
            if self._bar is None and progress.done > 1:
                typer.echo(f"resumed after {progress.done - 1} steps", err=True)
            self.__exit__()
            self._name = progress.stage
            self._bar = tqdm(total=progress.total, desc=progress.stage, unit="step")
        terms = " ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())
        self._bar.set_postfix_str(terms, refresh=False)
        self._bar.update(progress.step - self._bar.n)


class BatchBars:
    """Bars for batch and job; without a terminal, lines."""

    def __init__(self, jobs: int, pace: "Pace") -> None:
        self._pace = pace
        self._jobs = jobs
        self._ended = 0
        self._said = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._batch = self._bar(jobs, "batch", 0, "{desc} {n_fmt}/{total_fmt} |{bar}|{postfix}")
        self._job = self._bar(1, "", 1, "{desc} {percentage:3.0f}% |{bar}|")

    def _bar(self, total: int, name: str, place: int, shape: str) -> "tqdm[Any]":
        off = not self._terminal
        return tqdm(
            total=total, desc=name, position=place, bar_format=shape, leave=False, disable=off
        )

    def __enter__(self) -> "BatchBars":
        return self

    def __exit__(self, *_: object) -> None:
        self._job.close()
        self._batch.close()

    def show(self, event: "Event") -> None:
        name = event.job.name if event.job else ""
        if event.note is not None:
            self._say(f"harmonize: note: {name}{': ' if name else ''}{event.note}")
        elif event.step is not None:
            self._step(f"{name} {event.step.stage}", event.step)
        elif event.kind in ("done", "skipped", "failed"):
            self._end(name, event)

    def _step(self, where: str, step: "JobStep") -> None:
        self._job.n = step.share
        self._job.set_description(where, refresh=True)
        self._batch.set_postfix_str(self._left(" "), refresh=True)
        if not self._terminal and time.monotonic() - self._said >= QUIET:
            place = f"[{self._ended}/{self._jobs}]"
            share = f"{step.step}/{step.total} ({step.share:.0%})"
            self._say(f"{place} {where} {share}{self._left(', ')}")

    def _end(self, name: str, event: "Event") -> None:
        self._ended += 1
        self._batch.set_postfix_str(self._left(" "), refresh=False)
        self._batch.update(1)
        if not self._terminal or event.error:
            reason = f": {event.error}" if event.error else ""
            took = f" ({event.seconds:.0f} s)" if event.kind == "done" else ""
            place = f"[{self._ended}/{self._jobs}]"
            self._say(f"{place} {name} {event.kind}{reason}{took}{self._left(', ')}")
        for note in event.warnings:
            self._say(_warning(f"{name}: {note}"))

    def _left(self, before: str) -> str:
        from harmonize.batch.pace import spoken

        seconds = self._pace.seconds_left
        return f"{before}about {spoken(seconds)} left" if seconds else ""

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        tqdm.write(line, file=sys.stderr)


class Interrupt:
    """Stops after a step on Ctrl-C; the second aborts."""

    def __init__(self, left: Callable[[], str] = lambda: "nothing written") -> None:
        self._left = left
        self.asked = False
        self._old: Callable[[int, FrameType | None], Any] | int | None = None

    def __enter__(self) -> "Interrupt":
        self._old = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        signal.signal(signal.SIGINT, self._old)
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            typer.echo(f"harmonize: aborted, {self._left()}", err=True)
            raise typer.Exit(INTERRUPTED)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        with suppress(OSError):
            os.write(2, b"\nstopping after this step; Ctrl-C again gives up at once\n")

    def check(self) -> None:
        if self.asked:
            raise StopRun


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns, without empty ones."""
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        typer.echo("  ".join(cells).rstrip())
