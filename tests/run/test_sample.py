"""The default preset on a shipped sample, at a small size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harmonize import Placement, harmonize
from harmonize.scene.loose import derived
from harmonize.settings.load import load

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.mark.slow
def test_every_pass_paints_and_the_duck_is_still_a_duck() -> None:
    result = harmonize(
        SAMPLES / "paintings" / "the-garden-at-bougival-1884.jpg",
        SAMPLES / "cutouts" / "duck.png",
        placement=Placement(at=(690, 480), width=330),
        settings=load("default", ["size=350"]),
    )
    for one in result.record["passes"]:
        first, last = (one["losses"][i] for i in (0, -1))
        for name in ("style", "histogram"):
            assert last[name] < 0.9 * first[name], (one["name"], name)
    found = np.asarray(result.image, dtype=np.float32)
    # Seen at the working size: finer detail is the painting's.
    small = [
        Image.fromarray(pixels.astype(np.uint8))
        .convert("L")
        .resize((350, 277), Image.Resampling.BOX)
        for pixels in (found, result.scene.composite, 255 * result.scene.tight)
    ]
    seen, composite, tight = (np.asarray(image, dtype=np.float32) for image in small)
    kept = [np.gradient(p)[1][tight > 127] for p in (seen, composite)]
    assert np.corrcoef(*kept)[0, 1] > 0.5
    outside = derived(result.scene.tight) == 0
    assert (found[outside] == result.scene.painting[outside]).all()


def test_an_engraving_stays_without_color() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    painting = np.repeat(noise[..., None], 3, axis=2)
    patch = np.zeros((96, 96, 3), dtype=np.uint8)
    patch[..., 0] = 250
    mask = np.zeros((96, 96), dtype=np.uint8)
    mask[30:66, 30:66] = 255
    passes = load("default").passes
    config = load("default", [f"passes.{name}.steps=3" for name in passes])
    pixels = np.asarray(harmonize(painting, patch, mask, settings=config).image).astype(int)
    assert np.ptp(pixels, axis=2).max() <= 2
    assert (pixels != painting).any()
