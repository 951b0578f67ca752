from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching.voting import vote


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some(features: Tensor, count: int, seed: int = 0) -> Tensor:
    order = torch.randperm(features[0].numel(), generator=torch.Generator().manual_seed(seed))
    return order[:count]


def clamp(value: int, limit: int) -> int:
    return min(max(value, 0), limit - 1)


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
