"""Jobs to workers that come and go."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from harmonize.batch.jobs import Job, check_own_files, in_order
from harmonize.batch.ray_workers import Hand, Need, Parcel, Pool, nodes, ray, ready, room, short
from harmonize.batch.runner import Engine, Event, Tell
from harmonize.batch.workers import next_job
from harmonize.errors import ClusterError, HarmonizeError, OutputError
from harmonize.images.atomic_file import check_output, made_folders
from harmonize.run.record import hide
from harmonize.run.result import or_kept, write_both

MOST_DEATHS = 3  # of workers at one job
MOST_STARTS = 3  # of workers that fail in a row while none is at work
NOTES_EVERY = 30.0  # seconds between notes on what is waited for
LONGEST_WAIT = 600.0  # seconds without a node that could hold a worker
TICK = 0.5  # seconds


def on_ray(
    address: str | None = None,
    workers: int | None = None,
    *,
    num_cpus: float = 1,
    num_gpus: float = 0,
    transfer: bool = False,
) -> Engine:
    """Return an engine on the cluster at `address` (None: RAY_ADDRESS, or one started here).

    ClusterError: no cluster, or no room.
    """
    need = Need(num_cpus, num_gpus)

    def engine(jobs: Sequence[Job], tell: Tell) -> None:
        _connect(address)
        try:
            if not room(need):
                raise ClusterError(
                    f"`engine=ray`: no node has {need} for a worker; see `num_cpus` and `num_gpus`"
                )
            _Batch(jobs, Pool(need, workers), _Sender(transfer), tell).run()
        finally:
            ray.shutdown()

    return engine


def _connect(address: str | None) -> None:
    where = address or os.environ.get("RAY_ADDRESS") or "this machine"
    _, _, place = where.rpartition("//")
    answers = False
    try:
        if ":" in place:  # Ray itself would try for minutes
            host, _, port = place.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
            answers = True
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray has few classes of its own for it
        reason = " ".join(str(error).split())
        raise ClusterError(
            f"`engine=ray`: no cluster at {where}: {reason}{_cure(error, answers)}"
        ) from error


def _cure(error: Exception, answers: bool) -> str:
    if not (answers or isinstance(error, ray.exceptions.AuthenticationError)):
        return "; start it with `ray start --head`, or check `address`"
    mode = os.environ.get("RAY_AUTH_MODE") or "not set"
    return (
        f". It may ask for a token, as `ray start` arranges where it finds one (RAY_AUTH_MODE is "
        f"{mode} here): run this command with RAY_AUTH_MODE=token and the cluster's token in "
        "~/.ray/auth_token or RAY_AUTH_TOKEN, or start all nodes with RAY_AUTH_MODE=disabled. It "
        "may also run another version of Ray or Python"
    )


# --- the batch ------------------------------------------------------------------------------------


@dataclass
class _Batch:
    jobs: Sequence[Job]
    pool: Pool
    send: _Sender
    tell: Tell
    places: dict[str, list[str | None]] = field(default_factory=dict)  # job → where workers died

    def run(self) -> None:
        waiting = in_order(self.jobs)
        patience = _Patience(self.pool, self.tell)
        while waiting or self.pool.busy:
            self.pool.fit(len(waiting) + len(self.pool.busy))
            self.pool.greet()
            for hand in self.pool.idle:
                if waiting:
                    known = [other.painting for other in self.pool.hands]
                    self._give(hand, waiting.pop(next_job(waiting, hand.painting, known)))
            waiting += self._hear()
            gone = patience.over(len(waiting))
            if gone:
                for job in waiting:
                    self.tell(Event("failed", job, error=gone))
                waiting.clear()
            self.tell(Event("waiting"))

    def _give(self, hand: Hand, job: Job) -> None:
        self.tell(Event("started", job))
        try:
            answer = self.send(hand.actor, job)
        except (OSError, OutputError) as error:
            reason = str(error)
            if isinstance(error, OSError):
                reason = f"{error.filename}: {error.strerror or 'cannot be read'}"
            self.tell(Event("failed", job, error=reason))
            return
        hand.job, hand.painting, hand.answer = job, job.painting, answer
        hand.asked = None

    def _hear(self) -> Iterator[Job]:
        answers = [hand.answer for hand in self.pool.busy]
        ended = ready(answers or [hand.began for hand in self.pool.hands if not hand.node], TICK)
        for hand in self.pool.busy:
            if hand.answer in ended:
                yield from self._end(hand)
            else:
                self._ask(hand)

    def _end(self, hand: Hand) -> Iterator[Job]:
        job, answer = hand.job, hand.answer
        assert job is not None
        hand.job = hand.answer = None
        try:
            parcel: Parcel = ray.get(answer)
        except ray.exceptions.RayTaskError as error:  # the worker lives
            self.tell(Event("failed", job, error=short(error)))
        except ray.exceptions.RayError as error:
            yield from self._lost(hand, job, short(error))
        else:
            self.tell(_received(job, parcel))

    def _lost(self, hand: Hand, job: Job, reason: str) -> Iterator[Job]:
        self.pool.drop(hand)
        places = self.places.setdefault(job.name, [])
        places.append(hand.node)
        # A node that went is not known as gone at once: its worker counts until it is.
        count = sum(place in nodes() for place in places)
        if count >= MOST_DEATHS:
            error = f"its worker died {count} times at it ({reason}); it may need more memory"
            self.tell(Event("failed", job, error=error))
            return
        self.tell(Event("note", job, note=f"its worker was lost ({reason}); another one takes it"))
        yield job

    def _ask(self, hand: Hand) -> None:
        if hand.asked is not None and ready([hand.asked], 0):
            try:
                step = ray.get(hand.asked)
            except ray.exceptions.RayError:  # its job's end will say so
                step = None
            if step is not None:
                self.tell(Event("step", hand.job, step=step))
            hand.asked = None
        if hand.asked is None:
            hand.asked = hand.actor.step.remote()


class _Patience:
    def __init__(self, pool: Pool, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool, self._tell, self._clock = pool, tell, clock
        self._worked = self._had_room = self._said = clock()

    def over(self, jobs: int) -> str | None:
        now, pool = self._clock(), self._pool
        if not jobs or pool.busy or pool.idle:
            self._worked = self._had_room = self._said = now
            return None
        if pool.failures >= MOST_STARTS:
            return f"no worker can be started on the cluster ({pool.reason})"
        places = room(pool.need)
        self._had_room = now if places else self._had_room
        if now - self._had_room > LONGEST_WAIT:
            return (
                f"no node with {pool.need} for a worker came within {LONGEST_WAIT / 60:.0f} minutes"
            )
        if now - self._said >= NOTES_EVERY:
            self._said = now
            what = (
                "a worker to start; stop other work there if it takes long"
                if places
                else f"a node with {pool.need}; none is left, add one to the cluster"
            )
            self._tell(
                Event(
                    "note",
                    note=f"{jobs} jobs wait for {what} ({now - self._worked:.0f} s so far)",
                )
            )
        return None


# --- files ----------------------------------------------------------------------------------------


class _Sender:
    def __init__(self, transfer: bool) -> None:
        self._transfer = transfer
        self._put = lru_cache(maxsize=8)(lambda path: ray.put(path.read_bytes()))

    def __call__(self, actor: Any, job: Job) -> Any:
        if self._transfer:
            check_output(job.output, overwrite=True, missing_folder=True)
            sent = {role: self._put(path) for role, path in job.inputs.items()}
            return actor.paint_sent.remote(job, **sent)
        inputs = {role: path.absolute() for role, path in job.inputs.items()}
        return actor.paint.remote(replace(job, inputs=inputs, output=job.output.absolute()))


def _received(job: Job, parcel: Parcel) -> Event:
    if parcel.picture is not None and parcel.record is not None:
        record = json.loads(parcel.record)
        for role, path in job.inputs.items():
            here = str(path.absolute())
            record["inputs"][role]["path"] = here if job.absolute_paths else hide(here)
        try:
            write = partial(write_both, data=parcel.picture, record=record)
            with or_kept(job.output.name, write), made_folders([job.output]):
                check_own_files(job)
                write(job.output, overwrite=True)
        except HarmonizeError as error:
            return Event("failed", job, error=" ".join(str(error).split()))
    return replace(parcel.event, job=job)
