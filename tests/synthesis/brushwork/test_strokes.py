from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from harmonize.synthesis.brushwork import strokes as module
from harmonize.synthesis.brushwork.strokes import (
    dottedness,
    missing_dots,
    missing_strokes,
    smeared,
)
from harmonize.synthesis.image_ops import filters

EVERYWHERE = torch.ones(80, 80).bool()
ALL = torch.ones(1, 100, 120)


def dabs(h: int = 80, w: int = 80, seed: int = 0) -> Tensor:
    dice = torch.Generator().manual_seed(seed)
    return filters.gaussian(torch.randn(1, h, w, generator=dice), 1.0)


def painting() -> Tensor:
    return 50 + 30 * dabs(100, 120, seed=9)


def likeness(image: Tensor, down: int, right: int) -> float:
    """How like itself an image is when moved."""
    moved = torch.roll(image, (down, right), dims=(1, 2))
    part = (slice(None), slice(16, -16), slice(16, -16))
    return float((image * moved)[part].mean() / image.square()[part].mean())


@pytest.mark.parametrize("angle", [0.0, math.pi / 2, math.pi])
def test_dabs_become_long_along_the_angle(angle: float) -> None:
    found = smeared(dabs(), torch.full((80, 80), angle), [8], EVERYWHERE)
    along, across = ((0, 6), (6, 0)) if math.sin(angle) < 0.5 else ((6, 0), (0, 6))
    assert likeness(found, *along) > 0.4
    assert abs(likeness(found, *across)) < 0.2


def test_it_is_a_weighted_sum_along_a_line() -> None:
    one = dabs(20, 30)
    found = smeared(one, torch.zeros(20, 30), [3], torch.ones(20, 30).bool())
    padded = torch.nn.functional.pad(one, (3, 3), mode="replicate")
    shares = [math.exp(-module.TAPER * (step / 3) ** 2) for step in range(-3, 4)]
    naive = sum(share * padded[..., at : at + 30] for at, share in enumerate(shares))
    naive = naive / sum(shares)
    torch.testing.assert_close(found, naive, rtol=1e-3, atol=1e-3)


def test_a_turned_around_angle_is_the_same_stroke() -> None:
    angles = torch.rand(80, 80, generator=torch.Generator().manual_seed(3))
    angles = filters.gaussian(angles[None], 8.0)[0] * 3
    flipped = torch.where(torch.arange(80) % 2 == 0, angles, angles + math.pi)
    torch.testing.assert_close(
        smeared(dabs(), angles, [6], EVERYWHERE),
        smeared(dabs(), flipped, [6], EVERYWHERE),
        rtol=0,
        atol=1e-3,
    )


def test_lengths_together_and_some_places_are_as_each_alone_and_everywhere() -> None:
    both = torch.cat((dabs(), dabs(seed=1)))
    angles = 3 * filters.gaussian(dabs(seed=2), 8.0)[0]
    where = torch.zeros(80, 80).bool()
    where[20:50, 30:70] = True
    found = smeared(both, angles, [4, 9], where)
    for one, image, length in zip(found, both, [4, 9], strict=True):
        alone = smeared(image[None], angles, [length], EVERYWHERE)[0]
        torch.testing.assert_close(one, torch.where(where, alone, image))


def test_a_flat_thing_becomes_as_lively_as_the_painting() -> None:
    flat, angles = torch.full((1, 100, 120), 50.0), torch.zeros(100, 120)
    strokes = missing_strokes(flat, painting(), angles, ALL, 0)
    for fine, broad in module.BANDS:

        def strength(luma: Tensor, fine: float = fine, broad: float = broad) -> float:
            band = filters.gaussian(luma, fine) - filters.gaussian(luma, broad)
            return float(band.std())

        assert 0.4 < strength(strokes) / strength(painting()) < 1.6


def test_what_is_lively_enough_and_smooth_paintings_get_none() -> None:
    angles = torch.zeros(100, 120)
    lively = 50 + 3 * (painting() - 50)
    assert float(missing_strokes(lively, painting(), angles, ALL, 0).abs().mean()) < 0.1
    smooth = torch.full((1, 100, 120), 50.0)
    assert not missing_strokes(smooth, smooth, angles, ALL, 0).any()


def test_a_seed_makes_other_strokes_and_the_same_ones_again() -> None:
    flat, angles = torch.full((1, 100, 120), 50.0), torch.zeros(100, 120)
    one, again, other = (missing_strokes(flat, painting(), angles, ALL, seed) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert float((one - other).abs().mean()) > 0.5


def test_under_a_mask_strokes_are_whole_and_an_empty_one_has_none() -> None:
    flat, angles, mask = (
        torch.full((1, 100, 120), 50.0),
        torch.zeros(100, 120),
        torch.zeros_like(ALL),
    )
    assert not missing_strokes(flat, painting(), angles, mask, 0).any()
    mask[:, 30:70, 40:90] = 1
    part = missing_strokes(flat, painting(), angles, mask, 0)[:, 30:70, 40:90].flatten()
    whole = missing_strokes(flat, painting(), angles, ALL, 0)[:, 30:70, 40:90].flatten()
    assert float(torch.corrcoef(torch.stack((part, whole)))[0, 1]) > 0.99
    assert 0.8 < float(part.std() / whole.std()) < 1.25


def dots() -> Tensor:
    return 50 + 60 * (dabs(100, 120, seed=9) - filters.gaussian(dabs(100, 120, seed=9), 1.0))


def grass() -> Tensor:
    return 50 + 60 * smeared(dots() - 50, torch.zeros(100, 120), [6], torch.ones(100, 120).bool())


def test_dots_are_fine_and_have_no_direction() -> None:
    assert dottedness(dots()) == 1
    assert dottedness(grass()) == 0
    assert dottedness(filters.gaussian(dots(), 4.0)) == 0


def test_on_a_dotted_painting_strokes_are_dots() -> None:
    flat, angles = torch.full((1, 100, 120), 50.0), torch.zeros(100, 120)
    found = missing_strokes(flat, dots(), angles, ALL, 0)
    assert abs(likeness(found, 0, 3) - likeness(found, 3, 0)) < 0.1
    torch.testing.assert_close(found, missing_dots(flat, dots(), ALL, 0))


def test_no_dots_but_where_the_painting_has_them_and_the_element_lacks_them() -> None:
    flat = torch.full((1, 100, 120), 50.0)
    assert not missing_dots(flat, grass(), ALL, 0).any()
    assert float(missing_dots(flat, dots(), ALL, 0).std()) > 1
    assert float(missing_dots(dots(), dots(), ALL, 0).std()) < 1
