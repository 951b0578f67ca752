"""Jobs given to workers that come and go: each ends once, whatever dies."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmonize.batch.jobs import Job
from harmonize.batch.runner import Event
from harmonize.scene.placement import Placement
from harmonize.settings.load import load

ray = pytest.importorskip("ray")

from harmonize.batch import ray_cluster  # noqa: E402
from harmonize.batch.ray_workers import Hand, Need, Parcel  # noqa: E402

SETTINGS = load()
FATES = st.lists(st.sampled_from(["done", "done", "dies", "node goes"]), max_size=40)


def job(index: int) -> Job:
    painting = "p" if index % 2 else "q"
    output = Path("out") / f"{index}.png"
    return Job(f"{index}.png", {}, {"painting": painting}, Placement(), SETTINGS, output)


class World:
    """A cluster on which jobs meet the fates drawn for them."""

    def __init__(self, fates: list[str], size: int) -> None:
        self.fates, self.size = fates, size
        self.alive: set[str] = set()
        self.hands: list[Hand] = []
        self.need = Need()
        self.failures, self.reason = 0, ""
        self.made = 0
        self.given: list[str] = []
        self.deaths: dict[str, int] = {}

    def fit(self, jobs: int) -> None:
        while len(self.hands) < min(jobs, self.size):
            self.made += 1
            node = f"node {self.made}"
            self.alive.add(node)
            self.hands.append(Hand(node, None, node))

    def greet(self) -> None: ...

    def drop(self, hand: Hand) -> None:
        self.hands.remove(hand)

    @property
    def idle(self) -> list[Hand]:
        return [hand for hand in self.hands if hand.job is None]

    @property
    def busy(self) -> list[Hand]:
        return [hand for hand in self.hands if hand.job is not None]

    def send(self, actor: Any, item: Job) -> Any:
        self.given.append(item.name)
        fate = self.fates.pop() if self.fates else "done"
        return SimpleNamespace(job=item, node=actor, fate=fate)

    def get(self, answer: Any) -> Parcel:
        if answer.fate == "done":
            return Parcel(Event("done", answer.job))
        if answer.fate == "node goes":
            self.alive.discard(answer.node)
        else:
            self.deaths[answer.job.name] = self.deaths.get(answer.job.name, 0) + 1
        raise ray.exceptions.ActorDiedError


@given(FATES, st.integers(1, 6), st.integers(1, 3))
def test_every_job_ends_once_and_fails_only_by_its_own_fault(
    fates: list[str], count: int, size: int
) -> None:
    world = World(list(fates), size)
    told: list[Event] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_cluster, "nodes", lambda: world.alive)
        patch.setattr(ray_cluster, "room", lambda need: world.size)
        patch.setattr(ray_cluster, "ready", lambda answers, seconds: answers[:1])
        patch.setattr(ray_cluster.ray, "get", world.get)
        patch.setattr(ray_cluster._Batch, "_ask", lambda self, hand: None)
        jobs = [job(index) for index in range(count)]
        ray_cluster._Batch(jobs, world, world.send, told.append).run()  # type: ignore[arg-type]
    ends = [(event.job.name, event.kind) for event in told if event.kind in ("done", "failed")]  # type: ignore[union-attr]
    assert sorted(name for name, _ in ends) == sorted(item.name for item in jobs)
    worst = {name for name, deaths in world.deaths.items() if deaths == ray_cluster.MOST_DEATHS}
    assert {name for name, kind in ends if kind == "failed"} == worst
    started = [event.job.name for event in told if event.kind == "started"]  # type: ignore[union-attr]
    assert started == world.given
    assert sum(event.kind == "note" for event in told) == len(started) - count


def test_a_job_whose_picture_cannot_be_written_here_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("no folder")
    item = replace(job(1), output=tmp_path / "out" / "1.png")
    told: list[Event] = []
    batch = ray_cluster._Batch([item], World([], 1), ray_cluster._Sender(True), told.append)  # type: ignore[arg-type]
    batch._give(Hand("node", None, "node"), item)
    assert [event.kind for event in told] == ["started", "failed"]
    assert "cannot write there (Not a directory)" in str(told[1].error)


def test_a_picture_that_comes_and_cannot_be_written_is_kept_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "out").write_text("no folder")
    item = replace(job(1), output=tmp_path / "out" / "1.png")
    record = json.dumps({"inputs": {role: {} for role in item.inputs}}).encode()
    ended = ray_cluster._received(item, Parcel(Event("done", item), b"a picture", record))
    (kept,) = tmp_path.glob("harmonize-*/1.png")
    assert kept.read_bytes() == b"a picture" and kept.with_suffix(".json").is_file()
    assert ended.kind == "failed"
    assert str(ended.error).endswith(f"; the picture is kept as {kept}; move it from there")


def test_a_batch_without_workers_says_so_and_gives_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World([], 0)
    now, told = [0.0], []
    patience = ray_cluster._Patience(world, told.append, lambda: now[0])  # type: ignore[arg-type]
    monkeypatch.setattr(ray_cluster, "room", lambda need: 1)
    for _ in range(100):  # nodes there, but taken: it waits, and says so
        now[0] += 10
        assert patience.over(3) is None
    assert len(told) == pytest.approx(1000 / ray_cluster.NOTES_EVERY, abs=1)
    assert all("3 jobs wait for a worker" in event.note for event in told)
    monkeypatch.setattr(ray_cluster, "room", lambda need: 0)
    began = now[0]
    while patience.over(3) is None:
        now[0] += 10
    assert now[0] - began == pytest.approx(ray_cluster.LONGEST_WAIT, abs=20)
    assert "a node with 1 CPUs and 0 GPUs; none is left" in told[-1].note
    world.failures, world.reason = ray_cluster.MOST_STARTS, "no such module"
    assert "no such module" in str(patience.over(3))
    assert patience.over(0) is None
