"""Build pictures from the painting's patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harmonize.synthesis.image_ops.tiled_image import Raster

ADDED_AT_ONCE = 1 << 20  # pixels of patches that are added at once


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
    """Return overlapping patches' weighted mean, and each pixel's weight.

    Cells of `stride` pixels take the `size` × `size` pixels around their match, weighted as a tent.
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
    count = ADDED_AT_ONCE // size**2
    for part, match in zip(positions.split(count), field.split(count), strict=True):
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
