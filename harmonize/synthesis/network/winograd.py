"""Compute 3 × 3 convolutions with a quarter of the products: F(4 × 4, 3 × 3).

Lavin and Gray (2016); results differ by about 10⁻⁶ of the largest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

TOGETHER = 256  # tiles: what is held stays in the processor's cache
ACROSS = 4  # sums of a tile, each way

# Lavin and Gray, appendix B: B of activations, G of kernels, A of sums.
OF_ACTIVATIONS = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
OF_KERNELS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
OF_SUMS = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


@dataclass(frozen=True)
class Kernels:
    """Transformed kernels."""

    ahead: Tensor  # [36, C, O], for sums
    back: Tensor  # [36, O, C], for gradients

    @classmethod
    def of(cls, weight: Tensor) -> Kernels:
        turned = weight.flip(2, 3).transpose(0, 1)
        return cls(_carried_kernels(weight), _carried_kernels(turned))


def activations(x: Tensor, kernels: Kernels, bias: Tensor) -> Tensor:
    """Return relu(`x` * `kernels` + `bias`); `x` is padded."""
    return cast(Tensor, _Activations.apply(x, kernels, bias))


class _Activations(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Kernels, bias: Tensor) -> Tensor:
        found = _convolved(x, kernels.ahead, bias)
        ctx.kernels = kernels
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (found,) = ctx.saved_tensors
        gradient = torch.where(found > 0, gradient, 0.0)
        return _convolved(gradient, ctx.kernels.back, border=2), None, None


def _convolved(x: Tensor, kernels: Tensor, bias: Tensor | None = None, border: int = 0) -> Tensor:
    high, wide = (length + 2 * border - 2 for length in x.shape[2:])
    down, across = -(-high // ACROSS), -(-wide // ACROSS)
    below, right = border + down * ACROSS - high, border + across * ACROSS - wide
    if border or below or right:
        x = F.pad(x, (border, right, border, below))
    cells = x[0].permute(1, 2, 0).contiguous()
    found = x.new_empty(down * ACROSS, across * ACROSS, kernels.shape[2])
    rows = max(1, TOGETHER // across)
    for top in range(0, down, rows):
        count = min(rows, down - top)
        part = cells[top * ACROSS : (top + count) * ACROSS + 2]
        sums = _tile_sums(part, kernels, count, across).permute(2, 0, 3, 1, 4)
        there = found[top * ACROSS : (top + count) * ACROSS].view(count, ACROSS, across, ACROSS, -1)
        if bias is None:
            there.copy_(sums)
        else:
            torch.add(sums, bias, out=there).clamp_(min=0)
    return found[:high, :wide].permute(2, 0, 1)[None]


def _tile_sums(cells: Tensor, kernels: Tensor, down: int, across: int) -> Tensor:
    row, column, channel = cells.stride()
    shape = (6, 6, down, across, cells.shape[2])
    tiles = cells.as_strided(
        shape, (row, column, ACROSS * row, ACROSS * column, channel), cells.storage_offset()
    )
    sums = square_sums(tiles.unbind(2), down * across, kernels)
    return sums.view(ACROSS, ACROSS, down, across, -1)


def square_sums(squares: Iterable[Tensor], count: int, kernels: Tensor) -> Tensor:
    """Return sums [4, 4, count, O] of squares [6, 6, n, C], a few at a time."""
    channels, first = kernels.shape[1], 0
    carried = kernels.new_empty(36, count * channels)
    into = _both_ways(OF_ACTIVATIONS, kernels)
    for few in squares:
        end = first + few.shape[2] * channels
        torch.mm(into, few.reshape(36, -1), out=carried[:, first:end])
        first = end
    products = carried.view(36, count, channels) @ kernels
    sums = _both_ways(OF_SUMS, kernels) @ products.view(36, -1)
    return sums.view(ACROSS, ACROSS, count, -1)


def _carried_kernels(weight: Tensor) -> Tensor:
    g = weight.new_tensor(OF_KERNELS, dtype=torch.float64)
    carried = torch.einsum("ia,jb,ocab->ijco", g, g, weight.double())
    return carried.flatten(0, 1).to(weight.dtype).contiguous()


def _both_ways(matrix: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    one = like.new_tensor(matrix)
    return torch.kron(one, one)
