"""How long a batch will still take, and what its log says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmonize.batch.jobs import Job
from harmonize.batch.log import LINES_EVERY, EventLog
from harmonize.batch.pace import Pace, spoken
from harmonize.batch.runner import Event, JobStep
from harmonize.scene.placement import Placement
from harmonize.settings.load import load

SETTINGS = load()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def job(index: int) -> Job:
    name = f"{index}.png"
    return Job(name, {}, {"painting": "p"}, Placement(), SETTINGS, Path("out") / name)


@given(
    st.integers(1, 4), st.integers(0, 6), st.integers(1, 12), st.floats(1, 1000), st.floats(0, 1)
)
def test_with_jobs_that_take_the_same_time_the_estimate_is_the_time_left(
    workers: int, skipped: int, rounds: int, each: float, share: float
) -> None:
    clock = Clock()
    jobs = [job(index) for index in range(skipped + workers * rounds)]
    pace = Pace(len(jobs), clock)
    for item in jobs[:skipped]:
        pace.see(Event("skipped", item))
    assert pace.seconds_left is None
    todo = jobs[skipped:]
    for start in range(0, len(todo), workers):
        together = todo[start : start + workers]
        for item in together:
            pace.see(Event("started", item))
        clock.now += share * each
        for item in together:
            pace.see(Event("step", item, step=JobStep("refine", 1, 2, share)))
        left = (len(todo) - start) / workers * each - share * each
        if start or share * workers >= 0.02:
            assert pace.seconds_left == pytest.approx(left, abs=1e-6 * each + 1e-9)
        clock.now += (1 - share) * each
        for item in together:
            pace.see(Event("done", item, seconds=each))
    assert pace.seconds_left == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_times_are_said_shortly(seconds: float, said: str) -> None:
    assert spoken(seconds) == said


def test_the_log_says_how_far_a_job_is_now_and_then(tmp_path: Path) -> None:
    clock = Clock()
    pace = Pace(2, clock)
    with EventLog(tmp_path / "log", pace, clock) as log:

        def tell(event: Event) -> None:
            pace.see(event)
            log.tell(event)

        tell(Event("started", job(1)))
        for index in range(1, 101):
            clock.now += LINES_EVERY / 10
            tell(Event("step", job(1), step=JobStep("refine", index, 100, index / 100)))
        tell(Event("note", job(1), note="its worker was lost"))
        tell(Event("note", note="nobody is there"))
        tell(Event("done", job(1), seconds=100.0))
        tell(Event("waiting"))
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "job step"]
    assert [line["step"] for line in steps] == list(range(10, 101, 10))
    assert [line["seconds_left"] for line in steps] == list(range(190, 99, -10))
    assert [line["event"] for line in lines if line["event"] != "job step"] == [
        "job started",
        "note",
        "note",
        "job done",
    ]
    assert lines[-1]["seconds_left"] == 100
