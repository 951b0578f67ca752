"""The default preset on a shipped sample, at a small size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from harmonize import harmonize
from harmonize.config import load
from harmonize.region import loose

SAMPLES = Path(__file__).parent.parent / "samples"


@pytest.mark.slow
def test_every_pass_lowers_its_objective_and_the_duck_is_still_a_duck() -> None:
    result = harmonize(
        SAMPLES / "paintings" / "the-garden-at-bougival-1884.jpg",
        SAMPLES / "cutouts" / "duck.png",
        at=(690, 480),
        width=330,
        config=load("default", ["size=350"]),
    )
    for one in result.record["passes"]:
        first, last = (sum(one["losses"][i].values()) for i in (0, -1))
        assert last < 0.7 * first, one["name"]
    found = np.asarray(result.image, dtype=np.float32)
    tight = result.scene.tight > 0.5
    kept = [np.gradient(p.mean(2))[1][tight] for p in (found, result.scene.composite)]
    assert np.corrcoef(*kept)[0, 1] > 0.4
    sigma = 11.667 * max(tight.shape) / 700
    outside = loose(torch.from_numpy(result.scene.tight), sigma).numpy() == 0
    assert (found[outside] == result.scene.painting[outside]).all()


def test_an_engraving_stays_without_color() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    painting = np.repeat(noise[..., None], 3, axis=2)
    patch = np.zeros((96, 96, 3), dtype=np.uint8)
    patch[..., 0] = 250
    mask = np.zeros((96, 96), dtype=np.uint8)
    mask[30:66, 30:66] = 255
    config = load("default", ["passes.coarse.steps=3", "passes.refine.steps=3"])
    pixels = np.asarray(harmonize(painting, patch, mask, config=config).image).astype(int)
    assert np.ptp(pixels, axis=2).max() <= 2
    assert (pixels != painting).any()
