"""Small squares that cover a mask on a grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Tiles:
    """Squares of `side` cells, at `rows` and `columns` of `count`."""

    # Buffers [rows, columns, C] hold the grid in whole squares and a ring of 1 cell.
    side: int
    grid: tuple[int, int]
    rows: Tensor
    columns: Tensor
    count: tuple[int, int]

    @classmethod
    def over(cls, mask: Tensor, side: int) -> Tiles:
        held = F.max_pool2d(mask[None, None].float(), side, ceil_mode=True)[0, 0] > 0
        rows, columns = torch.nonzero(held, as_tuple=True)
        grid, count = (mask.shape[0], mask.shape[1]), (held.shape[0], held.shape[1])
        return cls(side, grid, rows, columns, count)

    def halved(self) -> Tiles:
        grid = self.grid[0] // 2, self.grid[1] // 2
        return Tiles(self.side // 2, grid, self.rows, self.columns, self.count)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def room(self) -> tuple[int, int]:
        return self.count[0] * self.side, self.count[1] * self.side

    def parts(self, cells: int, of: slice = slice(None)) -> Iterator[slice]:
        step = max(1, cells // self.side**2)
        first, end, _ = of.indices(len(self))
        return (slice(at, min(at + step, end)) for at in range(first, end, step))

    def take(self, buffer: Tensor, part: slice = slice(None), around: int = 0) -> Tensor:
        """Return [n, side, side, C], `around` cells wider each way."""
        return self._squares(buffer, around)[self.rows[part], self.columns[part]]

    def take_cells(self, buffer: Tensor, part: slice) -> Tensor:
        """Return [side + 2, side + 2, n, C]."""
        squares = self._squares(buffer, 1).permute(2, 3, 0, 1, 4)
        return squares[:, :, self.rows[part], self.columns[part]]

    def put(self, squares: Tensor, buffer: Tensor, part: slice = slice(None)) -> None:
        self._squares(buffer, 0)[self.rows[part], self.columns[part]] = squares

    def places(self, positions: Tensor) -> Tensor:
        """Return positions' places among the squares' cells; -1: in none."""
        y, x = positions // self.grid[1], positions % self.grid[1]
        square = self._number[y // self.side, x // self.side]
        place = (square * self.side + y % self.side) * self.side + x % self.side
        return torch.where(square < 0, -1, place)

    @cached_property
    def _number(self) -> Tensor:
        number = torch.full(self.count, -1, dtype=torch.long, device=self.rows.device)
        number[self.rows, self.columns] = torch.arange(len(self), device=self.rows.device)
        return number

    def _squares(self, buffer: Tensor, around: int) -> Tensor:
        row, column, channel = buffer.stride()
        side = self.side + 2 * around
        return buffer.as_strided(
            (*self.count, side, side, buffer.shape[2]),
            (self.side * row, self.side * column, row, column, channel),
            (1 - around) * (row + column),
        )
