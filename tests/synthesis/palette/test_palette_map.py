from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harmonize.settings.goals import PaletteGoal
from harmonize.settings.load import Settings
from harmonize.settings.resolve import resolve_settings
from harmonize.synthesis.palette import palette_map as module
from harmonize.synthesis.palette.palette_map import (
    fit_range,
    hue_at,
    keep_contrast,
    lab_span,
    linear_map,
    own_hue,
    painted_black,
    painted_white,
    palette_map,
    project,
    quantile_map,
    rarity_of,
    strengthened,
    whiteness,
    with_strength,
)
from harmonize.synthesis.palette.reference import PaletteReference

SEEDS = st.integers(0, 2**16)


def goal(**changes: float) -> PaletteGoal:
    found = resolve_settings(Settings.preset(), 5.0).palette
    assert found is not None
    return replace(found, **changes)


def normal(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- a painter's black ----------------------------------------------------------------------------


def darks_and_lights() -> Tensor:
    """Blue darks, yellow lights."""
    luma = torch.linspace(0, 100, 2001)
    dark = luma < 50
    return torch.stack((luma, torch.where(dark, 5.0, -5.0), torch.where(dark, -30.0, 40.0)))


def test_the_hue_at_a_lightness_is_that_of_colors_as_light() -> None:
    luma = torch.tensor([[[0.0, 20.0, 37.3, 80.0, 100.0]]])
    sample = darks_and_lights()
    near = torch.exp(-((luma[0, 0][:, None] - sample[0]) / module.AS_DARK).square() / 2) + 1e-6
    naive = (near @ sample[1:].T / near.sum(1, keepdim=True)).T[:, None]
    torch.testing.assert_close(hue_at(luma, sample), naive, rtol=0, atol=0.5)
    torch.testing.assert_close(
        hue_at(luma, sample)[:, 0, 1], torch.tensor([5.0, -30.0]), atol=0.1, rtol=0
    )


def test_black_takes_the_hue_of_the_paintings_darks_and_light_or_colored_things_none() -> None:
    luma, chroma, none = torch.zeros(1, 6, 8), torch.zeros(2, 6, 8), torch.zeros(1, 6, 8)
    sample = darks_and_lights()
    found = painted_black(luma, chroma, none, sample)
    expected = module.BLACK * torch.tensor([5.0, -30.0]).view(2, 1, 1).expand(2, 6, 8)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1)
    assert not painted_black(luma + module.DARK, chroma, none, sample).any()
    assert not painted_black(luma, chroma, none + 1, sample).any()
    already = sample[1:, :1, None].expand(2, 6, 8)
    assert float(painted_black(luma, already, none, sample).abs().max()) < 0.1


def test_white_takes_the_hue_of_the_paintings_lightest() -> None:
    shades, chroma = torch.tensor([[[40.0, 70.0, 95.0]]]), torch.zeros(2, 1, 3)
    found = painted_white(shades, chroma, darks_and_lights())
    lightest = module.TINT * torch.tensor([-5.0, 40.0]).view(2, 1, 1).expand(2, 1, 3)
    torch.testing.assert_close(found, lightest, rtol=0, atol=0.1)
    assert whiteness(shades).flatten().tolist() == pytest.approx([0, 0.4, 1])


def test_mixed_hues_are_as_strong_as_what_was_mixed_but_pale_ones() -> None:
    opposite = torch.tensor([[20.0, -10.0], [0.0, 0.0]])[:, None]
    mixed = with_strength(opposite).mean(2, keepdim=True)
    dark, pale = torch.full((1, 1, 1), module.MIDDLE), torch.full((1, 1, 1), module.PALE)
    found = strengthened(mixed, dark).flatten()
    torch.testing.assert_close(found, torch.tensor([5.0 * module.STRONGER, 0.0]))
    torch.testing.assert_close(strengthened(mixed, pale).flatten(), torch.tensor([5.0, 0.0]))
    same = with_strength(opposite)
    torch.testing.assert_close(strengthened(same, dark), opposite)


# --- the linear map -------------------------------------------------------------------------------


def test_of_hues_that_vary_on_their_own_each_is_stretched_by_itself() -> None:
    source = torch.tensor([[-3.0, 3.0, -3.0, 3.0], [-1.0, -1.0, 1.0, 1.0]])
    target = torch.tensor([[4.0, 16.0, 4.0, 16.0], [2.0, 2.0, 2.0, 2.0]])
    image = torch.tensor([[[3.0, 0.0]], [[1.0, 5.0]]])
    ridge = module.RIDGE
    gain = [((36 + ridge) / (9 + ridge)) ** 0.5, (ridge / (1 + ridge)) ** 0.5]
    expected = torch.tensor([[[10 + 3 * gain[0], 10.0]], [[2 + gain[1], 2 + 5 * gain[1]]]])
    torch.testing.assert_close(linear_map(image, source, target), expected)


@settings(max_examples=12)
@given(seed=SEEDS)
def test_the_mapped_hues_have_the_targets_moments_up_to_the_ridge(seed: int) -> None:
    mix, other = normal(seed, 2, 2), normal(seed + 1, 2, 2)
    source, target = 30 * mix @ normal(seed + 2, 2, 500), 20 * other @ normal(seed + 3, 2, 400)
    found = linear_map(source.view(2, 20, 25), source, target + 7).flatten(1)
    torch.testing.assert_close(found.mean(1), target.mean(1) + 7, rtol=1e-3, atol=1e-2)
    # With R on both, A (S + R) A = T + R: so the mapped covariance is T + R - A R A.
    one, all_of = torch.eye(2), torch.eye(2).view(2, 1, 2)
    zero = linear_map(0 * all_of, source, target)[:, 0]
    matrix = (linear_map(all_of, source, target)[:, 0] - zero).double()
    ridge = module.RIDGE * one.double()
    wanted = torch.cov(target.double(), correction=0) + ridge - matrix @ ridge @ matrix
    torch.testing.assert_close(
        torch.cov(found.double(), correction=0), wanted, rtol=0.02, atol=0.05
    )


def test_hues_to_themselves_stay() -> None:
    hues = normal(0, 2, 300, scale=20.0)
    torch.testing.assert_close(
        linear_map(hues.view(2, 15, 20), hues, hues).flatten(1), hues, rtol=1e-3, atol=1e-3
    )


# --- lights and darks -----------------------------------------------------------------------------


@settings(max_examples=12)
@given(seed=SEEDS)
def test_the_quantile_map_never_turns_lights_to_darks(seed: int) -> None:
    source, target = normal(seed, 400, scale=20.0) + 50, normal(seed + 1, 300, scale=9.0) + 30
    values = torch.linspace(-50, 150, 500)
    found = quantile_map(values[None, None], source, target)[0, 0]
    assert (found.diff() >= -1e-4).all()
    assert target.min() <= found.min() and found.max() <= target.max()


def test_to_its_own_quantiles_nothing_moves_but_the_ends() -> None:
    source = normal(0, 5000, scale=15.0) + 50
    low, high = torch.quantile(source, torch.tensor([0.06, 0.94]))
    values = torch.linspace(float(low), float(high), 50)
    torch.testing.assert_close(quantile_map(values, source, source), values, rtol=0, atol=1e-3)


def test_the_targets_quantiles_are_reached() -> None:
    source, target = normal(0, 20000, scale=15.0) + 60, 10 * normal(1, 20000).exp()
    found = quantile_map(source, source, target)
    shares = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
    # As numpy finds them; smoothed over some hundredths.
    wanted = np.quantile(target.numpy(), shares.numpy())
    np.testing.assert_allclose(np.quantile(found.numpy(), shares.numpy()), wanted, rtol=0.06)


def test_contrast_that_was_lost_comes_back_within_the_paintings_range() -> None:
    source = normal(0, 400, scale=15.0) + 50
    element = torch.ones(20, 20, dtype=torch.bool)
    painting = torch.linspace(0, 100, 1000)
    flat = (0.75 * module.CONTRAST * (source - 50) + 60).view(1, 20, 20)
    found = keep_contrast(flat, source, element, painting)
    assert float(found.std()) == pytest.approx(module.CONTRAST * float(source.std()), rel=0.02)
    assert float(found.mean()) == pytest.approx(float(flat.mean()), abs=0.5)
    lively = source.view(1, 20, 20)
    assert torch.equal(keep_contrast(lively, source, element, painting), lively)
    narrow = keep_contrast(flat, source, element, torch.linspace(55, 65, 1000))
    assert float(narrow.max()) <= max(65.0, float(flat.max()))
    assert float(narrow.min()) >= min(55.0, float(flat.min()))


def test_lights_and_darks_are_drawn_into_the_paintings_range() -> None:
    luma = torch.linspace(0, 100, 2000).view(1, 20, 100)
    element = torch.ones(20, 100, dtype=torch.bool)
    painting = torch.linspace(20, 80, 1000)
    found = fit_range(luma, element, painting)
    assert 17 < float(found.min()) < 22 and 78 < float(found.max()) < 83
    assert bool((found.flatten().diff() > 0).all())
    middle = (luma > 40) & (luma < 60)
    assert torch.equal(found[middle], luma[middle])
    torch.testing.assert_close(fit_range(luma, element, luma.flatten()), luma)


def test_a_blank_painting_leaves_the_element_its_lights_and_darks() -> None:
    luma = torch.linspace(0, 100, 2000).view(1, 20, 100)
    element = torch.ones(20, 100, dtype=torch.bool)
    found = fit_range(luma, element, torch.full((1000,), 50.0))
    assert bool((found.flatten().diff() > 0).all())
    wide = float(found.max() - found.min())
    assert 0.9 * module.LEAST_LUMA_RANGE < wide < 1.15 * module.LEAST_LUMA_RANGE


# --- the projection -------------------------------------------------------------------------------


def projected(image: Tensor, sample: Tensor) -> Tensor:
    return project(image, sample, rarity_of(sample))


def naive_projection(color: Tensor, sample: Tensor) -> Tensor:
    def pull(a: Tensor, b: Tensor) -> float:
        d = (module.LUMA_SHARE * (a[0] - b[0])) ** 2 + ((a[1:] - b[1:]) ** 2).sum()
        return float(torch.exp(-d / (2 * module.SPREAD**2)))

    known = list(sample.T)
    total, mass = torch.zeros(3), 0.0
    for one in known:
        density = sum(pull(one, other) for other in known)
        rare = (density + len(known) * module.NOISE) ** (module.COMMON - 1)
        total += pull(color, one) * rare * one
        mass += pull(color, one) * rare
    return total / mass


def test_the_projection_is_its_formula() -> None:
    sample = normal(0, 3, 40, scale=25.0) + torch.tensor([[50.0], [0.0], [0.0]])
    colors = 4 * (normal(1, 3, 12, scale=6.0)).round()  # on the grid that colors are looked up on
    found = projected(colors.view(3, 3, 4), sample).flatten(1)
    expected = torch.stack([naive_projection(color, sample) for color in colors.T], 1)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-2)


@settings(max_examples=12)
@given(seed=SEEDS)
def test_a_projected_color_is_within_the_samples_range(seed: int) -> None:
    sample = normal(seed, 3, 50, scale=20.0)
    found = projected(normal(seed + 1, 3, 6, 7, scale=60.0), sample).flatten(1)
    for direction in normal(seed + 2, 8, 3):
        ends = direction @ sample
        seen = direction @ found
        assert seen.min() >= ends.min() - 1e-3 and seen.max() <= ends.max() + 1e-3


def spots(*colors: tuple[float, float, float], shares: tuple[float, ...]) -> Tensor:
    """A sample of colors near each of `colors`, by `shares`."""
    counts = [round(1000 * share) for share in shares]
    parts = [
        torch.tensor(color)[:, None] + normal(index, 3, count, scale=1.0)
        for index, (color, count) in enumerate(zip(colors, counts, strict=True))
    ]
    return torch.cat(parts, 1)


def test_a_color_that_the_painting_has_is_kept() -> None:
    blue, gray = (40.0, 8.0, -40.0), (60.0, 0.0, 4.0)
    sample = spots(blue, gray, shares=(0.5, 0.5))
    found = projected(torch.tensor(blue).view(3, 1, 1), sample).flatten()
    assert float((found - torch.tensor(blue)).norm()) < 2.0


def test_one_red_coat_in_a_hundred_is_enough_for_a_red_truck() -> None:
    red, gray = (48.0, 52.0, 32.0), (60.0, 0.0, 4.0)
    sample = spots(red, gray, shares=(0.01, 0.99))
    truck = torch.tensor((48.0, 60.0, 40.0)).view(3, 1, 1)
    assert float((projected(truck, sample).flatten() - torch.tensor(red)).norm()) < 4.0
    speck = spots(red, gray, shares=(0.001, 0.999))
    between = torch.tensor((54.0, 26.0, 18.0)).view(3, 1, 1)
    drawn = [float(projected(between, x).flatten()[1]) for x in (sample, speck)]
    assert drawn[1] < drawn[0]  # what is less than a few in a thousand is noise, and draws less


# --- hues: its own or the places' -----------------------------------------------------------------


def element(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, PaletteReference]:
    shape = (32, 40)
    frame = torch.cat((torch.full((1, *shape), 55.0), torch.full((2, *shape), 5.0)))
    composite = frame + normal(seed, 3, *shape, scale=3.0)
    mask = torch.zeros(1, *shape)
    mask[:, 8:24, 8:30] = 1
    composite[1, 8:24, 8:19] += 40  # the left half is red
    sample = normal(seed + 1, 3, 500, scale=8.0) + torch.tensor([[50.0], [2.0], [20.0]])
    near = sample[:, :1].view(3, 1, 1).expand(3, *shape)
    reference = PaletteReference(sample, sample[0], sample[:, :200], near, torch.zeros(1, *shape))
    return composite, frame, mask, reference


def test_outside_the_mask_the_painting_is_untouched() -> None:
    composite, frame, mask, reference = element()
    found, own = palette_map(composite, frame, mask, reference, goal())
    outside = mask[0] == 0
    assert torch.equal(found[:, outside], frame[:, outside])
    assert not torch.equal(found[:, ~outside], composite[:, ~outside])
    assert own.shape == mask.shape and 0 <= float(own.min()) and float(own.max()) <= 1


def test_without_an_element_there_is_only_the_painting() -> None:
    composite, frame, mask, reference = element()
    found, own = palette_map(composite, frame, 0 * mask, reference, goal())
    assert torch.equal(found, frame)
    assert not own.any()


def test_all_of_keep_color_is_the_elements_own_hue() -> None:
    composite, frame, mask, reference = element()
    found, own = palette_map(composite, frame, mask, reference, goal(keep_color=1.0))
    inside = mask[0] == 1
    torch.testing.assert_close(found[1:, inside], composite[1:, inside], rtol=0, atol=1e-3)
    assert (own == 1).all()


def test_none_of_it_is_the_paintings_palette() -> None:
    composite, frame, mask, reference = element()
    found, own = palette_map(composite, frame, mask, reference, goal(keep_color=0.0))
    low, high = lab_span(reference.sample)
    hues = found[1:, mask[0] == 1]
    assert not own.any()
    assert (hues >= low[:, 0] - 1e-3).all() and (hues <= high[:, 0] + 1e-3).all()


def test_a_gray_thing_keeps_a_share_of_what_a_colored_one_keeps() -> None:
    gray, red = torch.zeros(3, 9, 9), torch.zeros(3, 9, 9)
    red[1] = 60
    doubtful = torch.zeros(1, 9, 9)
    kept = [float(own_hue(image, doubtful, goal(own=1.0)).mean()) for image in (gray, red)]
    assert kept[1] == pytest.approx(1, abs=1e-3)
    assert kept[0] == pytest.approx(module.GRAY, abs=0.02)


def test_lights_darken_less_than_darks_lighten() -> None:
    composite, frame, mask, reference = element()
    inside = mask[0] == 1
    moved = []
    for luma, places in ((90.0, 50.0), (10.0, 50.0)):
        composite[0, inside] = luma + composite[0, inside] - composite[0, inside].mean()
        matched = reference.sample[:, :200].clone()
        matched[0] += places - matched[0].mean()
        wide = torch.linspace(0, 100, 500)
        sample = torch.cat((wide[None], reference.sample[1:]))
        there = replace(reference, sample=sample, planes=wide, matched=matched)
        found, _ = palette_map(composite, frame, mask, there, goal(silhouette=0.0))
        moved.append(abs(float((found - composite)[0, inside].mean())))
    assert moved[0] < 0.85 * moved[1]


def test_planes_are_no_blacker_than_the_paintings_and_accents_may_be() -> None:
    composite, frame, mask, reference = element()
    inside = mask[0] == 1
    composite[0, inside] = 20
    composite[0, 16, 20] = 0  # an eye
    dark = torch.cat((torch.linspace(5, 90, 500)[None], reference.sample[1:]))
    there = replace(reference, sample=dark, matched=dark, planes=torch.linspace(40, 90, 500))
    luma = palette_map(composite, frame, mask, there, goal(silhouette=0.0, luma=0.0))[0][0]
    assert float(luma[inside].median()) > 35
    assert float(luma[16, 20]) < float(luma[inside].median()) - 10


@settings(max_examples=12)
@given(level=st.floats(1, 10), sure=st.floats(0, 1))
def test_more_of_keep_color_keeps_more(level: float, sure: float) -> None:
    composite, _, mask, _ = element()
    palette = resolve_settings(Settings.preset(), level).palette
    assert palette is not None
    kept = [
        own_hue(composite, torch.full_like(mask, sure), replace(palette, keep_color=amount))
        for amount in (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
    ]
    assert all((b >= a - 1e-6).all() for a, b in zip(kept, kept[1:], strict=False))
    assert not kept[0].any() and (kept[-1] > 0.999).all()


def test_a_colored_thing_keeps_its_hue_and_a_gray_one_a_quarter_of_it() -> None:
    composite, _, mask, _ = element()
    kept = own_hue(composite, torch.zeros_like(mask), goal())[0]
    assert float(kept[12:20, 11:16].min()) > 0.9 > 0.35 > float(kept[12:20, 23:28].max())
    assert not own_hue(composite, torch.ones_like(mask), goal()).any()  # where the match is sure
