"""Runs in their order, with work that only waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import wait_for

from harmonize.errors import InputError, StopRun
from harmonize.studio import tasks as module
from harmonize.studio.tasks import Task, Tasks


class Work:
    """Runs that go on, a step at a time, until let go."""

    def __init__(self) -> None:
        self.order: list[Any] = []
        self.at_once = self.most = 0
        self.go = threading.Event()

    def __call__(self, task: Task, tasks: Tasks) -> Any:
        self.order.append(task.asked)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            while not self.go.wait(0.005):
                tasks.check(task)
            if isinstance(task.asked, Exception):
                raise task.asked
        except StopRun:
            return Kept(so_far=True)
        finally:
            self.at_once -= 1
        return Kept()


class Kept:
    def __init__(self, so_far: bool = False) -> None:
        self.told = {"interrupted": so_far}


@pytest.fixture
def started() -> Iterator[Callable[[], tuple[Work, Tasks]]]:
    made: list[Tasks] = []

    def start() -> tuple[Work, Tasks]:
        work = Work()
        made.append(Tasks(work))
        made[-1].start()
        return work, made[-1]

    yield start
    for tasks in made:
        tasks.close()


def ended(*tasks: Task) -> Callable[[], bool]:
    return lambda: all(task.state in (module.DONE, module.FAILED) for task in tasks)


def test_one_at_a_time_in_the_order_asked(started: Callable[[], tuple[Work, Tasks]]) -> None:
    work, tasks = started()
    asked = [tasks.add(number, {}) for number in range(5)]
    wait_for(lambda: asked[0].state == module.RUNNING)
    assert [task.state for task in asked[1:]] == [module.WAITING] * 4
    work.go.set()
    wait_for(ended(*asked))
    assert work.order == list(range(5)) and work.most == 1


def test_a_failure_is_one_line_and_the_next_begins(
    started: Callable[[], tuple[Work, Tasks]],
) -> None:
    work, tasks = started()
    asked = [
        tasks.add(what, {}) for what in (InputError("a\nb"), ValueError("x"), MemoryError(), 1)
    ]
    work.go.set()
    wait_for(ended(*asked))
    assert [task.state for task in asked] == [module.FAILED] * 3 + [module.DONE]
    assert [task.error for task in asked[:1]] == ["a b"]
    assert all(task.error and "\n" not in task.error for task in asked[:3])


def test_stop_keeps_the_picture_so_far(started: Callable[[], tuple[Work, Tasks]]) -> None:
    _, tasks = started()
    task = tasks.add(1, {})
    wait_for(lambda: task.state == module.RUNNING)
    tasks.stop(task)
    wait_for(ended(task))
    assert task.told["result"] == {"interrupted": True}


def test_what_waits_can_be_taken_back(started: Callable[[], tuple[Work, Tasks]]) -> None:
    work, tasks = started()
    first, second, third = (tasks.add(number, {}) for number in range(3))
    wait_for(lambda: first.state == module.RUNNING)
    version, _, _ = tasks.since(-1)
    tasks.stop(second)
    assert tasks.since(version)[2] == [first.id, third.id]
    work.go.set()
    wait_for(ended(first, third))
    assert work.order == [0, 2]
    with pytest.raises(InputError):
        tasks.get(second.id)


def test_the_end_gives_a_run_up(started: Callable[[], tuple[Work, Tasks]]) -> None:
    work, tasks = started()
    first, second = tasks.add(1, {}), tasks.add(2, {})
    wait_for(lambda: first.state == module.RUNNING)
    tasks.close()
    assert work.at_once == 0 and work.order == [1]
    assert first.kept is None and second.state == module.WAITING


def test_only_so_many_wait(started: Callable[[], tuple[Work, Tasks]]) -> None:
    _, tasks = started()
    first = tasks.add(0, {})
    wait_for(lambda: first.state == module.RUNNING)
    for number in range(module.MOST_WAITING):
        tasks.add(number, {})
    with pytest.raises(InputError, match="waiting already"):
        tasks.add(0, {})


def test_the_page_is_told_of_what_changed_only(
    started: Callable[[], tuple[Work, Tasks]],
) -> None:
    work, tasks = started()
    first = tasks.add(0, {"asked": 1})
    wait_for(lambda: first.state == module.RUNNING)
    second = tasks.add(1, {})
    version, changed, known = tasks.since(-1)
    assert changed == [first, second] and known == [first.id, second.id]
    assert tasks.since(version)[1] == []
    tasks.tell(first, stage="coarse", share=0.5)
    assert tasks.since(version)[1] == [first]
    assert first.told["asked"] == 1 and first.told["stage"] == "coarse"
    work.go.set()
    wait_for(ended(first, second))
