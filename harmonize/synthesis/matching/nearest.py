"""Find similar patches: nearest by features (paper, 4.1), near by colors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops.tiled_image import Raster

AT_ONCE = 1 << 24  # similarities in memory at once: 64 MiB of float32
COMPARED_AT_ONCE = 1 << 22  # patches that are compared in memory at once: what a cache holds
DIRECTIONS = 48  # main ones, of larger patches: with all, 1 choice in 20 is another
ROW_BLOCK = 128  # values of a row whose maximum is found together


def patches(features: Tensor, positions: Tensor, size: int = 3) -> Tensor:
    """Return patches [n, C · size²] around positions, borders repeated."""
    c, h, w = features.shape
    half = size // 2
    padded = F.pad(features[None], (half,) * 4, mode="replicate")[0].flatten(1)
    y, x = positions // w, positions % w
    dy, dx = torch.meshgrid(*(torch.arange(size, device=features.device),) * 2, indexing="ij")
    index = (y[:, None] + dy.flatten()) * (w + 2 * half) + x[:, None] + dx.flatten()
    return padded[:, index].permute(1, 0, 2).reshape(len(positions), c * size**2)


def largest(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's largest of `values` [n, m], and its first place."""
    count = values.shape[1] // ROW_BLOCK
    if count < 2:
        highest, place = values.max(1)
        return highest, place
    blocks = values[:, : count * ROW_BLOCK].unflatten(1, (count, ROW_BLOCK))
    highest, block = blocks.amax(2).max(1)
    row = torch.arange(len(values), device=values.device)
    place = block * ROW_BLOCK + blocks[row, block].argmax(1)
    if values.shape[1] > count * ROW_BLOCK:
        beyond, there = values[:, count * ROW_BLOCK :].max(1)
        place = torch.where(beyond > highest, there + count * ROW_BLOCK, place)
        highest = torch.maximum(highest, beyond)
    return highest, place


@dataclass(frozen=True)
class Part:
    """A rectangle of a grid."""

    cells: Tensor  # with a ring of `size` // 2 around
    guide: Tensor | None
    top: int
    left: int
    width: int  # of the whole grid


def whole_part(reference: Tensor, guide: Tensor | None = None, size: int = 3) -> Part:
    """Return all of `reference` as a part."""
    cells = F.pad(reference[None], (size // 2,) * 4, mode="replicate")[0]
    return Part(cells, guide, 0, 0, reference.shape[2])


def nearest_places(
    query: Tensor,
    parts: Iterable[Part],
    positions: Tensor,
    *,
    size: int = 3,
    guide: Tensor | None = None,
    block: int = AT_ONCE,
) -> Tensor:
    """Return each position's most similar place, by cosine of patches.

    Guides' squared distance is subtracted (not in the paper).
    """
    asked = F.pad(query[None], (size // 2,) * 4, mode="replicate")[0]
    y, x = positions // query.shape[2], positions % query.shape[2]
    here = None if guide is None else guide.flatten(1)[:, positions]
    field = torch.zeros_like(positions)
    best = torch.full(y.shape, -torch.inf, dtype=query.dtype, device=query.device)
    for part in parts:
        value, place = _nearest_in(part, asked, y, x, size, here, block)
        wide = part.cells.shape[2] - size + 1
        there = (place // wide + part.top) * part.width + place % wide + part.left
        field = torch.where(value > best, there, field)
        best = torch.maximum(best, value)
    return field


def _nearest_in(
    part: Part, asked: Tensor, y: Tensor, x: Tensor, size: int, here: Tensor | None, block: int
) -> tuple[Tensor, Tensor]:
    span, known = size - 1, part.cells
    high, wide = known.shape[1] - span, known.shape[2] - span
    lengths = _patch_lengths(known, size)
    best = torch.full(y.shape, -torch.inf, dtype=asked.dtype, device=asked.device)
    found = torch.zeros_like(y)
    for top, bottom, left, right in _boxes(y, x, span, block // known[0].numel()):
        inside = torch.nonzero((y >= top) & (y < bottom))[:, 0]
        row, column = y[inside] - top, x[inside] - left
        cells = asked[:, top : bottom + span, left : right + span]
        length = _patch_lengths(cells, size)[row, column][:, None, None]
        slab = max(1, block // (cells[0].numel() * (wide + span)) - span)
        for first in range(0, high, slab):
            last = min(first + slab, high)
            likeness = _dot_products(cells, known[:, first : last + span], row, column, size)
            likeness /= length
            likeness /= lengths[first:last]
            if here is not None and part.guide is not None:
                there = part.guide[:, first:last]
                likeness += (2 * here[:, inside].T @ there.flatten(1)).view_as(likeness)
                likeness -= there.square().sum(0)
            value, place = largest(likeness.flatten(1))
            better = value > best[inside]
            found[inside] = torch.where(better, place + first * wide, found[inside])
            best[inside] = torch.maximum(best[inside], value)
    return best, found


def _dot_products(cells: Tensor, known: Tensor, row: Tensor, column: Tensor, size: int) -> Tensor:
    products = cells.flatten(1).T @ known.flatten(1)
    products = products.view(*cells.shape[1:], *known.shape[1:])
    high, wide = (side - size + 1 for side in known.shape[1:])
    total = torch.zeros(len(row), high, wide, dtype=cells.dtype, device=cells.device)
    for dy in range(size):
        for dx in range(size):
            shifted = products[..., dy : dy + high, dx : dx + wide]
            total += shifted[row + dy, column + dx]
    return total


def _boxes(y: Tensor, x: Tensor, span: int, cells: int) -> Iterator[tuple[int, int, int, int]]:
    if len(y) == 0:
        return
    left, right = int(x.min()), int(x.max()) + 1
    rows = max(1, cells // (right - left + span) - span)
    for top in range(int(y.min()), int(y.max()) + 1, rows):
        inside = x[(y >= top) & (y < top + rows)]
        if len(inside):
            bottom = min(top + rows, int(y.max()) + 1)
            yield top, bottom, int(inside.min()), int(inside.max()) + 1


def _patch_lengths(cells: Tensor, size: int) -> Tensor:
    power = cells.square().sum(0)[None, None]
    return (F.avg_pool2d(power, size, stride=1)[0, 0] * size**2).sqrt().clamp_min(1e-12)


def nearest_patches(
    query: Tensor,
    reference: Raster,
    positions: Tensor,
    candidates: Tensor,
    *,
    size: int,
    reach: Sequence[int] = (2, 1),
    block: int = COMPARED_AT_ONCE,
) -> Tensor:
    """Return each position's place of a near patch, by squared distance.

    Try `candidates`, then at each `reach` the eight places around the best.
    """
    keys = reference.patches(candidates, size)
    middle = keys.mean(0)
    basis = main_directions(keys.T, DIRECTIONS) if keys.shape[1] > DIRECTIONS else None

    def seen(rows: Tensor) -> Tensor:
        return rows - middle if basis is None else (rows - middle) @ basis.T

    # −|a − b|² as a dot product: 2 a·b − |b|² (|a|² is the same for every candidate).
    powers = (keys - middle).square().sum(1, keepdim=True)
    keys = torch.cat((2 * seen(keys), -powers), dim=1)
    nearest = []
    for part in positions.split(max(1, block // len(keys))):
        asked = patches(query, part, size)
        likeness = torch.cat((seen(asked), torch.ones_like(asked[:, :1])), dim=1) @ keys.T
        nearest.append(candidates[largest(likeness)[1]])
    found, together = [], max(1, block // (9 * size**2))
    for part, best in zip(
        positions.split(together), torch.cat(nearest).split(together), strict=True
    ):
        asked = patches(query, part, size)
        for step in reach:
            around = _with_neighbors(best, reference.shape, step)
            apart = [(reference.patches(p, size) - asked).square().sum(1) for p in around.T]
            best = around.gather(1, torch.stack(apart).argmin(0)[:, None])[:, 0]
        found.append(best)
    return torch.cat(found) if found else positions.clone()


def main_directions(rows: Tensor, count: int) -> Tensor:
    """Return the main directions [count, D] of `rows`, the main one last."""
    wide = rows.to("cpu", torch.float64)
    wide = wide - wide.mean(1, keepdim=True)
    _, vectors = torch.linalg.eigh(wide @ wide.T / max(1, wide.shape[1]))
    found: Tensor = vectors[:, -min(count, len(vectors)) :].T.to(rows)
    return found


def _with_neighbors(places: Tensor, shape: Sequence[int], step: int) -> Tensor:
    h, w = shape
    shift = torch.tensor([0, -step, step], device=places.device)
    y = (places[:, None] // w + shift).clamp(0, h - 1)
    x = (places[:, None] % w + shift).clamp(0, w - 1)
    return (y[:, :, None] * w + x[:, None, :]).flatten(1)
