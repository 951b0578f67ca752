from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harmonize.synthesis.palette import silhouette
from harmonize.synthesis.palette.silhouette import keep_contour, keep_silhouette


def scene(element: float, around: float) -> tuple[Tensor, Tensor, Tensor]:
    """A mapped gray square on gray, and where it is."""
    inside = torch.zeros(80, 80, dtype=torch.bool)
    inside[20:60, 20:60] = True
    frame = torch.zeros(3, 80, 80)
    frame[0] = around
    mapped = frame.clone()
    mapped[0, inside] = element
    return mapped, frame, inside


def contrast(image: Tensor, frame: Tensor, inside: Tensor) -> float:
    return abs(float(image[0, inside].mean() - frame[0, ~inside].mean()))


@pytest.mark.parametrize(("had", "has"), [(60.0, 42.0), (20.0, 38.0), (60.0, 38.0)])
def test_a_contour_that_would_vanish_stands_out(had: float, has: float) -> None:
    composite, frame, inside = scene(had, 40.0)
    mapped, *_ = scene(has, 40.0)
    found = keep_silhouette(mapped, composite, frame, inside, 0.6)
    assert contrast(found, frame, inside) == pytest.approx(0.6 * 20, abs=0.1)
    assert torch.equal(found[1:], mapped[1:])


def test_a_contour_that_stands_out_enough_is_left() -> None:
    composite, frame, inside = scene(60.0, 40.0)
    mapped, *_ = scene(55.0, 40.0)
    assert torch.equal(keep_silhouette(mapped, composite, frame, inside, 0.6), mapped)
    assert torch.equal(keep_silhouette(composite, composite, frame, inside, 1.0), composite)


def test_a_silhouette_is_moved_by_so_much_and_no_more() -> None:
    composite, frame, inside = scene(100.0, 10.0)
    mapped, *_ = scene(12.0, 10.0)
    found = keep_silhouette(mapped, composite, frame, inside, 1.0)
    assert float((found - mapped).abs().max()) == pytest.approx(silhouette.MOST_LIFT, abs=1e-4)


def test_an_element_that_fills_all_has_no_silhouette() -> None:
    composite, frame, _ = scene(60.0, 40.0)
    everywhere = torch.ones(80, 80, dtype=torch.bool)
    assert torch.equal(keep_silhouette(frame, composite, frame, everywhere, 0.6), frame)


def test_a_dark_thing_s_light_rim_stays_light() -> None:
    composite, frame, inside = scene(20.0, 40.0)
    mapped, *_ = scene(38.0, 40.0)
    strip = inside.clone()
    strip[:, 22:] = False
    composite[0, strip], mapped[0, strip] = 90.0, 75.0
    found = keep_silhouette(mapped, composite, frame, inside, 1.0)
    torch.testing.assert_close(found[0, strip], mapped[0, strip])
    assert float(found[0, inside & ~strip].mean()) < 38


# --- along the contour ----------------------------------------------------------------------------


def halves() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A square whose left half the map makes as light as its surroundings."""
    composite, frame, inside = scene(70.0, 40.0)
    mapped = composite.clone()
    mapped[0, 20:60, 20:40] = 41.0
    return mapped, composite, frame, inside


def test_only_where_the_contour_vanishes_it_is_told_apart() -> None:
    mapped, composite, frame, inside = halves()
    found = keep_contour(mapped, composite, frame, inside, 0.6)
    moved = found - mapped
    assert float(moved[0, 30:50, 20:24].min()) > 4
    assert not moved[0, ~inside].any() and not moved[1:].any()
    assert float(moved[0, 30:50, 54:].abs().max()) < 0.1  # the right edge stands out as it is


def test_what_is_far_from_the_contour_stays() -> None:
    inside = torch.zeros(160, 160, dtype=torch.bool)
    inside[10:150, 10:150] = True
    frame, composite = torch.full((3, 160, 160), 40.0), torch.full((3, 160, 160), 40.0)
    frame[1:], composite[1:] = 0.0, 0.0
    composite[0, inside] = 80.0
    moved = (keep_contour(frame, composite, frame, inside, 0.6) - frame)[0]
    assert float(moved[10:150, 10:12].mean()) > 8
    assert float(moved[55:105, 55:105].abs().max()) < 1e-3


def test_a_contour_moves_to_the_pasted_picture_s_side_and_no_further_than_allowed() -> None:
    composite, frame, inside = scene(0.0, 60.0)
    mapped, *_ = scene(61.0, 60.0)
    moved = (keep_contour(mapped, composite, frame, inside, 1.0) - mapped)[0]
    assert float(moved.max()) <= 0
    assert -silhouette.MOST_LIFT - 1e-4 <= float(moved.min()) < -10


def test_enough_contrast_no_share_and_no_surroundings_change_no_contour() -> None:
    composite, frame, inside = scene(60.0, 40.0)
    flat, *_ = scene(41.0, 40.0)
    everywhere = torch.ones(80, 80, dtype=torch.bool)
    torch.testing.assert_close(keep_contour(composite, composite, frame, inside, 1.0), composite)
    assert torch.equal(keep_contour(flat, composite, frame, inside, 0.0), flat)
    torch.testing.assert_close(keep_contour(flat, composite, frame, everywhere, 1.0), flat)


def test_a_hue_of_its_own_tells_a_contour_as_well_as_lightness_does() -> None:
    composite, frame, inside = scene(60.0, 40.0)
    mapped, *_ = scene(41.0, 40.0)
    mapped[1, inside] = 30.0
    assert torch.equal(keep_contour(mapped, composite, frame, inside, 0.6), mapped)
