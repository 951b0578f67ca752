from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harmonize.synthesis.brushwork.broken_color import broken_color
from harmonize.synthesis.brushwork.strokes import bands
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.crops import StrokePlaces

H, W = 60, 80
EVERYWHERE = torch.ones(1, H, W)
SAME = StrokePlaces(torch.arange(H * W), torch.arange(H * W))
MIDDLE = (slice(None), slice(12, -12), slice(12, -12))


def hues(strength: float, luma: float = 60.0, seed: int = 0) -> Tensor:
    """A plane of one lightness with dabs of hue."""
    dice = torch.Generator().manual_seed(seed)
    chroma = filters.gaussian(torch.randn(2, H, W, generator=dice), 1.5)
    return filters.from_lab(torch.cat((torch.full((1, H, W), luma), strength * chroma)))


def strengths(image: Tensor) -> list[float]:
    found = bands(filters.to_lab(image)[1:])
    return [float(band[MIDDLE].square().sum(0).mean().sqrt()) for band in found]


@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_a_plain_thing_gets_the_painting_s_hues_as_strong_as_asked(amount: float) -> None:
    painting, plain = hues(40), hues(0)
    found = strengths(broken_color(plain, painting, EVERYWHERE, SAME, amount))
    assert found == pytest.approx([amount * s for s in strengths(painting)], rel=0.25)


def test_a_weakly_colored_thing_is_made_up_to_it() -> None:
    painting, weak = hues(40), hues(15, seed=1)
    found = strengths(broken_color(weak, painting, EVERYWHERE, SAME, 1.0))
    assert found == pytest.approx(strengths(painting), rel=0.25)


def test_what_has_more_color_stays() -> None:
    strong = hues(40, seed=1)
    found = broken_color(strong, hues(10), EVERYWHERE, SAME, 1.0)
    torch.testing.assert_close(found, strong, rtol=0, atol=0.02)


def test_lightness_and_what_lies_outside_stay() -> None:
    mask = torch.zeros(1, H, W)
    mask[:, :, 40:] = 1
    plain = hues(0)
    found = broken_color(plain, hues(40), mask, SAME, 1.0)
    torch.testing.assert_close(found[:, :, :40], plain[:, :, :40], rtol=0, atol=1e-4)
    assert not torch.allclose(found[:, :, 40:], plain[:, :, 40:], atol=0.01)
    now, before = (filters.to_lab(image)[0] for image in (found, plain))
    torch.testing.assert_close(now, before, rtol=0, atol=0.1)


def test_hues_come_from_the_strokes_places() -> None:
    moved = torch.roll(torch.arange(H * W).view(H, W), (0, 7), (0, 1)).flatten()
    painting, plain = hues(40), hues(0)
    at_hand = broken_color(plain, painting, EVERYWHERE, SAME, 1.0)
    strokes = StrokePlaces(torch.arange(H * W), moved)
    found = broken_color(plain, painting, EVERYWHERE, strokes, 1.0)
    moved_back = torch.roll(at_hand, (0, 7), (1, 2))
    inner = (slice(None), slice(None), slice(32, -16))
    torch.testing.assert_close(found[inner], moved_back[inner], rtol=0, atol=0.02)


def test_darks_take_weaker_hues_than_the_lights_they_come_from() -> None:
    painting = hues(40)
    dark = strengths(broken_color(hues(0, luma=20), painting, EVERYWHERE, SAME, 1.0))
    assert dark == pytest.approx([s / 3 for s in strengths(painting)], rel=0.25)


def test_a_gray_painting_changes_nothing() -> None:
    colored = hues(20)
    found = broken_color(colored, hues(0, seed=3), EVERYWHERE, SAME, 1.0)
    torch.testing.assert_close(found, colored, rtol=0, atol=1e-3)
