"""Fewer products, the same sums as PyTorch's convolution in 64 bits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.network.winograd import TOGETHER, Kernels, activations


def pair(channels: int, out: int, h: int, w: int) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(h * w)
    x = torch.randn(1, channels, h + 2, w + 2, generator=source)
    weight = torch.randn(out, channels, 3, 3, generator=source) / (3 * channels**0.5)
    return x, weight, torch.randn(out, generator=source) / 4


SHAPES = [(1, 1), (4, 4), (5, 7), (8, 3), (17, 30), (4 * TOGETHER, 5)]


@pytest.mark.parametrize("shape", SHAPES)
def test_activations_are_those_of_a_plain_convolution(shape: tuple[int, int]) -> None:
    x, weight, bias = pair(5, 7, *shape)
    found = activations(x, Kernels.of(weight), bias)
    expected = F.conv2d(x.double(), weight.double(), bias.double()).relu()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_a_plain_convolution(shape: tuple[int, int]) -> None:
    x, weight, bias = pair(5, 7, *shape)
    x.requires_grad_()
    found = activations(x, Kernels.of(weight), bias)
    pull = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((found * pull).sum(), x)
    wide = x.detach().double().requires_grad_()
    plain = F.conv2d(wide, weight.double(), bias.double())
    # Where the sum is 0 but for rounding, either slope will do: that of what was found is taken.
    (expected,) = torch.autograd.grad((plain * (found > 0) * pull).sum(), wide)
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-5, atol=2e-5)


def test_any_layout_of_memory_will_do() -> None:
    x, weight, bias = pair(4, 4, 9, 10)
    kernels = Kernels.of(weight)
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(activations(x, kernels, bias), activations(last, kernels, bias))


def test_one_kernel_by_hand() -> None:
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 2] = 1  # the neighbor to the right
    x = torch.arange(48.0).view(1, 1, 6, 8)
    found = activations(x, Kernels.of(weight), torch.tensor([-20.0]))
    torch.testing.assert_close(found, (x[:, :, 1:-1, 2:] - 20).clamp(min=0), rtol=1e-5, atol=1e-4)
