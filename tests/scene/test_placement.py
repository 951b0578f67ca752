"""Where an element goes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from conftest import disc, strokes
from hypothesis import given
from hypothesis import strategies as st

from harmonize.errors import InputError
from harmonize.scene.layout import lay_out
from harmonize.scene.placement import Placement
from harmonize.scene.scene import Scene, load_scene

PAINTING = strokes(240, 180)
# What shows is 30 x 20 pixels, 25 from the left and 14 from the top; its upper left is marked.
ALPHA = np.zeros((60, 80), np.uint8)
ALPHA[14:34, 25:55] = 255
COLORS = np.full((60, 80, 3), 100, np.uint8)
COLORS[14:24, 25:40] = (250, 0, 0)
ELEMENT = np.dstack([COLORS, ALPHA])
Box = tuple[int, int, int, int]


def scene(element: np.ndarray = ELEMENT, **place: Any) -> Scene:
    return load_scene(PAINTING, element, placement=Placement(**place))


def box(found: Scene) -> Box:
    rows, columns = (np.flatnonzero((found.tight > 127).any(axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def mark(found: Scene) -> tuple[float, float]:
    red = (found.composite[..., 0] > 225) & (found.composite[..., 1] < 60)
    y, x = np.nonzero(red & (found.tight > 127))
    return float(x.mean()), float(y.mean())


# --- the value ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"at": "120,40"}, {"at": (120, 40)}),
        ({"at": "30%, 12.5 %"}, {"at": ("30%", "12.5%")}),
        ({"at": [3, -4.0]}, {"at": (3, -4)}),
        ({"at": "Centre"}, {"at": "center"}),
        ({"at": (np.int64(3), np.float32(4))}, {"at": (3, 4)}),
        ({"width": "25%"}, {"width": "25%"}),
        ({"width": "40"}, {"width": 40}),
        ({"height": np.int16(9)}, {"height": 9}),
        ({"scale": np.float32(0.5), "rotate": "-15"}, {"scale": 0.5, "rotate": -15.0}),
        ({"flip": "Horizontal"}, {"flip": "horizontal"}),
        ({"at": None, "scale": None}, {}),
    ],
)
def test_it_is_read_as_people_write_it(said: dict[str, Any], meant: dict[str, Any]) -> None:
    found = Placement.parse(said)
    assert found == Placement(**meant)
    assert Placement.of_record(json.loads(json.dumps(found.to_json()))) == found


def test_older_records_count_the_margin() -> None:
    old = Placement.of_record({"at": [3, -4], "width": 40, "scale": None})
    assert old == Placement(at=(3, -4), width=40, box="whole")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"at": "here"}, "`at=here`: expected x,y"),
        ({"at": (1, 2, 3)}, "expected x,y"),
        ({"at": (float("nan"), 2)}, "expected x,y"),
        ({"at": (1, 10**400)}, "expected x,y"),
        ({"at": 3}, "expected x,y"),
        ({"width": 0}, "`width=0`: expected pixels above 0"),
        ({"width": True}, "expected pixels above 0"),
        ({"height": "-5%"}, "expected pixels above 0"),
        ({"scale": 0}, "`scale=0`: expected a number above 0"),
        ({"scale": float("inf")}, "expected a number above 0"),
        ({"rotate": "left"}, "`rotate=left`: expected degrees"),
        ({"flip": "both"}, "`flip=both`: expected horizontal or vertical"),
        ({"width": 3, "scale": 2}, "`width` and `scale`: leave one"),
        ({"widht": 3}, "'widht' is not known"),
    ],
)
def test_what_is_no_placement(said: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        Placement.parse(said)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# --- place and size -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({"at": (10, 20)}, (10, 20, 40, 40)),
        ({"at": (-10, 170)}, (0, 170, 20, 180)),
        ({"at": ("10%", "50%")}, (24, 90, 54, 110)),
        ({"at": "center", "scale": 1}, (105, 80, 135, 100)),
        ({}, (80, 63, 160, 116)),
        ({"width": 60}, (90, 70, 150, 110)),
        ({"width": "50%"}, (60, 50, 180, 130)),
        ({"height": "10%"}, (107, 81, 134, 99)),
        ({"width": 60, "height": 20}, (90, 80, 150, 100)),
        ({"at": (10, 20), "scale": 2}, (10, 20, 70, 60)),
        ({"at": (10, 20), "box": "whole"}, (35, 34, 65, 54)),
    ],
)
def test_all_is_about_what_shows(place: dict[str, Any], expected: Box) -> None:
    assert max(map(abs, np.subtract(box(scene(**place)), expected))) <= 1


def test_a_margin_does_not_count() -> None:
    cropped = scene(ELEMENT[13:36, 24:55], at=(30, 40))
    assert (cropped.composite == scene(at=(30, 40)).composite).all()


def test_an_element_of_the_paintings_size_is_aligned_if_nothing_is_said() -> None:
    aligned = np.dstack([strokes(240, 180, seed=2), disc(240, 180)])
    assert (scene(aligned).tight == aligned[..., 3]).all()
    assert (scene(aligned, flip="vertical").tight != aligned[..., 3]).any()


def test_a_tall_element_fits_into_the_painting() -> None:
    tall = np.zeros((200, 12, 4), np.uint8)
    tall[:, 1:11] = 255
    left, top, right, bottom = box(scene(tall))
    assert bottom - top == 120
    assert abs(right - left - 6) <= 1


# --- turns and mirrors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "corner"),
    [
        ({}, "upper left"),
        ({"flip": "horizontal"}, "upper right"),
        ({"flip": "vertical"}, "lower left"),
        ({"rotate": 90}, "lower left"),
        ({"rotate": -90}, "upper right"),
        ({"rotate": 180}, "lower right"),
        ({"rotate": 90, "flip": "horizontal"}, "upper left"),
        ({"rotate": 10}, "upper left"),
        ({"rotate": 100}, "lower left"),
    ],
)
def test_turned_counter_clockwise_after_mirroring(place: dict[str, Any], corner: str) -> None:
    found = scene(at=(60, 50), scale=2, **place)
    left, top, right, bottom = box(found)
    assert abs(left - 60) <= 1
    assert abs(top - 50) <= 1
    x, y = mark(found)
    assert ("left" in corner) == (x < (left + right) / 2)
    assert ("upper" in corner) == (y < (top + bottom) / 2)


def test_quarters_and_mirrors_are_exact() -> None:
    for turns in range(4):
        found = scene(at=(60, 50), rotate=90 * turns, flip="horizontal")
        expected = np.rot90(np.flip(ELEMENT, 1), turns)
        shown = np.argwhere(expected[..., 3] > 0)
        (top, left), (bottom, right) = shown.min(0), shown.max(0) + 1
        part = expected[top:bottom, left:right, :3]
        high, wide = part.shape[:2]
        assert (found.composite[50 : 50 + high, 60 : 60 + wide] == part).all()


@given(st.floats(-360, 360), st.floats(0.3, 2.5), st.sampled_from([None, "horizontal"]))
def test_a_turned_element_keeps_its_area_and_its_corner(
    degrees: float, scale: float, flip: str | None
) -> None:
    found = scene(at=(60, 50), rotate=degrees, scale=scale, flip=flip)
    left, top, right, bottom = box(found)
    assert abs(left - 60) <= 1.5
    assert abs(top - 50) <= 1.5
    if right < 240 and bottom < 180:
        area = 30 * 20 * scale**2
        assert abs(found.tight.sum() / 255 - area) < 0.03 * area + 2.5 * (50 * scale) ** 0.5 + 4


def test_turned_in_tiles_is_turned_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scene(at=(20, 20), rotate=33, scale=3)
    monkeypatch.setattr("harmonize.scene.resample.TILE", 37)
    tiled = scene(at=(20, 20), rotate=33, scale=3)
    assert np.abs(whole.tight.astype(int) - tiled.tight).max() <= 1
    assert np.abs(whole.composite.astype(int) - tiled.composite).max() <= 2


def test_hidden_colors_do_not_bleed_into_a_turned_element() -> None:
    element = np.dstack([np.full_like(COLORS, 100), ALPHA])
    element[ALPHA == 0] = (255, 0, 255, 0)
    gray = np.full_like(PAINTING, 100)
    found = load_scene(gray, element, placement=Placement(at=(50, 50), rotate=27, width=70))
    assert np.abs(found.composite.astype(int) - 100).max() <= 1
    assert ((found.tight > 0) & (found.tight < 255)).any()


def test_a_loose_mask_goes_with_its_element() -> None:
    place = Placement(at=(60, 50), rotate=30, scale=2, flip="vertical")
    grown = np.zeros_like(ALPHA)
    grown[10:38, 21:59] = 255
    found = load_scene(PAINTING, ELEMENT, loose_mask=grown, placement=place)
    assert (found.loose[found.tight > 127] == 255).all()
    assert 1.2 < found.loose.sum() / found.tight.sum() < 2.4


# --- what is told and refused ---------------------------------------------------------------------


def test_a_scrap_and_an_enlargement_are_told() -> None:
    assert scene(at=(10, 10)).warnings == ()
    (scrap,) = scene(at=(-26, 10)).warnings
    assert "only 13 % of the element lies on the painting; check `at`" in scrap
    (large,) = scene(at=(10, 10), scale=3).warnings
    assert "enlarged 3.0 times" in large


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({"at": (240, 3)}, "lies outside the painting of 240 x 180"),
        ({"at": (3, -20)}, "lies outside"),
        ({"at": ("100%", 0)}, "lies outside"),
        ({"width": "1000%"}, "check `width`, `height` and `scale`"),
        ({"scale": 1e8}, "check `width`"),
    ],
)
def test_a_placement_that_cannot_be(place: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        scene(**place)
    assert said in str(caught.value)


def test_only_what_shows_is_covered() -> None:
    layout = lay_out(ALPHA, (240, 180), Placement(at=(200, 150), rotate=20, scale=40 / 3))
    assert layout.rows.stop == 180
    assert layout.columns.stop == 240
    assert layout.visible < 0.1
