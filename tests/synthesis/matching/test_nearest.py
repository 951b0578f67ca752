from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching import nearest as matching
from harmonize.synthesis.matching.nearest import patches, whole_part


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
    own, its = guides or (None, None)
    parts = [whole_part(reference, its, size)]
    return matching.nearest_places(query, parts, positions, size=size, guide=own, **more)


def nearest_patches(query: Tensor, reference: Tensor, *args: Tensor, **more: object) -> Tensor:
    return matching.nearest_patches(query.float(), Raster.of(reference), *args, **more)


def everywhere(features: Tensor) -> Tensor:
    return torch.arange(features[0].numel())


def some(features: Tensor, count: int, seed: int = 0) -> Tensor:
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


def test_large_patches_are_nearest_but_for_what_is_not_in_their_main_directions() -> None:
    dice = torch.Generator().manual_seed(3)
    painting, image = (F.avg_pool2d(torch.rand(3, 40, 44, generator=dice), 3, 1) for _ in range(2))
    positions, candidates = everywhere(image), everywhere(painting)
    found = nearest_patches(image, painting, positions, candidates, size=7, reach=())
    known, asked = (matching.patches(one, positions, 7) for one in (painting, image))
    apart = torch.cdist(asked, known).square()
    reached, least = apart.gather(1, found[:, None])[:, 0], apart.min(1).values
    assert float(reached.mean()) < 1.1 * float(least.mean())
    assert float(reached.mean()) < 0.6 * float(apart.mean())
