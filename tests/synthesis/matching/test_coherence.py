from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harmonize.synthesis.matching.coherence import carry, coherent, nearest_known


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some(features: Tensor, count: int, seed: int = 0) -> Tensor:
    order = torch.randperm(features[0].numel(), generator=torch.Generator().manual_seed(seed))
    return order[:count]


def clamp(value: int, limit: int) -> int:
    return min(max(value, 0), limit - 1)


# --- coherent -------------------------------------------------------------------------------------


def naive_coherent(
    field: Tensor, positions: Tensor, shape: tuple[int, int], reference: Tensor, window: int
) -> list[int]:
    h, w = shape
    _, big_h, big_w = reference.shape
    match = dict(zip(positions.tolist(), field.tolist(), strict=True))
    flat = reference.flatten(1)
    half = window // 2
    found = []
    for q in positions.tolist():
        y, x = divmod(q, w)
        candidates = []
        for dy in range(-half, half + 1):
            for dx in range(-half, half + 1):
                if not (0 <= y + dy < h and 0 <= x + dx < w):
                    continue
                there = match.get((y + dy) * w + x + dx)
                if there is None:
                    continue
                p, r = there // big_w - dy, there % big_w - dx
                if 0 <= p < big_h and 0 <= r < big_w:
                    candidates.append(p * big_w + r)
        costs = {
            a: float(sum((flat[:, a] - flat[:, b]).square().sum() for b in candidates))
            for a in candidates
        }
        # The least cost; among equals one's own match.
        found.append(min(costs, key=lambda a: (round(costs[a], 9), a != match[q])))
    return found


@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("sparse", [False, True])
def test_coherent_is_the_naive_loop(window: int, sparse: bool) -> None:
    shape, reference = (6, 7), normal(4, 5, 8)
    positions = some(normal(1, *shape), 25) if sparse else torch.arange(42)
    field = torch.randint(40, (len(positions),), generator=torch.Generator().manual_seed(3))
    found = coherent(field, positions, shape, reference, window=window)
    assert found.tolist() == naive_coherent(field, positions, shape, reference, window)


@given(dy=st.integers(-2, 4), dx=st.integers(-2, 4))
def test_a_shift_is_coherent_already(dy: int, dx: int) -> None:
    shape, big = (5, 6), (9, 11)
    y, x = torch.arange(30) // 6 + 2 + dy, torch.arange(30) % 6 + 2 + dx
    field = y.clamp(0, 8) * 11 + x.clamp(0, 10)
    reference = normal(3, *big)
    inside = (y >= 0) & (y < 9) & (x >= 0) & (x < 11)
    positions, field = torch.arange(30)[inside], field[inside]
    assert torch.equal(coherent(field, positions, shape, reference), field)


def test_one_stray_match_is_brought_back() -> None:
    shape = (5, 5)
    y, x = torch.arange(25) // 5, torch.arange(25) % 5
    shift = (y + 1) * 8 + x + 2
    stray = shift.clone()
    stray[12] = 63
    assert torch.equal(coherent(stray, torch.arange(25), shape, normal(3, 8, 8)), shift)


def test_ties_keep_ones_own_match() -> None:
    field = torch.randint(36, (16,), generator=torch.Generator().manual_seed(0))
    flat = torch.zeros(3, 6, 6)
    assert torch.equal(coherent(field, torch.arange(16), (4, 4), flat), field)


def test_a_lone_position_keeps_its_match() -> None:
    field = torch.tensor([0, 35])
    found = coherent(field, torch.tensor([0, 99]), (10, 10), normal(3, 6, 6))
    assert torch.equal(found, field)


# --- carry ----------------------------------------------------------------------------------------


def naive_rings(positions: Tensor, shape: tuple[int, int]) -> list[int]:
    h, w = shape
    grid = {divmod(p, w): i for i, p in enumerate(positions.tolist())}
    while len(grid) < h * w:
        ring = {}
        for y in range(h):
            for x in range(w):
                around = [
                    grid[y + dy, x + dx]
                    for dy in (-1, 0, 1)
                    for dx in (-1, 0, 1)
                    if (y + dy, x + dx) in grid
                ]
                if (y, x) not in grid and around:
                    ring[y, x] = max(around)
        grid |= ring
    return [grid[y, x] for y in range(h) for x in range(w)]


@given(
    h=st.integers(1, 7),
    w=st.integers(1, 7),
    share=st.floats(0, 1),
    seed=st.integers(0, 100),
)
def test_nearest_known_grows_ring_by_ring(h: int, w: int, share: float, seed: int) -> None:
    positions = some(torch.zeros(1, h, w), max(1, round(share * h * w)), seed)
    found = nearest_known(positions, (h, w))
    assert found.tolist() == naive_rings(positions, (h, w))
    # So it is one of the nearest, counted in king's moves.
    y, x = torch.arange(h * w)[:, None] // w, torch.arange(h * w)[:, None] % w
    apart = torch.maximum((y - positions // w).abs(), (x - positions % w).abs())
    assert torch.equal(apart.gather(1, found[:, None])[:, 0], apart.amin(1))


@pytest.mark.parametrize("ratio", [2, 4, 8])
@pytest.mark.parametrize("remainder", [0, 1])
def test_carry_is_the_naive_loop(ratio: int, remainder: int) -> None:
    shape, big = (4, 5), (6, 3)
    fine, big_fine = (tuple(side * ratio + remainder for side in sides) for sides in (shape, big))
    positions = some(torch.zeros(1, *shape), 13)
    field = torch.randint(18, (13,), generator=torch.Generator().manual_seed(0))
    wanted = some(torch.zeros(1, *fine), 60)
    parents = naive_rings(positions, shape)
    expected = []
    for q in wanted.tolist():
        fy, fx = divmod(q, fine[1])
        py, px = min(fy // ratio, shape[0] - 1), min(fx // ratio, shape[1] - 1)
        index = parents[py * shape[1] + px]
        y, x = divmod(int(positions[index]), shape[1])
        there_y, there_x = divmod(int(field[index]), big[1])
        expected.append(
            clamp(fy + ratio * (there_y - y), big_fine[0]) * big_fine[1]
            + clamp(fx + ratio * (there_x - x), big_fine[1])
        )
    found = carry(field, positions, shape, big, wanted, fine, big_fine, ratio)
    assert found.tolist() == expected


def test_carrying_the_identity_gives_the_identity() -> None:
    fine = torch.arange(16 * 24)
    found = carry(torch.arange(24), torch.arange(24), (4, 6), (4, 6), fine, (16, 24), (16, 24), 4)
    assert torch.equal(found, fine)


def test_carrying_twice_is_carrying_once() -> None:
    positions = torch.arange(24)
    field = (positions // 6 + 1) * 9 + positions % 6 + 3
    middle, fine = torch.arange(4 * 24), torch.arange(16 * 24)
    once = carry(field, positions, (4, 6), (6, 9), fine, (16, 24), (24, 36), 4)
    half = carry(field, positions, (4, 6), (6, 9), middle, (8, 12), (12, 18), 2)
    twice = carry(half, middle, (8, 12), (12, 18), fine, (16, 24), (24, 36), 2)
    assert torch.equal(once, twice)
