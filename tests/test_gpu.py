"""What a GPU computes is what the CPU computes, within rounding; twice it is the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import shallow

from harmonize import Session
from harmonize.run.checkpoint import Checkpoint
from harmonize.settings.load import load
from harmonize.synthesis.matching.nearest import nearest_places, whole_part
from harmonize.synthesis.network import weights
from harmonize.synthesis.network.vgg19 import VGG19
from harmonize.synthesis.optimization import losses
from harmonize.synthesis.optimization.histogram import rank_table, remap

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]


def test_matching_is_the_cpus() -> None:
    query, reference = torch.rand(16, 12, 14), torch.rand(16, 20, 22)
    positions = torch.arange(12 * 14)
    here = nearest_places(query, [whole_part(reference)], positions)
    there = nearest_places(query.cuda(), [whole_part(reference.cuda())], positions.cuda()).cpu()
    assert float((here == there).float().mean()) > 0.99


def test_the_remap_is_the_cpus() -> None:
    x, reference = torch.randn(8, 500), torch.randn(8, 300)
    here = remap(x, rank_table(reference, 500))
    there = remap(x.cuda(), rank_table(reference.cuda(), 500)).cpu()
    assert torch.allclose(here, there, atol=1e-5)


def test_features_and_grams_are_the_cpus() -> None:
    state = weights.load_weights("oxford").state
    image = torch.rand(1, 3, 64, 64)
    here = VGG19(state)(image, ["relu4_1"])["relu4_1"]
    there = VGG19(state, device="cuda")(image.cuda(), ["relu4_1"])["relu4_1"]
    grams = [
        losses.gram(x.flatten(1), torch.ones(x[0].numel(), device=x.device)) for x in (here, there)
    ]
    assert torch.allclose(grams[0], grams[1].cpu(), rtol=1e-2, atol=1e-2 * float(grams[0].max()))


# Every stage, and each pass of two or three steps.
SHORT = [
    "size=96",
    *(f"passes.{name}.steps={2 + (name == 'coarse')}" for name in ("coarse", "strokes", "refine")),
    *(setting for name in ("coarse", "refine") for setting in shallow(name)),
]


def paint(device: str, *more: str, **options: Any) -> Any:
    session = Session(load("default", [*SHORT, f"device={device}", *more]))
    pictures = ("painting.png", "cutout.png")
    return session.run(session.plan(*pictures, placement={"at": (20, 30)}), **options)


@pytest.mark.parametrize("level", ["weak", "medium", "strong"])
def test_a_picture_is_the_cpus(files: Path, level: str) -> None:
    given = (f"strength={level}", "precision=float32")
    here, there = (
        np.asarray(paint(device, *given).image).astype(float) for device in ("cpu", "cuda")
    )
    unlike = np.abs(here - there)
    assert unlike.any(-1).mean() < 0.5  # outside the element it is the painting
    # A patch may be taken from another place, where two fit alike.
    assert unlike[unlike > 0].size == 0 or np.median(unlike[unlike > 0]) < 8


def test_a_picture_is_the_same_again(files: Path) -> None:
    first, second = (paint("cuda", "strength=7").image.tobytes() for _ in range(2))
    assert first == second


class Album(Checkpoint):
    def save(self, *asked: Any) -> None:
        super().save(*asked)
        shutil.copy(self.path, f"{len(list(Path().glob('*.kept')))}.kept")


def test_resumed_from_anywhere_it_ends_the_same(files: Path) -> None:
    whole = paint("cuda", checkpoint=Album(Path("run.ckpt"), pause=0))
    kept = list(Path().glob("*.kept"))
    assert len(kept) > 2
    for path in kept:
        again = paint("cuda", checkpoint=Checkpoint(path, pause=1000))
        assert again.image.tobytes() == whole.image.tobytes()


def test_the_callers_choice_of_algorithms_stays(files: Path) -> None:
    for chosen in (False, True):
        torch.use_deterministic_algorithms(chosen)
        try:
            paint("cuda")
            assert torch.are_deterministic_algorithms_enabled() == chosen
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
        finally:
            torch.use_deterministic_algorithms(False)
