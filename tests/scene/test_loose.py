from __future__ import annotations

from math import exp

import numpy as np
import pytest

from harmonize.scene.loose import LOOSE_SIGMA, derived
from harmonize.scene.mask import Mask


def box(h: int, w: int, top: int, left: int, bottom: int, right: int) -> Mask:
    mask = np.zeros((h, w), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def test_at_700_pixels_it_is_the_authors() -> None:
    # Beside a straight edge, 35 × 35, σ = 35/3: what a pixel d beyond the edge still sees of it.
    taps = [exp(-(d**2) / (2 * (35 / 3) ** 2)) for d in range(-17, 18)]
    reach = sum(1 for d in range(1, 18) if sum(taps[17 + d :]) > 0.1 * sum(taps))
    found = derived(box(400, 700, 0, 0, 400, 300))
    assert (found == box(400, 700, 0, 0, 400, 300 + reach)).all()


@pytest.mark.parametrize("sigma", [20.0, 60.0, 234.0])
def test_it_is_wider_and_either_zero_or_one(sigma: float) -> None:
    tight = box(90, 80, 30, 25, 60, 50)
    found = derived(tight, sigma)
    assert set(np.unique(found)) == {0, 255}
    assert (found >= tight).all()
    assert (found > tight).any()
    assert (found[:10] == 0).all()


def test_a_larger_sigma_is_looser() -> None:
    tight = box(120, 120, 40, 40, 80, 80)
    sums = [int(derived(tight, sigma).sum()) for sigma in (6.0, 12.0, 24.0, 48.0)]
    assert sums == sorted(set(sums))


def test_of_everything_it_is_everything() -> None:
    assert (derived(np.full((40, 50), 255, np.uint8)) == 255).all()


def test_what_the_blur_would_wipe_out_is_in_it() -> None:
    tight = box(700, 700, 100, 350, 600, 351)  # a line of one pixel
    found = derived(tight)
    assert (found[tight > 0] == 255).all()
    assert (found[300, 350 - round(LOOSE_SIGMA / 4) : 351 + round(LOOSE_SIGMA / 4)] == 255).all()
