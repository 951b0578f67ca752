"""How long a batch takes."""

import time
from collections.abc import Callable

from harmonize.batch.runner import Event

SOON = 0.02  # of a job: with less done there is nothing to tell by


class Pace:
    """Follows a batch of `jobs`."""

    def __init__(self, jobs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = jobs
        self._done = 0  # jobs that ended in this run
        self._shares: dict[str, float] = {}  # running job → how much of it is done, 0 to 1
        self._began: float | None = None

    def see(self, event: Event) -> None:
        if event.job is None or event.kind == "note":
            return
        name = event.job.name
        if event.kind == "started":
            self._shares[name] = 0.0
            self._began = self._clock() if self._began is None else self._began
        elif event.step is not None:
            self._shares[name] = event.step.share
        else:
            self._left -= 1
            self._done += event.kind != "skipped"
            self._shares.pop(name, None)

    @property
    def seconds_left(self) -> float | None:
        if self._left == 0:
            return 0.0
        running = sum(self._shares.values())
        if self._began is None or self._done + running < SOON:
            return None
        pace = (self._clock() - self._began) / (self._done + running)
        return pace * (self._left - running)


def spoken(seconds: float) -> str:
    """Return a time like `40 s` or `3 h 5 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
