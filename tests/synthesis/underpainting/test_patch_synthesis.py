from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from harmonize.settings.goals import SynthesisGoal
from harmonize.settings.load import Settings
from harmonize.settings.resolve import resolve_settings
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.underpainting import patch_synthesis as module
from harmonize.synthesis.underpainting.patch_search import Positions
from harmonize.synthesis.underpainting.patch_synthesis import (
    Layers,
    Rebuilt,
    _Scale,
    guide_layers,
    luck_of,
    sharpened,
    synthesize,
)

SHAPE = (48, 64)


def goal(**changes: object) -> SynthesisGoal:
    found = resolve_settings(Settings.preset(), 5.0).underpainting
    assert found is not None
    return replace(found, **changes)  # type: ignore[arg-type]


def picture(seed: int = 0, h: int = SHAPE[0], w: int = SHAPE[1]) -> Tensor:
    noise = torch.rand(3, h, w, generator=torch.Generator().manual_seed(seed))
    return 0.5 + 2 * (filters.gaussian(noise, 2.0) - 0.5) + 0.1 * (noise - 0.5)


def box(h: int = SHAPE[0], w: int = SHAPE[1]) -> Tensor:
    mask = torch.zeros(h, w)
    mask[12:36, 16:48] = 1
    return mask


def layers(
    painting: Tensor, mapped: Tensor, mask: Tensor, asked: SynthesisGoal
) -> tuple[Layers, Layers]:
    none = torch.zeros(1, *painting.shape[1:])
    return guide_layers(painting, mapped, (none, none), (0, 0), mask[None], asked)


def painted(
    painting: Tensor, mapped: Tensor, asked: SynthesisGoal, mask: Tensor | None = None
) -> Rebuilt:
    mask = box() if mask is None else mask
    known, wanted = layers(painting, mapped, mask, asked)
    return synthesize(known, wanted, painting, mask, asked)


def alone(painting: Tensor, mapped: Tensor, mask: Tensor, asked: SynthesisGoal) -> _Scale:
    known, wanted = layers(painting, mapped, mask, asked)
    luck = torch.zeros(1, *painting.shape[1:])
    return _Scale(known, wanted, painting, mask > 0, asked, luck)


# --- what is compared -----------------------------------------------------------------------------


def test_guides_are_weighted_blurs() -> None:
    painting, mapped = picture(), picture(1)
    asked = goal(luma=4.0, chroma=9.0, painting_blur=2.0, element_blur=1.0)
    known, wanted = layers(painting, mapped, torch.ones(SHAPE), asked)
    scale = torch.tensor([2.0, 3.0, 3.0]).view(3, 1, 1)
    torch.testing.assert_close(known.tones, filters.gaussian(painting, 2.0) * scale)
    torch.testing.assert_close(wanted.tones, filters.gaussian(mapped, 1.0) * scale)
    assert torch.equal(known.colors, painting) and torch.equal(wanted.colors, mapped)


def test_outside_the_element_both_guides_are_the_paintings() -> None:
    painting, mapped, mask = picture(), picture(1), box()
    known, wanted = layers(painting, mapped, mask, goal())
    assert torch.equal(wanted.tones[:, mask == 0], known.tones[:, mask == 0])


def test_a_window_has_the_paintings_guide_at_its_corner() -> None:
    painting, asked = picture(), goal()
    part = painting[:, 8:32, 16:56]
    none, fewer = torch.zeros(1, *SHAPE), torch.zeros(1, 24, 40)
    known, wanted = guide_layers(
        painting, part, (none, fewer), (8, 16), torch.zeros(1, 24, 40), asked
    )
    assert torch.equal(wanted.tones, known.tones[:, 8:32, 16:56])


# --- one scale ------------------------------------------------------------------------------------


def test_a_vote_is_a_loop() -> None:
    painting, mask = picture(0, 12, 14), torch.zeros(12, 14)
    mask[3:9, 4:11] = 1
    scale = alone(painting, picture(1, 12, 14), mask, goal(patch=3))
    generator = torch.Generator().manual_seed(2)
    count = len(scale.positions.at)
    field = torch.randint(12 * 14, (count,), generator=generator)
    weight = 0.1 + torch.rand(count, generator=generator)
    image = picture(3, 12, 14)
    found = scale._vote(image, field, weight)
    index = scale.positions.index
    for y in range(12):
        for x in range(14):
            if not mask[y, x]:
                assert torch.equal(found[:, y, x], painting[:, y, x])
                continue
            sum_, mass = torch.zeros(3), 0.0
            for b in range(y - 1, y + 2):
                for a in range(x - 1, x + 2):
                    number = int(index[b * 14 + a])
                    row, column = divmod(int(field[number]), 14)
                    row, column = row + y - b, column + x - a
                    if 0 <= row < 12 and 0 <= column < 14:
                        sum_ += weight[number] * painting[:, row, column]
                        mass += float(weight[number])
            torch.testing.assert_close(found[:, y, x], sum_ / mass, rtol=0, atol=1e-5)


def test_the_nearest_patches_count_most() -> None:
    painting = picture()
    scale = alone(painting, picture(1), box(), goal())
    rows = scale.places.rows[scale.positions.at]
    own = scale.positions.at.clone()
    own[::2] = own[::2].flip(0)  # every other one is wrong
    weight = scale._weight(scale.places, rows, own)
    assert (weight > 0).all()
    assert float(weight[1::2].min()) > float(weight[::2].median())
    assert float(weight[1::2].min()) == pytest.approx(1.0, abs=1e-3)


def test_places_cost_more_the_oftener_they_are_used() -> None:
    asked = goal(variety=2.0)
    scale = alone(picture(), picture(1), box(), asked)
    count, places = len(scale.positions.at), SHAPE[0] * SHAPE[1]
    one = 20 * SHAPE[1] + 30
    costs = []
    for share in (0.0, 0.1, 1.0):
        field = torch.arange(count) % places
        field[: int(share * count)] = one
        costs.append(scale._crowding(field))
    assert float(costs[0][one]) < float(costs[1][one]) <= float(costs[2][one])
    most = 2.0 * module.FAIR * 2 * asked.patch**2 * module.CROWDED
    assert float(costs[2].max()) <= most * 1.001
    assert float(costs[2][0]) == 0  # never used
    assert not alone(picture(), picture(1), box(), goal(variety=0.0))._crowding(field).any()


# --- all scales -----------------------------------------------------------------------------------


def test_a_painting_is_found_in_itself() -> None:
    painting = picture()
    asked = goal(painting_blur=0.0, element_blur=0.0, variety=0.0, steps=(2,))
    found = painted(painting, painting, asked)
    assert torch.equal(found.field, found.positions.at)
    torch.testing.assert_close(found.image, painting, rtol=0, atol=1e-4)


def test_a_painting_is_nearly_found_in_itself_through_all_scales() -> None:
    painting = picture()
    found = painted(painting, painting, goal(painting_blur=1.0, element_blur=1.0, variety=0.0))
    same = (found.field == found.positions.at).float().mean()
    assert float(same) > 0.9
    assert float((found.image - painting).abs().mean()) < 0.01


def test_outside_the_mask_the_painting_is_untouched() -> None:
    painting, mask = picture(), box()
    found = painted(painting, picture(1), goal(), mask)
    assert torch.equal(found.image[:, mask == 0], painting[:, mask == 0])
    assert not torch.equal(found.image[:, mask > 0], painting[:, mask > 0])


def test_every_color_is_within_the_paintings_range() -> None:
    painting = picture()
    found = painted(painting, 3 * picture(1), goal())
    low, high = painting.flatten(1).min(1).values, painting.flatten(1).max(1).values
    inside = found.image[:, box() > 0]
    assert (inside >= low[:, None] - 1e-4).all() and (inside <= high[:, None] + 1e-4).all()


def test_where_a_pixel_comes_from_is_told() -> None:
    painting = picture()
    asked = goal(painting_blur=0.0, element_blur=0.0, variety=0.0, steps=(2,))
    moved = torch.roll(painting, (3, -5), (1, 2))
    origin = painted(painting, moved, asked).origin
    y, x = origin.positions // SHAPE[1], origin.positions % SHAPE[1]
    inside = (y >= 14) & (y < 34) & (x >= 18) & (x < 46)
    expected = (y - 3) * SHAPE[1] + x + 5
    assert float((origin.places == expected)[inside].float().mean()) > 0.95


def test_the_grain_that_averaging_takes_away_is_copied() -> None:
    painting = picture()
    smooth = filters.gaussian(painting, 1.0)
    positions = Positions.of(torch.ones(SHAPE, dtype=torch.bool))
    soft = Rebuilt(smooth, positions.at, positions, SHAPE)  # every pixel from its own place
    found = sharpened(soft, painting, box())
    inside, middle = box() > 0, (slice(None), slice(18, 30), slice(22, 42))
    assert torch.equal(found.image[:, ~inside], smooth[:, ~inside])
    before, after = ((x - painting)[middle].abs().mean() for x in (smooth, found.image))
    assert float(after) < 0.35 * float(before)


def test_it_looks_more_like_what_is_wanted_than_the_painting_does() -> None:
    painting = picture()
    mapped = painting.flip(2)
    found = painted(painting, mapped, goal(variety=0.0))
    inside = box() > 0
    apart = [
        float((filters.gaussian(x, 1.0) - filters.gaussian(mapped, 1.0))[:, inside].abs().mean())
        for x in (found.image, painting)
    ]
    assert apart[0] < 0.7 * apart[1]


def test_it_tells_of_every_scale_the_coarsest_first() -> None:
    seen: list[tuple[int, ...]] = []
    painting, asked = picture(), goal(steps=(1, 1, 1))
    known, wanted = layers(painting, picture(1), box(), asked)
    synthesize(known, wanted, painting, box(), asked, lambda x: seen.append(tuple(x.shape)))
    assert seen == [(3, 12, 16), (3, 24, 32), (3, 48, 64)]


def test_scales_without_steps_enlarge_the_coarser_picture() -> None:
    painting = picture()
    found = painted(painting, picture(1), goal(steps=(0, 2)))
    assert found.image.shape == painting.shape
    assert torch.equal(found.image[:, box() == 0], painting[:, box() == 0])
    assert len(found.field) == len(found.positions.at)
    assert 0 <= int(found.field.min()) and int(found.field.max()) < SHAPE[0] * SHAPE[1]


@pytest.mark.parametrize("exact", [2.5e8, 1e5, 0])
def test_the_same_input_gives_the_same_bytes(exact: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT", exact)
    one, two = (painted(picture(), picture(1), goal()).image for _ in range(2))
    assert torch.equal(one, two)


def test_without_looking_everywhere_it_is_nearly_as_near(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = box() > 0
    mapped = picture().flip(2)
    apart = []
    for exact in (2.5e8, 1e6):
        monkeypatch.setattr(module, "EXACT", exact)
        found = painted(picture(), mapped, goal(variety=0.0)).image
        apart.append(float((found - mapped)[:, inside].square().mean()))
    assert apart[1] < 1.5 * apart[0]


@pytest.mark.parametrize("shape", [(16, 16), (17, 40), (33, 19)])
def test_small_paintings(shape: tuple[int, int]) -> None:
    mask = torch.zeros(shape)
    mask[shape[0] // 2, shape[1] // 2] = 1
    for painting in (picture(0, *shape), torch.full((3, *shape), 0.4)):
        found = painted(painting, picture(1, *shape), goal(), mask)
        assert found.image.isfinite().all()
        assert torch.equal(found.image[:, mask == 0], painting[:, mask == 0])


# --- the seed -------------------------------------------------------------------------------------


def test_seed_0_likes_all_places_alike() -> None:
    assert not luck_of(0, picture()).any()


def test_a_seed_gives_the_same_strokes_again_and_another_one_other_strokes() -> None:
    painting, mapped = picture(), picture(1)
    found = {seed: painted(painting, mapped, goal(seed=seed)) for seed in (0, 1, 2)}
    again = painted(painting, mapped, goal(seed=1))
    assert torch.equal(again.image, found[1].image)
    inside = box() > 0
    for one, other in ((0, 1), (1, 2), (0, 2)):
        moved = (found[one].field != found[other].field).float().mean()
        apart = (found[one].image - found[other].image)[:, inside].abs().mean()
        assert float(moved) > 0.2
        assert float(apart) > 0.005
    # As good: as near to what is wanted.
    wanted = filters.gaussian(mapped, 2.0)
    error = [
        float((filters.gaussian(x.image, 2.0) - wanted)[:, inside].square().mean())
        for x in found.values()
    ]
    assert max(error) < 1.25 * min(error)


def test_the_callers_random_numbers_are_left_alone() -> None:
    before = torch.get_rng_state()
    luck_of(5, picture())
    assert torch.equal(torch.get_rng_state(), before)
