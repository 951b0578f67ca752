"""Nearest-neighbor fields: which position of the painting each position of the picture is like.

A *field* is an int64 tensor of flat indices (y · width + x) into the painting's grid, one for each
query position. Luan et al., "Deep Painterly Harmonization" (2018), sections 4.1 and 4.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops.tiled_image import Raster

# Entries of one block of similarities: 64 MiB of float32.
BLOCK = 1 << 24


def patches(features: Tensor, positions: Tensor, size: int = 3) -> Tensor:
    """The `size` × `size` patches around `positions` [n] of `features` [C, h, w]: [n, C · size²].

    Beyond the border the nearest activation is repeated.
    """
    c, h, w = features.shape
    half = size // 2
    padded = F.pad(features[None], (half,) * 4, mode="replicate")[0].flatten(1)
    y, x = positions // w, positions % w
    dy, dx = torch.meshgrid(*(torch.arange(size, device=features.device),) * 2, indexing="ij")
    index = (y[:, None] + dy.flatten()) * (w + 2 * half) + x[:, None] + dx.flatten()
    return padded[:, index].permute(1, 0, 2).reshape(len(positions), c * size**2)


@dataclass(frozen=True)
class Part:
    """A part of a grid of activations: cells with a ring of `size` // 2 cells around them.

    `cells` [C, h + size − 1, w + size − 1] with the ring, `guide` [G, h, w] without; `top` and
    `left` say where the cell after the ring lies in the grid, which is `width` cells wide.
    """

    cells: Tensor
    guide: Tensor | None
    top: int
    left: int
    width: int


def whole(reference: Tensor, guide: Tensor | None = None, size: int = 3) -> Part:
    """All of `reference` [C, H, W], its border repeated."""
    cells = F.pad(reference[None], (size // 2,) * 4, mode="replicate")[0]
    return Part(cells, guide, 0, 0, reference.shape[2])


def nearest(
    query: Tensor,
    parts: Iterable[Part],
    positions: Tensor,
    *,
    size: int = 3,
    guide: Tensor | None = None,
    block: int = BLOCK,
) -> Tensor:
    """For each of `positions` [n] in `query` [C, h, w], the most similar place in a reference.

    Compared are `size` × `size` × C patches by cosine, with every place of the reference, which
    comes in `parts`, one after the other: it need never be in memory as a whole. With guides, of
    the query [G, h, w] and of the parts, the squared distance between them at the two places is
    taken from the similarity: our departure from the paper, which keeps darks dark and hues near.
    Returns a field [n] into the reference's grid.

    The dot product of two patches is a sum of shifted dot products of cells: size² times fewer
    multiplications than with unfolded patches. Only rows and columns that hold positions are
    multiplied, in blocks of at most `block` products (at the least one row by one row), so memory
    does not grow with the product of the two sizes.
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
    """The best similarity [n] in one part, and where in its cells without the ring [n].

    `asked` is the padded query, `y` and `x` [n] are the positions in it, `here` [G, n] their guide.
    """
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
            products = cells.flatten(1).T @ known[:, first : last + span].flatten(1)
            products = products.view(*cells.shape[1:], last - first + span, wide + span)
            likeness = torch.zeros(
                len(inside), last - first, wide, dtype=asked.dtype, device=asked.device
            )
            for dy in range(size):
                for dx in range(size):
                    shifted = products[..., dy : dy + last - first, dx : dx + wide]
                    likeness += shifted[row + dy, column + dx]
            likeness /= length
            likeness /= lengths[first:last]
            if here is not None and part.guide is not None:
                there = part.guide[:, first:last]
                likeness += (2 * here[:, inside].T @ there.flatten(1)).view_as(likeness)
                likeness -= there.square().sum(0)
            value, place = likeness.flatten(1).max(1)
            better = value > best[inside]
            found[inside] = torch.where(better, place + first * wide, found[inside])
            best[inside] = torch.maximum(best[inside], value)
    return best, found


def _boxes(y: Tensor, x: Tensor, span: int, cells: int) -> Iterator[tuple[int, int, int, int]]:
    """Boxes (top, bottom, left, right) around the positions (`y`, `x`), as many rows at a time
    as make at most `cells` cells, with `span` more rows and columns, and at least one row."""
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
    """Length of each `size` × `size` patch of padded `cells` [C, h + size − 1, w + size − 1]."""
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
    block: int = BLOCK,
) -> Tensor:
    """For each of `positions` [n] in `query` [C, h, w], a near patch of `reference`, a raster.

    Compared are `size` × `size` × C patches by squared distance: first with `candidates` [m]
    (flat), in blocks of at most `block` comparisons, then with the eight places `reach` cells
    around the best so far, once for each number in it. Candidates may so be few, and far from one
    another. Returns a field [n] into the reference's grid.
    """
    keys = reference.patches(candidates, size)
    # −|a − b|² as a dot product: 2 a·b − |b|² (|a|² is the same for every candidate).
    keys = torch.cat((2 * keys, -keys.square().sum(1, keepdim=True)), dim=1)
    found = []
    for part in positions.split(max(1, block // len(keys))):
        asked = patches(query, part, size)
        likeness = torch.cat((asked, torch.ones_like(asked[:, :1])), dim=1) @ keys.T
        best = candidates[likeness.argmax(1)]
        for step in reach:
            around = _around(best, reference.shape, step)
            apart = [(reference.patches(p, size) - asked).square().sum(1) for p in around.T]
            best = around.gather(1, torch.stack(apart).argmin(0)[:, None])[:, 0]
        found.append(best)
    return torch.cat(found) if found else positions.clone()


def _around(places: Tensor, shape: Sequence[int], step: int) -> Tensor:
    """`places` [n] of a grid (h, w) and the eight `step` cells around them, kept inside: [n, 9]."""
    h, w = shape
    shift = torch.tensor([0, -step, step], device=places.device)
    y = (places[:, None] // w + shift).clamp(0, h - 1)
    x = (places[:, None] % w + shift).clamp(0, w - 1)
    return (y[:, :, None] * w + x[:, None, :]).flatten(1)


def coherent(
    field: Tensor,
    positions: Tensor,
    shape: Sequence[int],
    reference: Tensor,
    *,
    window: int = 5,
) -> Tensor:
    """`field` [n] made coherent: each position takes what its neighborhood agrees on.

    `positions` [n] are flat indices in a grid of `shape` (h, w); `reference` [C, H, W] is what
    distances are measured in (features, or colors of the painting shrunk to its grid: the
    authors' choice). For position q the candidates are field(q + δ) − δ over the `window` ×
    `window` neighbors that have a match; kept is the candidate with the least summed squared
    distance to all of them (paper, section 4.2). Ties go to q's own match.
    """
    h, w = shape
    c, big_h, big_w = reference.shape
    grid = torch.full((h * w,), -1, dtype=torch.long, device=field.device)
    grid[positions] = field
    half = window // 2
    steps = torch.arange(-half, half + 1, device=field.device)
    dy, dx = (d.flatten() for d in torch.meshgrid(steps, steps, indexing="ij"))
    center_first = (dy.abs() + dx.abs()).argsort(stable=True)
    dy, dx = dy[center_first], dx[center_first]
    y = positions[:, None] // w + dy
    x = positions[:, None] % w + dx
    inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
    match = grid[(y.clamp(0, h - 1) * w + x.clamp(0, w - 1))]
    there_y, there_x = match // big_w - dy, match % big_w - dx
    valid = (
        inside
        & (match >= 0)
        & (there_y >= 0)
        & (there_y < big_h)
        & (there_x >= 0)
        & (there_x < big_w)
    )
    candidates = torch.where(valid, there_y * big_w + there_x, field[:, None])
    flat = reference.flatten(1).T
    kept = []
    for part, ok in zip(candidates.split(1 << 14), valid.split(1 << 14), strict=True):
        weight = ok.to(flat.dtype)
        values = flat[part] - flat[part[:, :1]]  # seen from q's own match: ties stay exact
        # Σ_j w_j |v_i − v_j|² = W |v_i|² − 2 v_i · Σ_j w_j v_j + a constant.
        mass = weight.sum(1, keepdim=True)
        total = (values * weight[..., None]).sum(1, keepdim=True)
        cost = mass * values.square().sum(2) - 2 * (values * total).sum(2)
        cost = cost.masked_fill(~ok, torch.inf)
        kept.append(part.gather(1, cost.argmin(1, keepdim=True))[:, 0])
    return torch.cat(kept) if kept else field.clone()


def carry(
    field: Tensor,
    positions: Tensor,
    shape: Sequence[int],
    reference_shape: Sequence[int],
    fine_positions: Tensor,
    fine_shape: Sequence[int],
    fine_reference_shape: Sequence[int],
    ratio: int,
) -> Tensor:
    """`field` of a coarse grid carried to a grid `ratio` times finer: a field for `fine_positions`.

    A fine position q with the coarse parent p goes to q + ratio · (P(p) − p), kept inside
    (paper, section 4.2). Shapes are (h, w) of: the coarse picture grid, the coarse painting grid,
    and the two fine ones. A parent without a match lends the nearest matched position's.
    """
    w = shape[1]
    fy, fx = fine_positions // fine_shape[1], fine_positions % fine_shape[1]
    py = (fy // ratio).clamp_max(shape[0] - 1)
    px = (fx // ratio).clamp_max(w - 1)
    parent = nearest_known(positions, shape)[py * w + px]
    y, x = positions[parent] // w, positions[parent] % w
    there_y = fy + ratio * (field[parent] // reference_shape[1] - y)
    there_x = fx + ratio * (field[parent] % reference_shape[1] - x)
    there_y = there_y.clamp(0, fine_reference_shape[0] - 1)
    there_x = there_x.clamp(0, fine_reference_shape[1] - 1)
    return there_y * fine_reference_shape[1] + there_x


def nearest_known(positions: Tensor, shape: Sequence[int]) -> Tensor:
    """For each cell of a grid (h, w), flat: the index into `positions` of a nearest known one.

    Grown one ring (3×3) at a time; among a ring's neighbors the highest index wins.
    """
    h, w = shape
    known = torch.full((1, 1, h, w), -1.0, device=positions.device)
    # float32 holds whole numbers to 2²⁴ exactly: more cells than any grid has.
    known.view(-1)[positions] = torch.arange(len(positions), device=positions.device).float()
    for _ in range(max(h, w)):
        if bool((known >= 0).all()):
            break
        known = torch.where(known >= 0, known, F.max_pool2d(known, 3, stride=1, padding=1))
    return known.view(-1).long()


def vote(
    reference: Raster,
    field: Tensor,
    positions: Tensor,
    shape: Sequence[int],
    *,
    width: int,
    reference_width: int,
    stride: int,
    size: int,
) -> tuple[Tensor, Tensor]:
    """The picture that the field's patches of `reference`, a raster, add up to, overlaps averaged.

    Cell `positions` [n] of a grid `width` wide, `stride` pixels a cell, receives the `size` ×
    `size` pixels around the middle of its match, a cell in a grid `reference_width` wide. Patches
    are weighted by a tent. Returns the average [C, h, w] for `shape` (h, w), 0 where nothing
    voted, and how much each pixel received [h, w].
    """
    big_h, big_w = reference.shape
    h, w = shape
    device = positions.device
    steps = torch.arange(size, device=device) - (size - stride) // 2
    tent = 1 - (steps - (stride - 1) / 2).abs() / (size / 2 + 0.5)
    weight = (tent[:, None] * tent[None, :]).flatten()
    dy, dx = (d.flatten() for d in torch.meshgrid(steps, steps, indexing="ij"))
    c = reference.pixels.shape[2]
    total = torch.zeros(c + 1, h * w, device=device)
    for part, match in zip(
        positions.split(BLOCK // (16 * size**2)), field.split(BLOCK // (16 * size**2)), strict=True
    ):
        y = (part // width * stride)[:, None] + dy
        x = (part % width * stride)[:, None] + dx
        there_y = ((match // reference_width * stride)[:, None] + dy).clamp(0, big_h - 1)
        there_x = ((match % reference_width * stride)[:, None] + dx).clamp(0, big_w - 1)
        inside = ((y >= 0) & (y < h) & (x >= 0) & (x < w)).flatten()
        share = weight.expand(len(part), -1).flatten()[inside]
        target = (y * w + x).flatten()[inside]
        source = (there_y * big_w + there_x).flatten()[inside]
        total[:c].index_add_(1, target, reference.pick(source) * share)
        total[c].index_add_(0, target, share)
    mass = total[c]
    return (total[:c] / mass.clamp_min(1e-12)).view(c, h, w), mass.view(h, w)
