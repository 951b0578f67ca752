from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.network import winograd
from harmonize.synthesis.network.winograd import INPUT, KERNEL, OUTPUT, convolve, worthwhile


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def near(found: Tensor, exact: Tensor) -> None:
    assert found.shape == exact.shape
    assert float((found.double() - exact).abs().max()) < 1e-4 * float(exact.std())


def test_one_tile_is_the_convolution_exactly() -> None:
    tile, kernel = normal(6, 6).double(), normal(3, 3, seed=1).double()
    product = (INPUT.double() @ tile.flatten()) * (KERNEL.double() @ kernel.flatten())
    found = (OUTPUT.double() @ product).view(4, 4)
    torch.testing.assert_close(
        found, F.conv2d(tile[None, None], kernel[None, None])[0, 0], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("shape", [(3, 3), (6, 6), (7, 12), (21, 34), (5, 90)])
@pytest.mark.parametrize("channels", [(5, 3), (32, 48)])
def test_it_is_the_plain_convolution(shape: tuple[int, int], channels: tuple[int, int]) -> None:
    x, weight = normal(1, channels[0], *shape), normal(channels[1], channels[0], 3, 3, seed=1)
    bias = normal(channels[1], seed=2)
    exact = F.conv2d(x.double(), weight.double(), bias.double()).relu()
    near(convolve(x, weight, bias), exact)
    near(convolve(x.contiguous(memory_format=torch.channels_last), weight, bias), exact)


def test_pieces_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = normal(1, 16, 43, 22), normal(8, 16, 3, 3, seed=1)
    whole = convolve(x, weight, torch.zeros(8))
    monkeypatch.setattr(winograd, "AREA", 1)
    torch.testing.assert_close(convolve(x, weight, torch.zeros(8)), whole, atol=1e-4, rtol=1e-4)


def test_the_gradient_is_the_plain_convolutions() -> None:
    x, weight = normal(1, 24, 18, 25), normal(16, 24, 3, 3, seed=1)
    wish, bias = normal(1, 16, 16, 23, seed=2), normal(16, seed=3)
    own, exact = x.clone().requires_grad_(), x.double().requires_grad_()
    (found,) = torch.autograd.grad((convolve(own, weight, bias) * wish).sum(), own)
    plain = F.conv2d(exact, weight.double(), bias.double()).relu()
    (expected,) = torch.autograd.grad((plain * wish.double()).sum(), exact)
    near(found, expected)


def test_the_same_input_gives_the_same_bytes() -> None:
    x, weight = normal(1, 64, 30, 30), normal(64, 64, 3, 3, seed=1)
    zeros = torch.zeros(64)
    assert torch.equal(convolve(x, weight, zeros), convolve(x.clone(), weight, zeros))


def test_it_is_for_many_channels_in_float32() -> None:
    many, few = torch.empty(256, 256, 3, 3), torch.empty(64, 64, 3, 3)
    x = torch.empty(1, 256, 8, 8)
    assert worthwhile(x, many)
    assert not worthwhile(x, few)
    assert not worthwhile(x.bfloat16(), many)
