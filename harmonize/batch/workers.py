"""Workers on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

import torch

from harmonize.batch.jobs import Checked, Job, check_own_files, in_order, without
from harmonize.batch.runner import Engine, Event, JobStep, Stopped, Tell, is_done
from harmonize.errors import DeviceError, HarmonizeError, MemoryLimitError
from harmonize.images.atomic_file import check_output, made_folders
from harmonize.images.read import Source, open_picture
from harmonize.images.write import losses
from harmonize.run import memory_limit
from harmonize.run.prepare import Extent
from harmonize.run.result import or_kept, write_result
from harmonize.run.session import Progress, Session
from harmonize.scene.placement import Placement
from harmonize.scene.scene import Scene
from harmonize.synthesis.network import device

ENDING_SECONDS = 60  # seconds that a worker has to end after its step when the batch is stopped


class WorkerCache:
    """What a worker keeps between jobs."""

    def __init__(self) -> None:
        self.session = Session()
        self._last: Source | None = None

    def painting(self, job: Job) -> Source:
        # Opened once for jobs in a row.
        path, last = job.inputs["painting"], self._last
        if last is None or (last.path, last.sha256) != (os.path.abspath(path), job.painting):
            self._last = last = open_picture("painting", path)
        return last


def paint(job: Job, kept: WorkerCache, on_step: Callable[[JobStep], None]) -> Event:
    """Make a job's picture and record; failure is in the event.

    `on_step` may raise `Stopped`.
    """
    began = time.monotonic()
    try:
        check_output(job.output, overwrite=True, missing_folder=True)  # rather than when painted
        session = kept.session.using(job.config)
        asked: dict[str, Any] = {**job.inputs, "painting": kept.painting(job)}
        asked |= {"max_memory": job.max_memory, "held": job.held}
        plan = session.plan(**asked, placement=job.placement)
        notes = losses(job.output, plan.scene.original)  # refuses what cannot be written
        steps = sum(number for _, number in plan.steps)

        def on_progress(so_far: Progress) -> None:
            share = min(so_far.done / max(steps, 1), 1.0)
            on_step(JobStep(so_far.stage, so_far.step, so_far.total, share))

        result = session.run(plan, on_progress=on_progress, absolute_paths=job.absolute_paths)
        with or_kept(job.output.name, result.save), made_folders([job.output]):
            check_own_files(job)
            write_result(job.output, result.picture, result.record, overwrite=True)
    except Stopped:
        raise
    except HarmonizeError as known:
        return _failed(job, began, " ".join(known.lines))
    except Exception as unknown:  # one job's failure never ends the batch
        return _failed(job, began, " ".join(f"{type(unknown).__name__}: {unknown}".split()))
    warnings = (*result.record["warnings"], *notes)
    return Event("done", job, seconds=time.monotonic() - began, warnings=warnings)


def _failed(job: Job, began: float, error: str) -> Event:
    return Event("failed", job, seconds=time.monotonic() - began, error=error)


def with_devices(found: Checked) -> Checked:
    """Refuse jobs whose device is missing."""
    problems: dict[str, str] = {}
    for name in {job.config.device for job in found.jobs}:
        try:
            device.resolve_device(name)
        except DeviceError as error:
            problems[name] = str(error)
    return without(found, lambda job: problems.get(job.config.device))


class MemoryCheck:
    """Tells which jobs a limit is too small for, from their scenes."""

    def __init__(self, limit: str, restart: bool) -> None:
        self._limit = memory_limit.parse(limit) or 0
        self._restart = restart
        self._held = memory_limit.held_by_worker()
        self._extents: dict[str, Extent] = {}

    def look(self, scene: Scene, placement: Placement, sigma: float) -> None:
        self._extents[_scene_key(scene.hashes, placement, sigma)] = Extent.of(scene)

    def within(self, found: Checked, gpus: float | None) -> Checked:
        """Give jobs the limit, and refuse the too large; `gpus` None: they run here."""
        own: dict[str, Any] = {"max_memory": self._limit, "held": self._held}
        found = replace(found, jobs=[replace(job, **own) for job in found.jobs])
        return without(found, partial(self._problem, gpus=gpus))

    def _problem(self, job: Job, gpus: float | None) -> str | None:
        key = _scene_key(job.hashes, job.placement, job.config.loose_sigma)
        kind = job.config.device
        if gpus is None:
            with suppress(DeviceError):
                kind = device.resolve_device(kind).type
        held = None if gpus or kind not in ("cpu", "auto") else self._held
        try:
            self._extents[key].check_memory(job.config, self._limit, held)
        except MemoryLimitError as error:
            return None if not self._restart and is_done(job) else str(error)
        return None


def _scene_key(hashes: Mapping[str, str], placement: Placement, sigma: float) -> str:
    return repr((sorted(hashes.items()), placement, sigma))


# --- engines --------------------------------------------------------------------------------------


def local(workers: int = 1, threads: int | None = None) -> Engine:
    """Return an engine of workers that share `threads` (None: torch's)."""
    if workers == 1:
        return partial(_paint_alone, threads=threads)
    return partial(_together, count=workers, threads=threads)


def _paint_alone(jobs: Sequence[Job], tell: Tell, threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
    kept = WorkerCache()
    for job in in_order(jobs):
        tell(Event("started", job))
        tell(paint(job, kept, partial(_tell_step, job, tell)))


def _tell_step(job: Job, tell: Tell, step: JobStep) -> None:
    tell(Event("step", job, step=step))


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    job: Job | None = None
    painting: str | None = None


def _together(jobs: Sequence[Job], tell: Tell, count: int, threads: int | None) -> None:
    context = multiprocessing.get_context("spawn")
    share = max(1, (threads or torch.get_num_threads()) // count)
    waiting = in_order(jobs)
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.job for worker in workers):
            while len(workers) < min(count, len(waiting) + len(workers)):
                workers.append(_start_worker(context, share))
            for worker in workers:
                if worker.job is None and waiting:
                    _give(worker, waiting, [other.painting for other in workers], tell)
            for worker in _ready(workers):
                if not _hear(worker, tell):
                    workers.remove(worker)
            tell(Event("waiting"))
    finally:
        _end(workers)


def _start_worker(context: SpawnContext, threads: int) -> _Worker:
    pipe, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
    with _no_interrupts():
        process.start()
    theirs.close()
    return _Worker(process, pipe)


@contextmanager
def _no_interrupts() -> Iterator[None]:  # for processes started within
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection, threads: int) -> None:
    torch.set_num_threads(threads)
    kept = WorkerCache()

    def on_step(step: JobStep) -> None:
        try:
            pipe.send(step)
        except OSError:
            raise Stopped from None

    with suppress(EOFError, OSError, Stopped):
        while True:
            pipe.send(paint(pipe.recv(), kept, on_step))


def next_job(waiting: Sequence[Job], own: str | None, known: Sequence[str | None]) -> int:
    """Return the job to take: of the worker's `own` painting, not `known`, or the last."""
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
    if isinstance(said, JobStep):
        tell(Event("step", job, step=said))
    else:
        worker.job = None
        tell(replace(said, job=job))
    return True


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.pipe.close()
    for worker in workers:
        worker.process.join(ENDING_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
