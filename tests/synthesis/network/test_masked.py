"""Squares under a mask against the whole network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harmonize.synthesis.network.mask_tiles import Tiles
from harmonize.synthesis.network.masked import MaskedNetwork, under_mask
from harmonize.synthesis.network.vgg19 import VGG19, carry_mask
from harmonize.synthesis.network.weights import load_weights

TAPS = ("relu1_1", "relu1_2", "relu2_1", "relu3_1", "relu3_4", "relu4_1", "relu5_1")


def picture(seed: int, shape: tuple[int, int]) -> Tensor:
    return torch.rand(3, *shape, generator=torch.Generator().manual_seed(seed))


def inside(shape: tuple[int, int]) -> Tensor:
    mask = torch.zeros(shape)
    mask[20:40, 15:50] = 1
    mask[22:26, 20:30] = 0
    mask[19, 20] = 0.5
    return mask


def at_two_edges(shape: tuple[int, int]) -> Tensor:
    mask = torch.zeros(shape)
    mask[-20:, -20:] = 1
    return mask


def positions_of(mask: Tensor, taps: tuple[str, ...]) -> dict[str, Tensor]:
    carried = carry_mask(mask, taps)
    return {tap: torch.nonzero(carried[tap].flatten() > 0)[:, 0] for tap in taps}


def masked(network: VGG19, image: Tensor, mask: Tensor, taps: tuple[str, ...]) -> MaskedNetwork:
    inputs: list[Tensor] = []
    network(image[None], taps, inputs)
    return MaskedNetwork(network, inputs, mask, positions_of(mask, taps))


@pytest.mark.parametrize("padding", ["replicate", "zeros"])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(64, 80), (51, 67)])
@pytest.mark.parametrize("make", [inside, at_two_edges, torch.ones])
def test_it_is_the_whole_network_and_so_are_its_gradients(
    make: object, shape: tuple[int, int], precision: torch.dtype, padding: str
) -> None:
    mask = make(shape)  # type: ignore[operator]
    network = VGG19(load_weights("oxford").state, precision=precision, padding=padding)
    frame = picture(0, shape)
    image = torch.where(mask > 0, picture(1, shape), frame).requires_grad_()
    seen = masked(network, torch.where(mask > 0, picture(2, shape), frame), mask, TAPS)
    where = positions_of(mask, TAPS)
    found, whole = seen(image, TAPS), network(image[None], TAPS)
    pulls = {tap: torch.randn(found[tap].shape) for tap in TAPS}
    expected = {tap: whole[tap].flatten(1)[:, where[tap]] for tap in TAPS}
    for tap in TAPS:
        scale = float(expected[tap].detach().abs().max())
        torch.testing.assert_close(found[tap], expected[tap], rtol=1e-4, atol=1e-5 * scale)
    slopes = [
        torch.autograd.grad([one[tap] for tap in TAPS], image, [pulls[tap] for tap in TAPS])[0]
        for one in (found, expected)
    ]
    mine, its = (slope * (mask > 0) for slope in slopes)
    # A sum that is 0 but for rounding may be cut off in one and not in the other.
    assert float((mine - its).norm() / its.norm()) < (1e-3 if precision == torch.float32 else 1e-6)


def test_a_tap_alone_is_the_same_and_no_earlier_picture_stays(network: VGG19) -> None:
    shape = (64, 80)
    mask, frame = inside(shape), picture(0, shape)
    seen = masked(network, frame, mask, TAPS)
    one, other = (torch.where(mask > 0, picture(seed, shape), frame) for seed in (1, 2))
    first = seen(one, TAPS)
    seen(other, TAPS)
    for tap in TAPS:
        assert torch.equal(seen(one, [tap])[tap], first[tap])


def test_gradients_are_not_given_for_activations_that_have_been_replaced(network: VGG19) -> None:
    shape = (64, 80)
    mask, frame = inside(shape), picture(0, shape).requires_grad_()
    seen = masked(network, frame.detach(), mask, TAPS)
    found = seen(frame, ["relu2_1"])["relu2_1"]
    seen(frame, ["relu2_1"])
    with pytest.raises(RuntimeError, match="replaced"):
        torch.autograd.grad(found.sum(), frame)


@pytest.mark.parametrize("side", [1, 4, 7])
def test_squares_cover_a_mask_and_come_back_where_they_were(side: int) -> None:
    mask = inside((45, 62)) > 0
    tiles = Tiles.over(mask.float(), side)
    high, wide = tiles.room
    grid = torch.rand(high + 2, wide + 2, 3, generator=torch.Generator().manual_seed(0))
    copy = torch.zeros_like(grid)
    tiles.put(tiles.take(grid), copy)
    there = copy[1:46, 1:63].abs().sum(2) > 0
    assert bool(there[mask].all()) and not bool(there.all())
    assert torch.equal(copy[copy > 0], grid[copy > 0])
    positions = torch.nonzero(mask.flatten())[:, 0]
    cells = tiles.take(grid).view(-1, 3)[tiles.places(positions)]
    assert torch.equal(cells, grid[1:46, 1:63].reshape(-1, 3)[positions])
    assert int(tiles.places(torch.tensor([45 * 62 - 1]))) == -1
    ringed = tiles.take(grid, around=1)
    assert torch.equal(ringed[:, 1:-1, 1:-1], tiles.take(grid))
    assert torch.equal(tiles.take_cells(grid, slice(None)), ringed.permute(1, 2, 0, 3))


def test_other_devices_compute_whole_images(monkeypatch: pytest.MonkeyPatch) -> None:
    mask, network = inside((64, 80)), VGG19(load_weights("oxford").state)
    where = positions_of(mask, TAPS)
    frame = picture(0, mask.shape)
    image = torch.where(mask > 0, picture(1, mask.shape), frame)
    squares = masked(network, frame, mask, TAPS)(image, TAPS)
    monkeypatch.setattr(network, "device", torch.device("meta"))
    found = under_mask(network, [], mask, where)(image, TAPS)
    for tap in TAPS:
        scale = float(squares[tap].abs().max())
        torch.testing.assert_close(found[tap], squares[tap], rtol=1e-4, atol=1e-5 * scale)
