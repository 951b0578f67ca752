"""Workers on a Ray cluster."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from harmonize.batch.jobs import Job
from harmonize.batch.runner import Event, JobStep
from harmonize.batch.workers import WorkerCache, paint
from harmonize.errors import ClusterError
from harmonize.images.decoding.decode import LIMIT, pixel_limit
from harmonize.run.result import record_path

try:
    import ray as ray  # where it is missing, this says so for all
except ImportError as error:
    raise ClusterError(
        "`engine=ray`: Ray is not installed; add it with pip install 'painterly-harmonize[ray]'"
    ) from error


WAITING = "OMP_WAIT_POLICY"


@dataclass(frozen=True)
class Need:
    """What a worker takes."""

    num_cpus: float = 1
    num_gpus: float = 0

    def __str__(self) -> str:
        return f"{self.num_cpus:g} CPUs and {self.num_gpus:g} GPUs"


@dataclass(frozen=True)
class Parcel:
    """A job's end, with files that travel."""

    event: Event
    picture: bytes | None = None
    record: bytes | None = None


class Worker:
    """Paints on the cluster."""

    def __init__(self, threads: int, pixels: int) -> None:
        torch.set_num_threads(threads)
        os.environ[LIMIT] = str(pixels)
        self._kept = WorkerCache()
        self._step: JobStep | None = None

    def node(self) -> str:
        return str(ray.get_runtime_context().get_node_id())

    def step(self) -> JobStep | None:
        return self._step

    def paint(self, job: Job) -> Parcel:
        self._step = None
        event = paint(job, self._kept, self._note)
        where = f" (on {socket.gethostname()})"  # a kept picture may be there
        return Parcel(replace(event, error=event.error and event.error + where))

    def paint_sent(self, job: Job, **inputs: bytes) -> Parcel:
        with tempfile.TemporaryDirectory(prefix="harmonize-") as folder:
            parcel = self.paint(_job_unpacked(job, Path(folder), inputs))
            if parcel.event.kind == "failed" or parcel.event.job is None:
                return parcel
            output = parcel.event.job.output
            return replace(
                parcel, picture=output.read_bytes(), record=record_path(output).read_bytes()
            )

    def _note(self, step: JobStep) -> None:
        self._step = step


def room(need: Need) -> int:
    """Count the workers that nodes hold, used or not."""
    wanted = [(kind, n) for kind, n in (("CPU", need.num_cpus), ("GPU", need.num_gpus)) if n]
    if not wanted:
        return len(nodes())
    return sum(
        int(min(resources.get(kind, 0) // number for kind, number in wanted))
        for resources in nodes().values()
    )


def nodes() -> dict[str, dict[str, float]]:
    """Return id → resources of living nodes."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


@dataclass(eq=False)
class Hand:
    """A worker seen from here."""

    actor: Any
    began: Any  # the answer that says it is there
    node: str | None = None  # until it is there
    job: Job | None = None
    answer: Any = None  # the job's end
    asked: Any = None  # how far it is
    painting: str | None = None


class Pool:
    """Workers; none gets a job before it is there."""

    def __init__(self, need: Need, limit: int | None) -> None:
        self._limit = limit
        self._threads = max(1, int(need.num_cpus))
        # A worker that dies is replaced here, wherever there is room by then.
        self._make = ray.remote(
            num_cpus=need.num_cpus,
            num_gpus=need.num_gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=2,  # one thread paints, the other one answers
            # Threads that spin at barriers keep other workers from the processors.
            runtime_env={"env_vars": {WAITING: os.environ.get(WAITING, "PASSIVE")}},
        )(Worker)
        self.need = need
        self.hands: list[Hand] = []
        self.failures = 0  # starts that failed, one after the other
        self.reason = ""
        self._next = 0.0

    def fit(self, jobs: int) -> None:
        """Start workers, at most one a job; forget lost ones."""
        wanted = min(jobs, room(self.need), self._limit or jobs)
        there = nodes()
        for hand in self.idle:
            if hand.node not in there:
                self.drop(hand)
        for hand in [hand for hand in self.hands if hand.node is None]:
            if len(self.hands) > wanted:
                self.drop(hand)
        while len(self.hands) < wanted and time.monotonic() >= self._next:
            actor = self._make.remote(self._threads, pixel_limit())
            self.hands.append(Hand(actor, actor.node.remote()))

    def greet(self) -> None:
        """Notice workers that came or failed to."""
        for hand in [hand for hand in self.hands if hand.node is None]:
            if not ready([hand.began], 0):
                continue
            try:
                hand.node = ray.get(hand.began)
                self.failures = 0
            except ray.exceptions.RayError as error:
                self.drop(hand)
                self.failures += 1
                self.reason = short(error)
                self._next = time.monotonic() + 2.0 * self.failures

    def drop(self, hand: Hand) -> None:
        self.hands.remove(hand)
        ray.kill(hand.actor)

    @property
    def idle(self) -> list[Hand]:
        return [hand for hand in self.hands if hand.node is not None and hand.job is None]

    @property
    def busy(self) -> list[Hand]:
        return [hand for hand in self.hands if hand.job is not None]


def ready(answers: Sequence[Any], seconds: float) -> list[Any]:
    """Return the first answers within so many seconds."""
    if not answers:
        time.sleep(seconds)
        return []
    return list(ray.wait(list(answers), num_returns=1, timeout=seconds)[0])


def short(error: Exception) -> str:
    """Return an error's first words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    wordy = ("class_name:", "actor_id:", "namespace:", "pid:", "ip:", "name:")
    kept = [line for line in lines if not line.startswith(wordy)][:2]
    text = " ".join(" ".join(kept).split())
    return f"{type(error).__name__}: {text[:200]}"


def _job_unpacked(job: Job, folder: Path, inputs: dict[str, bytes]) -> Job:
    paths = {role: folder / role / job.inputs[role].name for role in inputs}
    for role, path in paths.items():
        path.parent.mkdir()
        path.write_bytes(inputs[role])
    return replace(job, inputs=paths, output=folder / "output" / job.output.name)
