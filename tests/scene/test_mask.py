"""Masks as people have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import disc, strokes
from PIL import Image

from harmonize.errors import InputError
from harmonize.scene.mask import labelled
from harmonize.scene.scene import Scene, load_scene

PAINTING, ELEMENT, MASK = strokes(96, 80), strokes(96, 80, seed=1), disc(96, 80)
INSIDE = MASK > 0


def scene(mask: Any) -> Scene:
    return load_scene(PAINTING, ELEMENT, mask)


def colored(element: tuple[int, int, int], rest: tuple[int, int, int]) -> np.ndarray:
    return np.where(INSIDE[..., None], np.uint8(element), np.uint8(rest))


@pytest.mark.parametrize(
    ("element", "rest"),
    [
        ((255, 0, 0), (0, 0, 0)),
        ((0, 0, 255), (0, 0, 0)),
        ((128, 0, 128), (0, 0, 0)),
        ((255, 0, 0), (255, 255, 255)),
        ((0, 200, 0), (200, 0, 200)),
        ((0, 0, 0), (255, 255, 0)),
    ],
)
def test_any_one_color_on_another(
    element: tuple[int, int, int], rest: tuple[int, int, int]
) -> None:
    found = scene(colored(element, rest))
    if max(element) == 0:  # black is never the element
        assert (found.tight == 255 - MASK).all()
    else:
        assert (found.tight == MASK).all()
    assert any("colored" in note for note in found.warnings)


def test_a_colored_masks_soft_edge_stays_soft() -> None:
    y, x = np.mgrid[:80, :96]
    soft = np.clip((30 - np.hypot(x - 48, y - 40)) / 8 + 0.5, 0, 1)
    red = np.zeros((80, 96, 3), np.uint8)
    red[..., 0] = np.rint(soft * 255)
    gray = np.rint(soft * 255).astype(np.uint8)
    assert np.abs(scene(red).tight.astype(int) - scene(gray).tight).max() <= 2


def test_many_colors_are_no_mask() -> None:
    three = colored((255, 0, 0), (0, 0, 0))
    three[:20] = (0, 255, 0)
    for many in (three, np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)):
        with pytest.raises(InputError, match="many colors"):
            scene(many)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_labels_of_0_and_1(dtype: type) -> None:
    assert (scene(INSIDE.astype(dtype)).tight == MASK).all()
    assert (scene((3 * INSIDE).astype(dtype)).tight == MASK).all()
    several = INSIDE.astype(dtype)
    several[:5] = 2
    with pytest.raises(InputError, match="labels 0, 1, 2; say with `mask_value`"):
        scene(several)


def test_one_of_several_labels(files: Path) -> None:
    labels = INSIDE * 2
    labels[:5] = 1
    indexed = Image.fromarray(labels.astype(np.uint8)).convert("P")
    indexed.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    indexed.save("labels.png")
    assert (labelled("mask", Path("labels.png"), 2) == MASK).all()
    assert (labelled("mask", labels.astype(np.uint8), 1)[:5] == 255).all()
    with pytest.raises(InputError, match="nothing in it has the value 7; choose of 0, 1, 2"):
        labelled("mask", Path("labels.png"), 7)
    with pytest.raises(InputError, match="needs a mask of labels"):
        labelled("mask", Path("painting.png"), 7)
    Path("text.png").write_text("no picture")
    with pytest.raises(InputError, match="not an image"):
        labelled("mask", Path("text.png"), 7)


@pytest.mark.parametrize("size", [(97, 80), (95, 81), (192, 160), (48, 40)])
def test_another_size_of_the_same_shape_is_scaled_and_told(size: tuple[int, int]) -> None:
    found = scene(Image.fromarray(MASK).resize(size, Image.Resampling.BICUBIC))
    assert ((found.tight > 127) != INSIDE).mean() < 0.02
    assert any("scaled to the element's 96 x 80" in note for note in found.warnings)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_is_turned_like_its_photograph(files: Path, orientation: int) -> None:
    raw, half = strokes(80, 96), disc(80, 96)
    half[:48] = 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(raw).save("turned.png", exif=exif)
    Image.fromarray(half).save("both.png", exif=exif)
    Image.fromarray(half).save("plain.png")
    both = load_scene(PAINTING, "turned.png", "both.png")
    plain = load_scene(PAINTING, "turned.png", "plain.png")
    assert (plain.tight == both.tight).all()
    assert any("EXIF" in note for note in plain.warnings)


def test_one_color_with_transparency_is_its_transparency() -> None:
    black = np.dstack([np.zeros_like(PAINTING), MASK])
    assert (scene(black).tight == MASK).all()


def test_the_way_out_is_named() -> None:
    with pytest.raises(InputError, match="`harmonize cutout` or in `harmonize studio`"):
        load_scene(PAINTING, ELEMENT)
