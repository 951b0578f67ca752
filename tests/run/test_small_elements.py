"""A small element is worked on with the painting around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import TWO_PASSES, disc, shallow, strokes
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harmonize import Session, harmonize
from harmonize.run.memory_limit import at_work, working_shape
from harmonize.run.prepare import RECOGNIZABLE
from harmonize.scene.loose import SHORT_ELEMENT
from harmonize.settings.load import load
from harmonize.synthesis.image_ops.crops import Canvas
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.image_ops.windows import Window

ONE_STEP = ("passes.coarse.steps=0", "passes.refine.steps=1", *shallow("refine"))
FEW = load("default", [*TWO_PASSES, *ONE_STEP, "size=64"])


def canvas(shape: tuple[int, int], box: Window) -> Canvas:
    y, x = np.mgrid[: shape[0], : shape[1]]
    pixels = np.stack((y % 256, x % 256, (y + x) % 256), -1).astype(np.uint8)
    loose = np.zeros(shape, np.uint8)
    box.crop_pixels(loose)[:] = 255
    return Canvas(Raster(pixels), Raster(pixels), loose, Raster(loose[..., None]))


@settings(max_examples=25)
@given(data=st.data())
def test_the_part_holds_the_element_and_is_where_it_says(data: st.DataObject) -> None:
    shape = (data.draw(st.integers(40, 600)), data.draw(st.integers(40, 600)))
    top, left = data.draw(st.integers(0, shape[0] - 9)), data.draw(st.integers(0, shape[1] - 9))
    box = Window(
        top,
        left,
        data.draw(st.integers(top + 1, shape[0])),
        data.draw(st.integers(left + 1, shape[1])),
    )
    whole, config = canvas(shape, box), load("default", ["size=128"])
    part = at_work(whole, config)
    (y, x), (h, w) = part.corner, part.shape
    there = Window(y, x, y + h, x + w)
    assert (part.painting.pixels == there.crop_pixels(whole.painting.pixels)).all()
    assert part.loose.sum() == whole.loose.sum()
    # Either the whole, or the element has its share of the part, which has the working size.
    longest = max(box.shape)
    if part.shape != whole.shape:
        assert max(working_shape(part.shape, config)) <= 128
        assert longest < SHORT_ELEMENT * max(whole.shape) + 1 or max(part.shape) < max(whole.shape)
    assert at_work(whole, load("paper")).shape == whole.shape


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[np.ndarray]:
    monkeypatch.chdir(tmp_path)
    painting = strokes(320, 240)
    Image.fromarray(painting).save("painting.png")
    Image.fromarray(np.dstack([strokes(20, 16, seed=2), disc(20, 16)])).save("cutout.png")
    yield painting


def test_it_is_painted_there_and_nowhere_else(large: np.ndarray) -> None:
    found = harmonize("painting.png", "cutout.png", placement={"at": (250, 150)}, settings=FEW)
    changed = (np.asarray(found.image) != large).any(-1)
    y, x = np.nonzero(changed)
    assert changed.any()
    assert 235 < x.min() and x.max() < 285 and 135 < y.min() and y.max() < 180
    # Worked on at its own size: the part is as large as the working size asks for.
    assert found.record["size"] == 64


def test_parts_of_one_painting_are_not_taken_for_each_other(large: np.ndarray) -> None:
    session = Session(FEW)
    for at in ((20, 20), (250, 150)):
        shared = session.run(session.plan("painting.png", "cutout.png", placement={"at": at}))
        alone = harmonize("painting.png", "cutout.png", placement={"at": at}, settings=FEW)
        assert shared.image.tobytes() == alone.image.tobytes()


@pytest.mark.parametrize(
    ("width", "options", "told"),
    [
        (30, ["size=native"], True),
        (80, ["size=native"], False),
        (80, ["size=64"], True),  # fewer pixels of it at work
    ],
)
def test_what_cannot_stay_recognizable_is_told(
    large: np.ndarray, width: int, options: list[str], told: bool
) -> None:
    session = Session(load("default", [*TWO_PASSES, "region=canvas", *options]))
    plan = session.plan("painting.png", "cutout.png", placement={"width": width})
    covered = np.count_nonzero(plan.view.tight > 0.5)
    assert (covered < RECOGNIZABLE) == told
    said = [note for note in plan.warnings if "too few to stay recognizable" in note]
    assert len(said) == told
    for note in said:
        assert f"only {covered} pixels" in note
        assert ("`size`" in note) == (options == ["size=64"])
