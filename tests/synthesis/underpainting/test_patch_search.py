from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harmonize.synthesis.matching.nearest import main_directions
from harmonize.synthesis.underpainting import patch_search as module
from harmonize.synthesis.underpainting.patch_search import (
    NEIGHBORS,
    Describer,
    Places,
    Positions,
    doubled,
    improve,
    moved_field,
    principal_patches,
)

SEEDS = st.integers(0, 2**16)


def rand(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def ints(seed: int, most: int, *shape: int) -> Tensor:
    return torch.randint(most, shape, generator=torch.Generator().manual_seed(seed))


def some(seed: int, h: int, w: int) -> Tensor:
    mask = rand(seed, h, w) < 0.65
    mask[h // 2, w // 2] = True
    return mask


# --- rows that stand for patches ------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 5])
def test_distances_of_rows_are_those_of_patches(size: int) -> None:
    colors, tones, features = rand(0, 3, 9, 11), rand(1, 3, 9, 11), rand(2, 4, 9, 11)
    every = 3 * size**2
    describe = Describer.of(colors, tones, size, (every, every))
    rows = describe(colors, tones, features)
    half = size // 2
    patches = torch.cat(
        [
            F.unfold(F.pad(image[None], (half,) * 4, mode="replicate"), size)[0]
            for image in (colors, tones)
        ]
    ).T
    expected = torch.cdist(patches, patches).square()
    center = features.flatten(1).T * size  # as much as if it were all over the patch
    expected += torch.cdist(center, center).square()
    torch.testing.assert_close(torch.cdist(rows, rows).square(), expected, rtol=1e-3, atol=1e-3)


def test_fewer_numbers_tell_patches_apart_as_well_as_they_can() -> None:
    image = rand(0, 3, 20, 24)
    padded = F.pad(image[None], (2,) * 4, mode="replicate")
    patches = F.unfold(padded, 5)[0]
    patches = patches - patches.mean(1, keepdim=True)
    basis = principal_patches(image, 5, 24).flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(24), rtol=0, atol=1e-5)
    kept = float((basis @ patches).square().sum() / patches.square().sum())
    values = torch.linalg.svdvals(patches).square()
    assert kept == pytest.approx(float(values[:24].sum() / values.sum()), rel=1e-4)


@settings(max_examples=12)
@given(
    seed=SEEDS,
    rank=st.integers(0, 3),
    n=st.integers(1, 40),
    scale=st.sampled_from([1e-20, 1e-7, 1.0, 1e4]),
)
def test_flat_pictures_have_directions_too(seed: int, rank: int, n: int, scale: float) -> None:
    rows = scale * rand(seed, 75, rank) @ rand(seed + 1, rank, n) + 0.4
    found = main_directions(rows, 24)
    torch.testing.assert_close(found @ found.T, torch.eye(24), rtol=0, atol=1e-5)


# --- search ---------------------------------------------------------------------------------------


def problem(seed: int, n: int = 30, h: int = 7, w: int = 9) -> tuple[Places, Tensor, Tensor]:
    places = Places.of(rand(seed, h * w, 6), (h, w))
    return places, rand(seed + 1, n, 6), 0.3 * rand(seed + 2, h * w)


@settings(max_examples=12)
@given(seed=SEEDS, step=st.integers(1, 3), biased=st.booleans())
def test_the_exact_search_finds_what_looking_everywhere_does(
    seed: int, step: int, biased: bool
) -> None:
    places, wanted, bias = problem(seed)
    bias = bias if biased else torch.zeros_like(bias)
    h, w = places.shape
    seen = [y * w + x for y in range(step // 2, h, step) for x in range(step // 2, w, step)]
    found = places.exact(wanted, bias, step)
    for row, place in zip(wanted, found.tolist(), strict=True):
        costs = {
            other: float((row - places.rows[other]).square().sum() / 2 + bias[other])
            for other in seen
        }
        assert place in costs
        assert costs[place] <= min(costs.values()) + 1e-5


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    places, wanted, bias = problem(0)
    whole = places.exact(wanted, bias)
    monkeypatch.setattr(module, "SEARCHED_AT_ONCE", 100)
    assert torch.equal(places.exact(wanted, bias), whole)


def test_a_cost_is_half_the_squared_distance_but_for_a_constant() -> None:
    places, wanted, bias = problem(3)
    field = ints(4, 63, 30)
    constant = wanted.square().sum(1) / 2
    expected = (wanted - places.rows[field]).square().sum(1) / 2 + bias[field]
    torch.testing.assert_close(places.cost(wanted, field, bias) + constant, expected)


def test_moved_places_stay_inside() -> None:
    shape = (5, 7)
    for place in range(35):
        for dy, dx in (*NEIGHBORS, (3, -4)):
            y = min(max(place // 7 + dy, 0), 4)
            x = min(max(place % 7 + dx, 0), 6)
            assert int(moved_field(torch.tensor([place]), dy, dx, shape)) == y * 7 + x


def test_positions_know_their_neighbors() -> None:
    mask = some(0, 6, 8)
    positions = Positions.of(mask)
    where = {int(place): number for number, place in enumerate(positions.at)}
    assert sorted(where) == [i for i in range(48) if mask.flatten()[i]]
    for dy, dx in NEIGHBORS:
        numbers, there = positions.beside(dy, dx)
        for number, place in enumerate(positions.at.tolist()):
            y, x = place // 8 + dy, place % 8 + dx
            inside = 0 <= y < 6 and 0 <= x < 8 and bool(mask[y, x])
            assert bool(there[number]) == inside
            if inside:
                assert int(numbers[number]) == where[y * 8 + x]


def total(
    places: Places,
    wanted: Tensor,
    bias: Tensor,
    field: list[int],
    positions: Positions,
    number: int,
    place: int,
    reach: int,
    coherence: float,
) -> float:
    """The cost of `place` at position `number`, its neighbors as in `field`."""
    (h, w), (high, wide) = positions.shape, places.shape
    cost = float((wanted[number] - places.rows[place]).square().sum() / 2 + bias[place])
    y, x = divmod(int(positions.at[number]), w)
    for dy, dx in NEIGHBORS:
        b, a = y + dy * reach, x + dx * reach
        if 0 <= b < h and 0 <= a < w and int(positions.index[b * w + a]) >= 0:
            row, column = divmod(field[int(positions.index[b * w + a])], wide)
            row = min(max(row - dy * reach, 0), high - 1)
            column = min(max(column - dx * reach, 0), wide - 1)
            cost -= coherence / len(NEIGHBORS) * (row * wide + column == place)
    return cost


@pytest.mark.parametrize("reach", [1, 2])
@pytest.mark.parametrize("coherence", [0.0, 0.5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_improving_is_a_loop_over_candidates(seed: int, reach: int, coherence: float) -> None:
    places, _, bias = problem(seed)
    positions = Positions.of(some(seed, 5, 7))
    count, (high, wide) = len(positions.at), places.shape
    wanted, field = rand(seed + 3, count, 6), ints(seed + 4, high * wide, count)
    found = improve(
        places, wanted, field, positions, bias, reach=reach, coherence=coherence
    ).tolist()

    def cost(number: int, place: int) -> float:
        before = field.tolist()
        return total(places, wanted, bias, before, positions, number, place, reach, coherence)

    better = 0
    for number, place in enumerate(positions.at.tolist()):
        y, x = divmod(place, 7)
        candidates = {int(field[number])}
        for dy, dx in NEIGHBORS:
            dy, dx = dy * reach, dx * reach
            row, column = divmod(int(field[number]), wide)
            candidates.add(
                min(max(row + dy, 0), high - 1) * wide + min(max(column + dx, 0), wide - 1)
            )
            if 0 <= y + dy < 5 and 0 <= x + dx < 7 and positions.index[(y + dy) * 7 + x + dx] >= 0:
                row, column = divmod(int(field[int(positions.index[(y + dy) * 7 + x + dx])]), wide)
                candidates.add(
                    min(max(row - dy, 0), high - 1) * wide + min(max(column - dx, 0), wide - 1)
                )
        least = min(cost(number, candidate) for candidate in candidates)
        assert cost(number, found[number]) <= least + 1e-5
        better += cost(number, found[number]) < cost(number, int(field[number])) - 1e-6
    assert better > count / 2


@settings(max_examples=12)
@given(seed=SEEDS)
def test_improving_never_costs_more(seed: int) -> None:
    places, _, bias = problem(seed)
    positions = Positions.of(some(seed, 6, 8))
    wanted = rand(seed + 3, len(positions.at), 6)
    field = ints(seed + 4, 63, len(positions.at))
    for reach in (2, 1, 1):
        better = improve(places, wanted, field, positions, bias, reach=reach, coherence=0.0)
        before, after = (places.cost(wanted, x, bias) for x in (field, better))
        assert (after <= before).all()
        field = better


# --- from one scale to the next -------------------------------------------------------------------


@pytest.mark.parametrize("odd", [0, 1])
def test_doubling_is_a_loop(odd: int) -> None:
    coarse, fine = some(0, 5, 6), some(1, 10 + odd, 12 + odd)
    positions, finer = Positions.of(coarse), Positions.of(fine)
    shape, target = (8, 9), (16 + odd, 18 + odd)
    field = ints(2, 72, len(positions.at))
    found, there = doubled(field, positions, shape, finer, target)
    seen = set()
    for number, place in enumerate(finer.at.tolist()):
        y, x = divmod(place, 12 + odd)
        parent = int(positions.index[min(y // 2, 4) * 6 + min(x // 2, 5)])
        assert bool(there[number]) == (parent >= 0)
        seen.add(parent >= 0)
        if parent >= 0:
            row, column = divmod(int(field[parent]), 9)
            row, column = 2 * row + y % 2, 2 * column + x % 2
            assert int(found[number]) == row * target[1] + column
    assert seen == {True, False}


def test_a_field_that_stays_where_it_is_does_so_at_twice_the_size() -> None:
    everything, finer = (Positions.of(torch.ones(n, n, dtype=torch.bool)) for n in (6, 12))
    found, there = doubled(torch.arange(36), everything, (6, 6), finer, (12, 12))
    assert there.all()
    assert torch.equal(found, torch.arange(144))
