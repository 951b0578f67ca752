"""What becomes of jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from harmonize.batch.jobs import Job, write_element
from harmonize.errors import HarmonizeError, StopRun
from harmonize.run.record import is_result

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class JobStep:
    """How far a job is."""

    stage: str
    step: int
    total: int  # steps of the stage
    share: float  # of the job, 0 to 1


@dataclass(frozen=True)
class Event:
    """What happens."""

    kind: Literal["started", "step", "note", "waiting"] | Status
    job: Job | None = None  # a note, or waiting, may be on none
    seconds: float = 0.0
    error: str | None = None
    warnings: tuple[str, ...] = ()
    step: JobStep | None = None
    note: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How a job ended; `skipped` was done before."""

    job: Job
    status: Status
    seconds: float
    error: str | None


Tell = Callable[[Event], None]
# Runs jobs and tells of each that it started and how it ended; `Stopped`, raised by telling, ends
# the engine with nothing half written.
Engine = Callable[[Sequence[Job], Tell], None]


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """Raised by telling; the engine drops what is unfinished."""


def run_jobs(
    jobs: Sequence[Job],
    engine: Engine,
    on_event: Tell | None = None,
    *,
    restart: bool = False,
    fail_fast: bool = False,
) -> list[Outcome]:
    """Run the jobs not done yet, or all with `restart`.

    `on_event` may raise `StopRun`; jobs that have not ended have no outcome.
    """
    ended: list[Outcome] = []

    def tell(event: Event) -> None:
        if event.job and event.kind in ("done", "skipped", "failed"):
            ended.append(Outcome(event.job, event.kind, event.seconds, event.error))
        try:
            if on_event is not None:
                on_event(event)
        except StopRun:
            raise Stopped from None
        if fail_fast and event.kind == "failed":
            raise Stopped

    try:
        left = []
        for job in jobs:
            if not restart and is_done(job):
                tell(Event("skipped", job))
            elif _is_cut(job, tell):
                left.append(job)
        if left:
            engine(left, tell)
    except Stopped:
        pass
    return ended


def _is_cut(job: Job, tell: Tell) -> bool:
    try:
        notes = write_element(job)
    except HarmonizeError as error:
        tell(Event("failed", job, error=" ".join(error.lines)))
        return False
    if notes:
        tell(Event("note", job, note="; ".join(notes)))
    return True


def is_done(job: Job) -> bool:
    """Tell whether this version made the picture of just this job."""
    config = job.config.model_dump(mode="json")
    return is_result(job.output, config, job.placement, job.hashes, job.max_memory)
