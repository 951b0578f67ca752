"""Tell the element apart from what is around it, by its lightness (not in the paper)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops import filters

RIM = 12  # pixels: width of the bands inside and outside the contour that must differ
AROUND = 6.0  # sigma in pixels: over how much of the contour a difference is averaged
SPREAD_OUT = 2.0  # sigma in pixels over which what is moved at one place fades
MOST_LIFT = 18.0  # L: the most that luma is moved
SAME = 2.0  # L: surroundings that near count as of the same lightness
LEAST_MASS = 0.02  # share of a blur's weight below which its mean is not asked for


def keep_silhouette(
    mapped: Tensor, composite: Tensor, frame: Tensor, element: Tensor, share: float
) -> Tensor:
    """Move luma by at most `MOST_LIFT` to keep `share` of the contour's mean Lab difference."""
    rim, ring = element & _near(~element), ~element & _near(element)
    if not (rim.any() and ring.any()):
        return mapped
    around = frame[:, ring].mean(1)
    had, has = composite[:, rim].mean(1) - around, mapped[:, rim].mean(1) - around
    wanted = share * float(had.norm())
    if float(has.norm()) >= wanted:
        return mapped
    side = float(has[0]) if abs(float(has[0])) > SAME else float(had[0])
    down = side < 0 or (side == 0 and float(around[0]) > 50)
    hue = float(has[1:].norm())
    lift = (-1 if down else 1) * max(wanted**2 - hue**2, 0.0) ** 0.5 - float(has[0])
    lift = min(max(lift, -MOST_LIFT), MOST_LIFT)
    # What stands out on the other side, as a dark thing's light rim does, stays.
    other = (mapped[:1] - around[0]) * (1 if lift < 0 else -1)
    lift = lift * (1 - (other - SAME) / MOST_LIFT).clamp(0, 1)
    return torch.cat(((mapped[:1] + lift).clamp(0, 100), mapped[1:]))


def _near(mask: Tensor) -> Tensor:
    return F.max_pool2d(mask[None, None].float(), 2 * RIM + 1, 1, RIM)[0, 0] > 0


def keep_contour(
    image: Tensor, composite: Tensor, frame: Tensor, element: Tensor, share: float
) -> Tensor:
    """Move luma along the contour by at most `MOST_LIFT` to keep `share` of its Lab difference.

    The difference is that of means within `AROUND` pixels, inside and outside. Luma moves to the
    side where the `composite` has it.
    """
    inside = element[None].float()
    mass = filters.gaussian(inside, AROUND)
    around = _mean(frame * (1 - inside), 1 - mass)
    had, has = (_mean(lab * inside, mass) - around for lab in (composite, image))
    wanted, hue = share * had.norm(dim=0, keepdim=True), has[1:].norm(dim=0, keepdim=True)
    side = torch.where(had[:1] < 0, -1.0, 1.0)
    missing = (wanted.square() - hue.square()).clamp_min(0).sqrt() - side * has[:1]
    missing = missing * (has.norm(dim=0, keepdim=True) < wanted)
    beside = 4 * mass * (1 - mass)  # 1 at a straight contour, 0 far from any
    lift = side * missing.clamp(0, MOST_LIFT) * beside
    luma = image[:1] + inside * filters.gaussian(lift, SPREAD_OUT)
    return torch.cat((luma.clamp(0, 100), image[1:]))


def _mean(total: Tensor, mass: Tensor) -> Tensor:
    return filters.gaussian(total, AROUND) / mass.clamp_min(LEAST_MASS)
