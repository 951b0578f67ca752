"""Find the painting's nearest patches.

Where an exact search is too large, candidates come from the coarser field, neighbors (Ashikhmin,
2001) and around the match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.matching.nearest import largest, main_directions

SEARCHED_AT_ONCE = 1 << 22  # similarities in memory at once: 16 MiB of float32
SAMPLED_PATCHES = 20_000  # patches from which principal components are found
NEIGHBORS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def principal_patches(image: Tensor, size: int, count: int) -> Tensor:
    """Return the main directions of an image's patches."""
    channels, h, w = image.shape
    step = max(1, round((h * w / SAMPLED_PATCHES) ** 0.5))
    padded = F.pad(image[None], (size // 2,) * 4, mode="replicate")
    found = main_directions(F.unfold(padded, size, stride=step)[0], count)
    return found.reshape(-1, channels, size, size)


@dataclass(frozen=True)
class Describer:
    """Turns patches into short rows, about as far apart as the patches."""

    colors: Tensor
    tones: Tensor
    size: int

    @classmethod
    def of(cls, colors: Tensor, tones: Tensor, size: int, parts: tuple[int, int]) -> Describer:
        return cls(
            principal_patches(colors, size, parts[0]),
            principal_patches(tones, size, parts[1]),
            size,
        )

    def __call__(self, colors: Tensor, tones: Tensor, features: Tensor) -> Tensor:
        parts = (self._projected(colors, self.colors), self._projected(tones, self.tones))
        return torch.cat([part.flatten(1).T for part in (*parts, features * self.size)], 1)

    def recolored(self, rows: Tensor, colors: Tensor) -> Tensor:
        found = rows.clone()
        found[:, : len(self.colors)] = self._projected(colors, self.colors).flatten(1).T
        return found

    def _projected(self, image: Tensor, basis: Tensor) -> Tensor:
        around = F.pad(image[None], (self.size // 2,) * 4, mode="replicate")
        return F.conv2d(around, basis)[0]


@dataclass(frozen=True)
class Places:
    """The painting's patches as rows, and `half` of their squared lengths."""

    rows: Tensor
    half: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, rows: Tensor, shape: Sequence[int]) -> Places:
        return cls(rows, rows.square().sum(1) / 2, (shape[0], shape[1]))

    def cost(self, wanted: Tensor, field: Tensor, bias: Tensor) -> Tensor:
        """Return half the squared distance to matches, less |wanted|² / 2, plus `bias`."""
        return self.half[field] - (wanted * self.rows[field]).sum(1) + bias[field]

    def exact(self, wanted: Tensor, bias: Tensor, step: int = 1) -> Tensor:
        """Return the cheapest place for each of `wanted`, among every `step`-th both ways."""
        h, w = self.shape
        index = torch.arange(h * w, device=wanted.device)
        if step > 1:
            index = index.view(h, w)[step // 2 :: step, step // 2 :: step].flatten()
        # The cost as one more column: a single product, and the largest of it.
        known = torch.cat((self.rows[index], -(self.half + bias)[index, None]), 1).T.contiguous()
        asked = torch.cat((wanted, torch.ones_like(wanted[:, :1])), 1)
        parts = asked.split(max(1, SEARCHED_AT_ONCE // max(1, len(index))))
        return index[torch.cat([largest(part @ known)[1] for part in parts])]


@dataclass(frozen=True)
class Positions:
    """The painted pixels: `at`, and `index` back, −1 for none."""

    at: Tensor
    index: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, mask: Tensor) -> Positions:
        at = torch.nonzero(mask.flatten())[:, 0]
        index = torch.full((mask.numel(),), -1, dtype=torch.long, device=mask.device)
        index[at] = torch.arange(len(at), device=mask.device)
        return cls(at, index, (mask.shape[0], mask.shape[1]))

    def beside(self, dy: int, dx: int) -> tuple[Tensor, Tensor]:
        """Return the number of the position (dy, dx) away, and whether there is one."""
        h, w = self.shape
        y, x = self.at // w + dy, self.at % w + dx
        inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
        number = self.index[y.clamp(0, h - 1) * w + x.clamp(0, w - 1)]
        return number.clamp_min(0), inside & (number >= 0)


def moved_field(field: Tensor, dy: int, dx: int, shape: Sequence[int]) -> Tensor:
    """Move places by (dy, dx), kept inside `shape`."""
    h, w = shape
    return (field // w + dy).clamp(0, h - 1) * w + (field % w + dx).clamp(0, w - 1)


def continued(positions: Positions, field: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the share of a position's neighbors whose places neighbor its own."""
    count = torch.zeros(len(field), device=field.device)
    for dy, dx in NEIGHBORS:
        number, inside = positions.beside(dy, dx)
        count += inside & (moved_field(field[number], -dy, -dx, shape) == field)
    return count / len(NEIGHBORS)


def improve(
    places: Places,
    wanted: Tensor,
    field: Tensor,
    positions: Positions,
    bias: Tensor,
    *,
    reach: int,
    coherence: float,
) -> Tensor:
    """Replace matches by better ones, of neighbors or around.

    Continuing neighbors' matches costs up to `coherence` less.
    """
    neighbors, there = [], []
    for dy, dx in NEIGHBORS:
        number, inside = positions.beside(dy * reach, dx * reach)
        neighbors.append(moved_field(field[number], -dy * reach, -dx * reach, places.shape))
        there.append(inside)
    # Where there is no neighbor, no match is continued.
    near = torch.where(torch.stack(there), torch.stack(neighbors), -1)
    around = [moved_field(field, dy * reach, dx * reach, places.shape) for dy, dx in NEIGHBORS]
    best, lowest = field, torch.full_like(wanted[:, 0], torch.inf)
    for candidate in (field, *neighbors, *around):
        continued = (near == candidate).sum(0)
        cost = places.cost(wanted, candidate, bias) - coherence / len(NEIGHBORS) * continued
        better = cost < lowest
        best, lowest = torch.where(better, candidate, best), torch.where(better, cost, lowest)
    return best


def doubled(
    field: Tensor,
    positions: Positions,
    shape: Sequence[int],
    fine: Positions,
    target: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Carry a field to twice the size; also return where it had a match."""
    h, w = positions.shape
    y, x = fine.at // fine.shape[1], fine.at % fine.shape[1]
    number = positions.index[(y // 2).clamp(max=h - 1) * w + (x // 2).clamp(max=w - 1)]
    place = field[number.clamp_min(0)]
    row = ((place // shape[1]) * 2 + y % 2).clamp(max=target[0] - 1)
    column = ((place % shape[1]) * 2 + x % 2).clamp(max=target[1] - 1)
    return row * target[1] + column, number >= 0
