"""Nearest-neighbor fields: which position of the painting each position of the picture is like.

A *field* is an int64 tensor of flat indices (y · width + x) into the painting's grid, one for each
query position. Luan et al., "Deep Painterly Harmonization" (2018), sections 4.1 and 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

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


def nearest(
    query: Tensor,
    reference: Tensor,
    positions: Tensor,
    *,
    size: int = 3,
    metric: str = "cosine",
    candidates: Tensor | None = None,
    guides: tuple[Tensor, Tensor] | None = None,
    block: int = BLOCK,
) -> Tensor:
    """For each of `positions` [n] in `query` [C, h, w], the most similar place in `reference`.

    Compared are `size` × `size` × C patches, by `cosine` or squared distance (`l2`), with every
    place of `reference` [C, H, W] or with `candidates` [m] (flat). With `guides` (of the query and
    the reference, [G, h, w] and [G, H, W]) the squared distance between them at the two places is
    taken from the similarity: our departure from the paper, which keeps darks dark and hues near.
    Returns a field [n] into the reference's grid. Only `positions` are matched, in blocks of at
    most `block` similarities, so memory does not grow with the product of the two sizes.
    """
    places = candidates
    if places is None:
        places = torch.arange(reference[0].numel(), device=reference.device)
    keys = patches(reference, places, size)
    # −|a − b|² as a dot product: 2 a·b − |b|² (|a|² is the same for every candidate).
    penalty = keys.square().sum(1) if metric == "l2" else torch.zeros_like(keys[:, 0])
    keys = 2 * keys if metric == "l2" else F.normalize(keys, dim=1)
    if guides is not None:
        guide = guides[1].flatten(1)[:, places]
        penalty = penalty + guide.square().sum(0)
        keys = torch.cat((keys, 2 * guide.T), dim=1)
    found = []
    for part in positions.split(max(1, block // len(keys))):
        asked = patches(query, part, size)
        if metric == "cosine":
            asked = F.normalize(asked, dim=1)
        if guides is not None:
            asked = torch.cat((asked, guides[0].flatten(1)[:, part].T), dim=1)
        found.append((asked @ keys.T).sub_(penalty).argmax(1))
    return places[torch.cat(found)] if found else positions.clone()


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


def unique(field: Tensor) -> Tensor:
    """The places that `field` uses, each once, ascending.

    Keeps one smooth patch of sky from ruling the statistics (paper, section 4.2).
    """
    places: Tensor = torch.unique(field)
    return places


def vote(
    reference: Tensor,
    field: Tensor,
    positions: Tensor,
    shape: Sequence[int],
    *,
    width: int,
    reference_width: int,
    stride: int,
    size: int,
) -> tuple[Tensor, Tensor]:
    """The picture that the field's patches of `reference` [C, H, W] add up to, overlaps averaged.

    Cell `positions` [n] of a grid `width` wide, `stride` pixels a cell, receives the `size` ×
    `size` pixels around the middle of its match, a cell in a grid `reference_width` wide. Patches
    are weighted by a tent. Returns the average [C, h, w] for `shape` (h, w), 0 where nothing
    voted, and how much each pixel received [h, w].
    """
    c, big_h, big_w = reference.shape
    h, w = shape
    device = reference.device
    steps = torch.arange(size, device=device) - (size - stride) // 2
    tent = 1 - (steps - (stride - 1) / 2).abs() / (size / 2 + 0.5)
    weight = (tent[:, None] * tent[None, :]).flatten().to(reference.dtype)
    dy, dx = (d.flatten() for d in torch.meshgrid(steps, steps, indexing="ij"))
    total = torch.zeros(c + 1, h * w, dtype=reference.dtype, device=device)
    flat = reference.flatten(1)
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
        total[:c].index_add_(1, target, flat[:, source] * share)
        total[c].index_add_(0, target, share)
    mass = total[c]
    return (total[:c] / mass.clamp_min(1e-12)).view(c, h, w), mass.view(h, w)
