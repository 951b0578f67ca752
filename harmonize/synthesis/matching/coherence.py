"""Make neighbors' matches agree; carry them to finer grids (paper, 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

POSITIONS = 1 << 14  # positions whose candidates are compared at once


def coherent(
    field: Tensor,
    positions: Tensor,
    shape: Sequence[int],
    reference: Tensor,
    *,
    window: int = 5,
) -> Tensor:
    """Replace each match by the one that neighbors agree on.

    Position q takes the field(q + δ) − δ with the least summed squared distance to the others in
    `reference`.
    """
    candidates, valid = _candidates(field, positions, shape, reference.shape[1:], window)
    flat = reference.flatten(1).T
    kept = []
    for part, ok in zip(candidates.split(POSITIONS), valid.split(POSITIONS), strict=True):
        weight = ok.to(flat.dtype)
        values = flat[part] - flat[part[:, :1]]  # seen from q's own match: ties stay exact
        # Σ_j w_j |v_i − v_j|² = W |v_i|² − 2 v_i · Σ_j w_j v_j + a constant.
        mass = weight.sum(1, keepdim=True)
        total = (values * weight[..., None]).sum(1, keepdim=True)
        cost = mass * values.square().sum(2) - 2 * (values * total).sum(2)
        cost = cost.masked_fill(~ok, torch.inf)
        kept.append(part.gather(1, cost.argmin(1, keepdim=True))[:, 0])
    return torch.cat(kept) if kept else field.clone()


def _candidates(
    field: Tensor, positions: Tensor, shape: Sequence[int], big: Sequence[int], window: int
) -> tuple[Tensor, Tensor]:
    (h, w), (big_h, big_w) = shape, big
    grid = torch.full((h * w,), -1, dtype=torch.long, device=field.device)
    grid[positions] = field
    half = window // 2
    steps = torch.arange(-half, half + 1, device=field.device)
    dy, dx = (d.flatten() for d in torch.meshgrid(steps, steps, indexing="ij"))
    center_first = (dy.abs() + dx.abs()).argsort(stable=True)
    dy, dx = dy[center_first], dx[center_first]
    y = positions[:, None] // w + dy
    x = positions[:, None] % w + dx
    match = grid[(y.clamp(0, h - 1) * w + x.clamp(0, w - 1))]
    there_y, there_x = match // big_w - dy, match % big_w - dx
    valid = _inside(y, x, h, w) & (match >= 0) & _inside(there_y, there_x, big_h, big_w)
    return torch.where(valid, there_y * big_w + there_x, field[:, None]), valid


def _inside(y: Tensor, x: Tensor, h: int, w: int) -> Tensor:
    return (y >= 0) & (y < h) & (x >= 0) & (x < w)


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
    """Return the field on grids `ratio` times finer.

    Position q in coarse cell p takes q + ratio · (field(p) − p).
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
    """Return each cell's nearest position's index, by max(|dy|, |dx|)."""
    h, w = shape
    known = torch.full((1, 1, h, w), -1.0, device=positions.device)
    # float32 holds whole numbers to 2²⁴ exactly: more cells than any grid has.
    known.view(-1)[positions] = torch.arange(len(positions), device=positions.device).float()
    for _ in range(max(h, w)):
        if bool((known >= 0).all()):
            break
        known = torch.where(known >= 0, known, F.max_pool2d(known, 3, stride=1, padding=1))
    return known.view(-1).long()
