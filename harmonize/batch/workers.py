"""Engines on this machine: in this process, or in several of their own."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess

import torch

from harmonize.batch.jobs import Job, in_order
from harmonize.batch.runner import Engine, Event, Stopped, Tell
from harmonize.batch.worker import paint
from harmonize.run.session import Progress, Session

PATIENCE = 60  # seconds that a worker has to end after its step when the batch is stopped


def local(workers: int = 1) -> Engine:
    """Return an engine with this many workers; each has the network and its paintings' studies.

    One worker is this process. More are processes of their own, which share this one's threads;
    one that dies costs the job it was at.
    """
    return _alone if workers == 1 else lambda jobs, tell: _together(jobs, tell, workers)


def _alone(jobs: Sequence[Job], tell: Tell) -> None:
    session = Session()
    for job in in_order(jobs):
        tell(Event("started", job))
        tell(paint(job, session, partial(_tell_step, job, tell)))


def _tell_step(job: Job, tell: Tell, step: Progress) -> None:
    tell(Event("step", job, step=step))


@dataclass
class _Worker:
    """A process and the pipe to it; `job` is what it is at, `painting` what it knows."""

    process: SpawnProcess
    pipe: Connection
    job: Job | None = None
    painting: str | None = None


def _together(jobs: Sequence[Job], tell: Tell, count: int) -> None:
    context = multiprocessing.get_context("spawn")
    threads = max(1, torch.get_num_threads() // count)
    waiting = in_order(jobs)
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.job for worker in workers):
            while len(workers) < min(count, len(waiting) + len(workers)):
                workers.append(_start(context, threads))
            for worker in workers:
                if worker.job is None and waiting:
                    _give(worker, waiting, [other.painting for other in workers], tell)
            for worker in _ready(workers):
                if not _hear(worker, tell):
                    workers.remove(worker)
            tell(Event("waiting"))
    finally:
        _end(workers)


def _start(context: SpawnContext, threads: int) -> _Worker:
    pipe, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
    with _no_interrupts():
        process.start()
    theirs.close()
    return _Worker(process, pipe)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ctrl-C is for this process: one started in here never sees it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection, threads: int) -> None:
    """A worker's life: jobs in, steps and outcomes out, until the pipe is closed."""
    torch.set_num_threads(threads)
    session = Session()

    def on_progress(step: Progress) -> None:
        try:
            pipe.send(step)
        except OSError:
            raise Stopped from None

    with suppress(EOFError, OSError, Stopped):
        while True:
            pipe.send(paint(pipe.recv(), session, on_progress))


def next_job(waiting: Sequence[Job], own: str | None, known: Sequence[str | None]) -> int:
    """Return which job a worker takes that knows the painting `own`.

    One on that painting; else the first on a painting that is not `known` to any worker; else, so
    that nobody is idle, the last.
    """
    paintings = [job.painting for job in waiting]
    if own in paintings:
        return paintings.index(own)
    fresh = [index for index, painting in enumerate(paintings) if painting not in known]
    return fresh[0] if fresh else len(paintings) - 1


def _give(worker: _Worker, waiting: list[Job], known: Sequence[str | None], tell: Tell) -> None:
    job = waiting.pop(next_job(waiting, worker.painting, known))
    worker.job, worker.painting = job, job.painting
    tell(Event("started", job))
    with suppress(OSError):  # dead already: its pipe will say so
        worker.pipe.send(job)


def _ready(workers: Sequence[_Worker]) -> list[_Worker]:
    readable = wait([worker.pipe for worker in workers], timeout=0.5)
    return [worker for worker in workers if worker.pipe in readable]


def _hear(worker: _Worker, tell: Tell) -> bool:
    """Pass on what a worker says; False if it is dead."""
    try:
        said = worker.pipe.recv()
    except (EOFError, OSError):
        worker.pipe.close()
        worker.process.join()
        error = f"its worker process died (exit code {worker.process.exitcode})"
        if worker.job is not None:
            tell(Event("failed", worker.job, error=error))
        return False
    job = worker.job
    if isinstance(said, Progress):
        tell(Event("step", job, step=said))
    else:
        worker.job = None
        tell(replace(said, job=job))
    return True


def _end(workers: Sequence[_Worker]) -> None:
    """Let idle workers go; the others notice the closed pipe at their next step."""
    for worker in workers:
        worker.pipe.close()
    for worker in workers:
        worker.process.join(PATIENCE)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
