"""3 × 3 convolutions with fewer multiplications, for float32 on CPUs.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), F(4 × 4, 3 × 3): each
tile of 4 × 4 results takes 36 multiplications a pair of channels in place of 144, by the Cook-Toom
method at the points 0, ±1, ±2 and infinity. What it costs are the transforms of tiles, so it wins
where there are many channels. Results differ from a plain convolution by rounding.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST = 128  # channels on either side: with fewer a plain convolution is as quick
AREA = 1 << 22  # numbers of tiles in memory at once: 16 MiB, within most caches

_INPUT = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
_KERNEL = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
_OUTPUT = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    dtype=torch.float64,
)
# Rows and columns of a tile at once.
INPUT, KERNEL, OUTPUT = (torch.kron(m, m).float() for m in (_INPUT, _KERNEL, _OUTPUT))


def worthwhile(x: Tensor, weight: Tensor) -> bool:
    """Return whether `convolve` is the quicker way for `x` [1, C, H, W] and `weight`."""
    plain = x.device.type == "cpu" and x.dtype == torch.float32
    return plain and sum(weight.shape[:2]) >= 3 * LEAST


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return `F.conv2d(x, weight, bias).relu()` for `x` [1, C, H, W] and `weight` [O, C, 3, 3].

    It is [1, O, H − 2, W − 2]. The gradient reaches `x` only.
    """
    return cast(Tensor, _Convolution.apply(x, weight, bias))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        found = _convolved(x, weight).add_(bias.view(-1, 1, 1)).relu_()
        ctx.save_for_backward(found, weight)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        found, weight = ctx.saved_tensors
        turned = weight.flip(2, 3).transpose(0, 1)
        gradient = torch.where(found > 0, gradient, 0)
        return _convolved(F.pad(gradient, (2, 2, 2, 2)), turned), None, None


def _convolved(x: Tensor, weight: Tensor) -> Tensor:
    channels, (high, wide) = x.shape[1], (side - 2 for side in x.shape[2:])
    rows, columns = -(-high // 4), -(-wide // 4)
    x = F.pad(x, (0, 4 * columns - wide, 0, 4 * rows - high))
    x = x.contiguous(memory_format=torch.channels_last)
    kernel = (KERNEL @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(36, channels, -1)
    found = x.new_empty(rows, 4, columns, 4, kernel.shape[2])
    step = max(1, AREA // (36 * columns * max(kernel.shape[1:])))
    for row in range(0, rows, step):
        count = min(step, rows - row)
        tiles = INPUT @ _tiles(x, row, count, columns)
        products = torch.bmm(tiles.view(36, -1, channels), kernel)
        results = OUTPUT @ products.view(36, -1)
        found[row : row + count] = results.view(4, 4, count, columns, -1).permute(2, 0, 3, 1, 4)
    return found.view(1, 4 * rows, 4 * columns, -1)[:, :high, :wide].permute(0, 3, 1, 2)


def _tiles(x: Tensor, row: int, count: int, columns: int) -> Tensor:
    """Return 6 × 6 tiles, 4 apart, of `count` rows of tiles: [36, count · columns · C]."""
    channels, line = x.shape[1], x.shape[3] * x.shape[1]
    shape = (6, 6, count, columns, channels)
    strides = (line, channels, 4 * line, 4 * channels, 1)
    start = x.storage_offset() + 4 * row * line
    return x.as_strided(shape, strides, start).reshape(36, -1)
