"""Colors under what is transparent never show."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import strokes
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harmonize.scene.scene import Scene, load_scene
from harmonize.scene.transparency import fill_transparent, share_over

W, H = 60, 40


def scene(hidden: int, kind: type = np.uint8) -> Scene:
    """A painting half transparent, and a soft disc over it."""
    factor = kind(np.iinfo(kind).max // 255)
    painting = strokes(W, H)
    x, y = np.meshgrid(np.arange(W), np.arange(H))
    painting[:, W // 2 :] = hidden
    opacity = np.where(x < W // 2, 255, 0).astype(np.uint8)
    whole = np.dstack([painting, opacity]).astype(kind) * factor
    element = np.full((H, W, 3), (230, 120, 40), np.uint8)
    mask = np.clip((16 - np.hypot(x - W // 2, y - H // 2)) / 8 * 255, 0, 255).astype(np.uint8)
    return load_scene(whole, element, mask)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_hidden_colors_reach_nothing_that_shows(kind: type) -> None:
    black, white = scene(0, kind), scene(255, kind)
    assert (black.painting == white.painting).all()
    assert (black.composite == white.composite).all()
    shows = black.original.alpha > 0  # type: ignore[operator]
    assert (black.original.pixels == white.original.pixels)[shows].all()
    assert (black.original.alpha == white.original.alpha).all()


def test_over_nothing_the_element_has_its_own_color() -> None:
    found = scene(0)
    over = (found.original.alpha > 0) & (np.arange(W) >= W // 2)  # type: ignore[operator]
    assert over.sum() > 100
    assert np.abs(found.original.pixels[over].astype(int) - (230, 120, 40)).max() <= 1
    assert np.abs(found.composite[over].astype(int) - (230, 120, 40)).max() <= 1


def test_outside_the_loose_mask_every_bit_stays_hidden_ones_too() -> None:
    found = scene(77)
    outside = found.loose == 0
    assert (found.original.pixels[outside & (np.arange(W) >= W // 2)] == 77).all()
    assert (found.original.alpha[outside] % 255 == 0).all()  # type: ignore[index]


@given(hnp.arrays(np.uint8, (5, 7)), hnp.arrays(np.uint8, (5, 7)))
def test_the_share_is_porter_and_duffs(above: np.ndarray, below: np.ndarray) -> None:
    a, p = above / 255.0, below / 255.0
    whole = a + p * (1 - a)
    expected = np.where(whole > 0, a / np.where(whole > 0, whole, 1), 0)
    assert np.allclose(share_over(above, below), expected, atol=1e-6)
    assert np.allclose(share_over(above, np.full_like(below, 255)), a, atol=1e-6)
    assert (share_over(above, None) == above / np.float32(255)).all()


@given(st.integers(0, 2**32 - 1))
def test_what_is_hidden_has_the_color_of_a_nearest_visible_place(seed: int) -> None:
    random = np.random.default_rng(seed)
    colors = random.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    opacity = random.choice(np.array([0, 0, 1, 255], np.uint8), (6, 8))
    opacity[random.integers(6), random.integers(8)] = 255
    found = fill_transparent(colors, opacity)
    y, x = np.nonzero(opacity)
    for row, column in np.ndindex(6, 8):
        away = np.hypot(y - row, x - column)
        near = colors[y, x][away <= away.min() + 0.5]  # distances are rounded
        assert (near == found[row, column]).all(-1).any()
        if opacity[row, column]:
            assert (found[row, column] == colors[row, column]).all()


def test_nothing_transparent_is_no_copy() -> None:
    colors = strokes(8, 8)
    assert fill_transparent(colors, None) is colors
    assert fill_transparent(colors, np.ones((8, 8), np.uint8)) is colors
