"""Carry the element's colors over background at its contour."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

THIN = 4  # widths: a part with no inside this near is thin, and keeps its own colors


def extend_colors(image: Tensor, mask: Tensor, width: int) -> Tensor:
    """Replace the colors within `width` pixels of a mask's edge by those further inside.

    Pixels outside and thin parts stay.
    """
    inside = (mask > 0.5).float()[None, None]
    if width < 1 or not inside.any():
        return image
    core = 1 - F.max_pool2d(1 - inside, 2 * width + 1, 1, width)
    reach = THIN * width
    thin = F.max_pool2d(core, 2 * reach + 1, 1, reach) == 0
    known = torch.where(thin, inside, core)
    colors = image[None] * known
    for _ in range(3 * width):
        share = F.avg_pool2d(known, 3, 1, 1)
        spread = F.avg_pool2d(colors, 3, 1, 1) / share.clamp_min(1e-6)
        new = (known == 0) & (share > 0)
        colors = torch.where(new, spread, colors)
        known = torch.where(new, torch.ones_like(known), known)
    return torch.where((inside > 0) & (known > 0), colors, image[None])[0]
