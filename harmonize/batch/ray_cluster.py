"""The Ray engine: jobs to the workers of a cluster. Queue, retries and scheduling are Ray's."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from harmonize.batch.jobs import Job, in_order
from harmonize.batch.runner import Engine, Event, Tell
from harmonize.batch.worker import paint
from harmonize.errors import ClusterError, HarmonizeError
from harmonize.images.atomic_file import write_file
from harmonize.run.record import hide
from harmonize.run.result import record_path, write_record
from harmonize.run.session import Session

try:
    import ray
    from ray.util import ActorPool
except ImportError as error:
    raise ClusterError(
        "--engine ray: Ray is not installed; `pip install 'painterly-harmonize[ray]'` brings it"
    ) from error

RETRIES = 3  # times that a job is tried again when its worker dies


@dataclass(frozen=True)
class Parcel:
    """A job's end, with its files' bytes where they travel with it."""

    event: Event
    picture: bytes | None = None
    record: bytes | None = None


class Worker:
    """A worker on the cluster: it holds the network, and what it knows of paintings."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self._session = Session()

    def paint(self, job: Job) -> Parcel:
        """Make a job whose files are on a shared path."""
        return Parcel(paint(job, self._session))

    def paint_sent(self, job: Job, **inputs: bytes) -> Parcel:
        """Make a job from the bytes of its files."""
        with tempfile.TemporaryDirectory(prefix="harmonize-") as folder:
            here = _unpacked(job, Path(folder), inputs)
            event = paint(here, self._session)
            if event.kind == "failed":
                return Parcel(event)
            return Parcel(event, here.output.read_bytes(), record_path(here.output).read_bytes())


def on_ray(
    address: str | None = None,
    workers: int | None = None,
    *,
    num_cpus: float = 1,
    num_gpus: float = 0,
    transfer: bool = False,
) -> Engine:
    """Return an engine on the Ray cluster at `address` (None: RAY_ADDRESS, or one started here).

    `workers` of `num_cpus` and `num_gpus` each; None: as many as the cluster has room for. Files
    are read and written where they are, on a path that all nodes share, or with `transfer` go
    through Ray's object store.

    Raises:
        ClusterError: no cluster can be reached, or it has no room for a worker.
    """

    def engine(jobs: Sequence[Job], tell: Tell) -> None:
        _connect(address)
        try:
            room = _room(num_cpus, num_gpus)
            count = min(workers or room, len(jobs))
            actor = ray.remote(
                num_cpus=num_cpus, num_gpus=num_gpus, max_restarts=-1, max_task_retries=RETRIES
            )(Worker)
            actors = [actor.remote(max(1, int(num_cpus))) for _ in range(count)]
            _run(actors, jobs, tell, transfer)
        finally:
            ray.shutdown()

    return engine


def _connect(address: str | None) -> None:
    where = address or os.environ.get("RAY_ADDRESS") or ""
    _, _, place = where.rpartition("//")
    try:
        if ":" in place:  # Ray itself would try for minutes
            host, _, port = place.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray has no class of its own for it
        reason = " ".join(str(error).split())
        raise ClusterError(
            f"--engine ray: no cluster at {where or 'this machine'}: {reason}"
        ) from error


def _room(num_cpus: float, num_gpus: float) -> int:
    """How many workers the cluster's nodes hold together."""
    fits = [
        min(
            node["Resources"].get(kind, 0) // need
            for kind, need in (("CPU", num_cpus), ("GPU", num_gpus))
            if need
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    if not sum(fits):
        raise ClusterError(
            f"--engine ray: no node has {num_cpus:g} CPUs and {num_gpus:g} GPUs for a worker; see "
            "--num-cpus and --num-gpus"
        )
    return int(sum(fits))


def _run(actors: Sequence[Any], jobs: Sequence[Job], tell: Tell, transfer: bool) -> None:
    pool = ActorPool(actors)
    left = {job.name: job for job in jobs}
    lost = "its worker died"
    send = _Sender(tell, transfer)
    for job in in_order(jobs):
        pool.submit(send, job)
    while pool.has_next():
        tell(Event("waiting"))
        try:
            parcel: Parcel = pool.get_next_unordered(timeout=1)
        except TimeoutError:
            continue
        except ray.exceptions.RayError as error:  # Ray does not say at which job
            lost = f"its worker died {RETRIES + 1} times ({type(error).__name__})"
            continue
        assert parcel.event.job is not None  # a job's end
        job = left.pop(parcel.event.job.name)
        tell(_received(job, parcel))
        while pool.pop_idle() is not None:
            pass  # what an idle worker holds is needed by one that Ray has to start again
    for job in left.values():
        tell(Event("failed", job, error=lost))


class _Sender:
    """Gives a job to an actor; files that several jobs share are put into the store once."""

    def __init__(self, tell: Tell, transfer: bool) -> None:
        self._tell = tell
        self._transfer = transfer
        self._put = lru_cache(maxsize=8)(lambda path: ray.put(path.read_bytes()))

    def __call__(self, actor: Any, job: Job) -> Any:
        self._tell(Event("started", job))
        if not self._transfer:
            inputs = {role: path.absolute() for role, path in job.inputs.items()}
            return actor.paint.remote(replace(job, inputs=inputs, output=job.output.absolute()))
        try:
            sent = {role: self._put(path) for role, path in job.inputs.items()}
        except OSError as error:
            reason = f"{error.filename}: {error.strerror or 'cannot be read'}"
            return ray.put(Parcel(Event("failed", job, error=reason)))
        return actor.paint_sent.remote(job, **sent)


def _unpacked(job: Job, folder: Path, inputs: dict[str, bytes]) -> Job:
    """Write a sent job's inputs into a folder, under their own names; its results go there too."""
    paths = {role: folder / role / job.inputs[role].name for role in inputs}
    for role, path in paths.items():
        path.parent.mkdir()
        path.write_bytes(inputs[role])
    return replace(job, inputs=paths, output=folder / "output" / job.output.name)


def _received(job: Job, parcel: Parcel) -> Event:
    """Write what was sent back; the record names the inputs where they are here."""
    if parcel.picture is not None and parcel.record is not None:
        record = json.loads(parcel.record)
        for role, path in job.inputs.items():
            here = str(path.absolute())
            record["inputs"][role]["path"] = here if job.absolute_paths else hide(here)
        try:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            write_file(job.output, parcel.picture, overwrite=True)
            write_record(record_path(job.output), record, overwrite=True)
        except (HarmonizeError, OSError) as error:
            return Event("failed", job, error=" ".join(str(error).split()))
    return replace(parcel.event, job=job)
