from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching import nearest as matching
from harmonize.synthesis.matching.nearest import (
    carry,
    coherent,
    nearest_known,
    patches,
    vote,
    whole,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def nearest(
    query: Tensor,
    reference: Tensor,
    positions: Tensor,
    *,
    size: int = 3,
    guides: tuple[Tensor, Tensor] | None = None,
    **more: int,
) -> Tensor:
    """`matching.nearest` with the whole reference as one part."""
    own, its = guides or (None, None)
    parts = [whole(reference, its, size)]
    return matching.nearest(query, parts, positions, size=size, guide=own, **more)


def nearest_patches(query: Tensor, reference: Tensor, *args: Tensor, **more: object) -> Tensor:
    """`matching.nearest_patches` with a tensor as the reference."""
    return matching.nearest_patches(query.float(), Raster.of(reference), *args, **more)


def everywhere(features: Tensor) -> Tensor:
    return torch.arange(features[0].numel())


def some(features: Tensor, count: int, seed: int = 0) -> Tensor:
    """Return `count` positions of the grid, in no order."""
    order = torch.randperm(features[0].numel(), generator=torch.Generator().manual_seed(seed))
    return order[:count]


def clamp(value: int, limit: int) -> int:
    return min(max(value, 0), limit - 1)


def naive_patch(features: Tensor, position: int, size: int) -> Tensor:
    _, h, w = features.shape
    y, x = divmod(position, w)
    half = size // 2
    return torch.stack(
        [
            features[:, clamp(y + dy, h), clamp(x + dx, w)]
            for dy in range(-half, half + 1)
            for dx in range(-half, half + 1)
        ],
        dim=1,
    ).flatten()


def naive_nearest(
    query: Tensor,
    reference: Tensor,
    positions: Tensor,
    size: int,
    guides: tuple[Tensor, Tensor] | None,
) -> list[int]:
    found = []
    for q in positions.tolist():
        a = naive_patch(query, q, size)
        likeness = []
        for p in everywhere(reference).tolist():
            b = naive_patch(reference, p, size)
            near = a @ b / a.norm() / b.norm()
            if guides is not None:
                apart = guides[0].flatten(1)[:, q] - guides[1].flatten(1)[:, p]
                near = near - apart.square().sum()
            likeness.append(float(near))
        found.append(likeness.index(max(likeness)))
    return found


def naive_nearest_patches(
    query: Tensor, reference: Tensor, positions: Tensor, candidates: Tensor, size: int
) -> list[int]:
    found = []
    for q in positions.tolist():
        a = naive_patch(query, q, size)
        apart = [
            float((a - naive_patch(reference, p, size)).square().sum()) for p in candidates.tolist()
        ]
        found.append(int(candidates[apart.index(min(apart))]))
    return found


# --- nearest --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 5])
def test_patches_are_cut_with_the_border_repeated(size: int) -> None:
    features = normal(3, 4, 6)
    positions = everywhere(features).flip(0)
    expected = torch.stack([naive_patch(features, p, size) for p in positions.tolist()])
    assert torch.equal(patches(features, positions, size), expected)


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_nearest_is_the_naive_loop(size: int, guided: bool) -> None:
    query, reference = normal(5, 6, 4), normal(5, 5, 7, seed=1) + 0.3
    guides = (normal(2, 6, 4, seed=2), normal(2, 5, 7, seed=3)) if guided else None
    for positions in (everywhere(query), some(query, 9)):
        expected = naive_nearest(query, reference, positions, size, guides)
        for block in (1, 300, 1 << 24):
            found = nearest(query, reference, positions, size=size, guides=guides, block=block)
            assert found.tolist() == expected


def test_guides_change_the_match() -> None:
    query, reference = normal(5, 6, 4), normal(5, 5, 7, seed=1)
    guides = (normal(2, 6, 4, seed=2), normal(2, 5, 7, seed=3))
    positions = everywhere(query)
    assert not torch.equal(
        nearest(query, reference, positions), nearest(query, reference, positions, guides=guides)
    )


@pytest.mark.parametrize("size", [1, 3])
def test_matching_to_itself_is_the_identity(size: int) -> None:
    features = normal(6, 9, 8)
    positions = some(features, 40)
    for guides in (None, (features[:2], features[:2])):
        found = nearest(features, features, positions, size=size, guides=guides)
        assert torch.equal(found, positions)


@given(block=st.integers(1, 2000), count=st.integers(0, 30))
def test_chunked_is_unchunked(block: int, count: int) -> None:
    query, reference = normal(4, 6, 5), normal(4, 7, 6, seed=1)
    positions = some(query, count)
    whole = nearest(query, reference, positions)
    assert whole.dtype == torch.int64
    assert whole.shape == (count,)
    assert torch.equal(nearest(query, reference, positions, block=block), whole)


@pytest.mark.parametrize("limit", [500, 2000])
def test_no_block_of_similarities_is_larger_than_allowed(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    query, reference = normal(4, 10, 10), normal(4, 5, 6)
    sizes = []
    matmul = Tensor.__matmul__

    def watched(a: Tensor, b: Tensor) -> Tensor:
        result = matmul(a, b)
        sizes.append(result.numel())
        return result

    monkeypatch.setattr(Tensor, "__matmul__", watched)
    nearest(query, reference, everywhere(query), size=1, block=limit)
    assert max(sizes) <= limit
    assert sum(sizes) == 100 * 30
    sizes.clear()
    nearest(query, reference, everywhere(query), block=4 * limit)
    assert max(sizes) <= 4 * limit
    sizes.clear()
    nearest_patches(query, reference, everywhere(query), everywhere(reference), size=3, block=limit)
    assert max(sizes) <= limit


def test_only_rows_with_positions_are_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    query, reference = normal(4, 40, 40), normal(4, 5, 6)
    sizes = []
    matmul = Tensor.__matmul__

    def watched(a: Tensor, b: Tensor) -> Tensor:
        sizes.append(len(a))
        return matmul(a, b)

    monkeypatch.setattr(Tensor, "__matmul__", watched)
    nearest(query, reference, torch.tensor([20 * 40 + 7, 21 * 40 + 9]))
    assert sizes == [4 * 5]


def test_nearest_ignores_brightness_and_nearest_patches_does_not() -> None:
    reference = torch.tensor([[[1.0, 10.0]], [[0.0, 1.0]]])
    query = torch.tensor([[[10.0]], [[0.0]]])
    first, both = torch.tensor([0]), torch.tensor([0, 1])
    assert nearest(query, reference, first, size=1).tolist() == [0]
    assert nearest_patches(query, reference, first, both, size=1).tolist() == [1]


@pytest.mark.parametrize("size", [1, 3])
def test_nearest_patches_without_reach_is_the_naive_loop(size: int) -> None:
    query, reference = normal(5, 6, 4), normal(5, 5, 7, seed=1)
    for positions, candidates in (
        (everywhere(query), everywhere(reference)),
        (some(query, 9), some(reference, 11)),
    ):
        found = nearest_patches(query, reference, positions, candidates, size=size, reach=())
        assert found.tolist() == naive_nearest_patches(
            query, reference, positions, candidates, size
        )


def test_nearest_patches_reaches_the_places_between_its_candidates() -> None:
    smooth = torch.arange(12.0, dtype=torch.float64).view(12, 1) + torch.arange(10.0).view(1, 10)
    grown = torch.stack((smooth, smooth.square() / 9, smooth.T.reshape(12, 10)))
    every_fourth = torch.tensor([4 * 10 + 4, 8 * 10 + 4, 4 * 10 + 8, 8 * 10 + 8])
    positions = torch.tensor([5 * 10 + 5, 9 * 10 + 3, 7 * 10 + 7])
    found = nearest_patches(grown, grown, positions, every_fourth, size=3)
    assert torch.equal(found, positions)
    stuck = nearest_patches(grown, grown, positions, every_fourth, size=3, reach=())
    assert not torch.equal(stuck, positions)
    assert set(stuck.tolist()) <= set(every_fourth.tolist())


def test_nearest_patches_of_nothing_is_nothing() -> None:
    picture = normal(3, 5, 5)
    nothing = torch.zeros(0, dtype=torch.long)
    assert nearest_patches(picture, picture, nothing, everywhere(picture), size=3).shape == (0,)


def test_a_position_of_zeros_finds_something() -> None:
    found = nearest(torch.zeros(3, 4, 4), normal(3, 4, 4).float(), torch.arange(16))
    assert ((found >= 0) & (found < 16)).all()


def test_a_strong_guide_decides() -> None:
    query, reference = normal(3, 4, 5), normal(3, 6, 3)
    labels = torch.arange(18, dtype=torch.float64).view(1, 6, 3)
    wish = some(reference, 18)[torch.arange(20) % 18]
    guides = (100 * labels.flatten()[wish].view(1, 4, 5), 100 * labels)
    assert torch.equal(nearest(query, reference, everywhere(query), guides=guides), wish)


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


def naive_vote(
    reference: Tensor,
    field: Tensor,
    positions: Tensor,
    shape: tuple[int, int],
    width: int,
    reference_width: int,
    stride: int,
    size: int,
) -> tuple[Tensor, Tensor]:
    c, big_h, big_w = reference.shape
    total, mass = torch.zeros(c, *shape).double(), torch.zeros(*shape).double()
    steps = range(-((size - stride) // 2), size - (size - stride) // 2)
    middle = (stride - 1) / 2
    for q, p in zip(positions.tolist(), field.tolist(), strict=True):
        for dy in steps:
            for dx in steps:
                y, x = q // width * stride + dy, q % width * stride + dx
                if not (0 <= y < shape[0] and 0 <= x < shape[1]):
                    continue
                tent = (1 - abs(dy - middle) / ((size + 1) / 2)) * (
                    1 - abs(dx - middle) / ((size + 1) / 2)
                )
                there_y = clamp(p // reference_width * stride + dy, big_h)
                there_x = clamp(p % reference_width * stride + dx, big_w)
                total[:, y, x] += tent * reference[:, there_y, there_x]
                mass[y, x] += tent
    return total / mass.clamp_min(1e-12), mass


@pytest.mark.parametrize(("stride", "size"), [(1, 1), (1, 3), (1, 7), (2, 5), (4, 4), (4, 8)])
def test_vote_is_the_naive_loop(stride: int, size: int) -> None:
    grid, big_grid = (5, 6), (4, 7)
    shape = (grid[0] * stride + 1, grid[1] * stride)
    reference = normal(3, big_grid[0] * stride, big_grid[1] * stride + 1)
    positions = some(torch.zeros(1, *grid), 17)
    field = torch.randint(28, (17,), generator=torch.Generator().manual_seed(0))
    found = vote(
        Raster.of(reference),
        field,
        positions,
        shape,
        width=grid[1],
        reference_width=big_grid[1],
        stride=stride,
        size=size,
    )
    expected = naive_vote(reference, field, positions, shape, grid[1], big_grid[1], stride, size)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other.float())
    assert (found[0][:, found[1] == 0] == 0).all()


@pytest.mark.parametrize(("stride", "size"), [(1, 7), (4, 8), (2, 4)])
def test_the_identity_votes_for_the_painting(stride: int, size: int) -> None:
    reference = normal(3, 5 * stride, 6 * stride)
    cells = torch.arange(30)
    shape = (5 * stride, 6 * stride)
    found, mass = vote(
        Raster.of(reference),
        cells,
        cells,
        shape,
        width=6,
        reference_width=6,
        stride=stride,
        size=size,
    )
    torch.testing.assert_close(found, reference.float())
    assert (mass > 0).all()


def test_a_vote_stays_within_the_paintings_palette() -> None:
    reference = normal(3, 12, 10)
    field = torch.randint(120, (80,), generator=torch.Generator().manual_seed(0))
    cells = torch.arange(80)
    found, _ = vote(
        Raster.of(reference), field, cells, (8, 10), width=10, reference_width=10, stride=1, size=5
    )
    assert (found.flatten(1).amax(1) <= reference.flatten(1).amax(1) + 1e-9).all()
    assert (found.flatten(1).amin(1) >= reference.flatten(1).amin(1) - 1e-9).all()
