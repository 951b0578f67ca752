"""What a run says while it computes, and what Ctrl-C does to it."""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer
from tqdm import tqdm

from harmonize.errors import StopRun

if TYPE_CHECKING:
    from harmonize.optimize import Step

INTERRUPTED = 130  # exit code


def announce(facts: dict[str, Any]) -> None:
    """Say in one line what the run computes with."""
    estimated = " (estimated)" if facts.get("estimated") else ""
    typer.echo(
        f"device {facts['device']}, weights {facts['weights']}, "
        f"style level {facts['strength']:.1f}{estimated}, size {facts['size']}",
        err=True,
    )


class Bars:
    """One progress bar per pass, on the error stream."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._name = ""

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, step: "Step") -> None:
        if self._bar is None or step.pass_name != self._name:
            self.__exit__()
            self._name = step.pass_name
            self._bar = tqdm(total=step.total, desc=step.pass_name, unit="step")
        terms = " ".join(f"{name} {value:.3g}" for name, value in step.terms.items())
        self._bar.set_postfix_str(terms, refresh=False)
        self._bar.update(step.index - self._bar.n)


class Interrupt:
    """Turns the first Ctrl-C into a request to stop; the second one aborts.

    `saved` says whether a picture so far has been written by then.
    """

    def __init__(self, saved: Callable[[], bool] = lambda: False) -> None:
        self._saved = saved
        self._asked = False
        self._old: Callable[[int, FrameType | None], Any] | int | None = None

    def __enter__(self) -> "Interrupt":
        self._old = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        signal.signal(signal.SIGINT, self._old)
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            left = "the last picture saved stays" if self._saved() else "nothing written"
            typer.echo(f"harmonize: aborted, {left}", err=True)
            raise typer.Exit(INTERRUPTED)

    def _ask(self, *_: object) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        os.write(2, b"\nstopping after this step; Ctrl-C again gives up at once\n")

    def check(self) -> None:
        """Raise StopRun once Ctrl-C has been pressed."""
        if self._asked:
            raise StopRun
