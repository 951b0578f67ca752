from __future__ import annotations

from pathlib import Path

import torch
from conftest import PASSES, TWO_PASSES, shallow

from harmonize import Result, Session, harmonize
from harmonize.settings.load import load
from harmonize.synthesis.network.cache import Cache
from harmonize.synthesis.network.vgg19 import VGG19

STEPS = [one for name in PASSES for one in (f"passes.{name}.steps=1", *shallow(name))]
TINY = load("preview", [*TWO_PASSES, *STEPS, "size=64"])


def test_a_value_is_made_once() -> None:
    memory, made = Cache(1000), []
    for _ in range(3):
        assert memory.recall("key", lambda: made.append(1) or "value") == "value"
    assert made == [1]


def test_the_least_recently_used_is_forgotten_first() -> None:
    memory = Cache(100)
    fresh: list[str] = []

    def recall(key: str, count: int = 10) -> torch.Tensor:
        return memory.recall(key, lambda: fresh.append(key) or torch.zeros(count))

    for key in ("a", "b", "a", "c", "a", "b"):
        recall(key)
    assert fresh == ["a", "b", "c", "b"]
    assert memory.size == 80


def test_what_is_larger_than_the_limit_is_not_kept_and_pushes_nothing_out() -> None:
    memory = Cache(100)
    memory.recall("small", lambda: torch.zeros(5))
    for _ in range(2):
        assert len(memory.recall("large", lambda: torch.zeros(100))) == 100
    assert memory.size == 20
    assert Cache(0).recall("any", lambda: torch.zeros(1)).shape == (1,)


def test_tensors_are_counted_wherever_they_lie() -> None:
    class Holder:
        def __init__(self) -> None:
            self.inner = {"a": torch.zeros(3, dtype=torch.float64), "b": [(torch.zeros(2), "word")]}

    memory = Cache(1000)
    memory.recall("holder", Holder)
    assert memory.size == 3 * 8 + 2 * 4


def test_a_second_run_on_the_painting_sees_it_once_and_gives_the_same(
    files: Path, monkeypatch: object
) -> None:
    calls: list[tuple[int, ...]] = []
    look = VGG19.__call__

    def watched(self: VGG19, image: torch.Tensor, taps: object, *more: object) -> object:
        calls.append(tuple(image.shape))
        return look(self, image, taps, *more)

    monkeypatch.setattr(VGG19, "__call__", watched)
    alone = [
        harmonize("painting.png", "cutout.png", placement={"at": at}, settings=TINY)
        for at in ((5, 5), (40, 30))
    ]
    separate = len(calls)
    calls.clear()
    session = Session(TINY)
    shared = [paint(session, "painting.png", at) for at in ((5, 5), (40, 30))]
    assert len(calls) < separate  # the painting was looked at for the first only
    for one, other in zip(alone, shared, strict=True):
        assert one.image.tobytes() == other.image.tobytes()


def paint(session: Session, painting: str, at: tuple[int, int]) -> Result:
    return session.run(session.plan(painting, "cutout.png", placement={"at": at}))


def test_another_painting_is_not_taken_for_the_first(files: Path) -> None:
    session = Session(TINY)
    paint(session, "painting.png", (5, 5))
    other = paint(session, "patch.png", (5, 5))
    alone = harmonize("patch.png", "cutout.png", placement={"at": (5, 5)}, settings=TINY)
    assert other.image.tobytes() == alone.image.tobytes()
