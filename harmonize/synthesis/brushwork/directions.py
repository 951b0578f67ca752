"""Which way strokes run: along the form.

Structure tensors (Bigün and Granlund, 1987) of luma, averaged ever wider: flat parts follow their
edges and the painting around.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops import filters

GRADIENT = 1.5  # sigma in pixels: finer gradients are noise
FINE = 0.7  # sigma in pixels: dots are as fine
AVERAGES = ((8.0, 1.0), (24.0, 0.3))  # sigma in pixels, and what its average counts
OUTSIDE = 0.05  # what the painting around the element counts


def form_directions(luma: Tensor, frame: Tensor, mask: Tensor) -> Tensor:
    """Return the angles [H, W], in radians, of strokes on the element.

    `luma` [1, H, W] is the pasted picture's L, `frame` the painting's.
    """
    own, around = _structure(luma), _structure(frame)
    total = torch.zeros_like(own)
    for sigma, weight in AVERAGES:
        total += weight * filters.gaussian_inside(own, mask, sigma)
    total += OUTSIDE * filters.gaussian_inside(around, 1 - mask, AVERAGES[-1][0])
    xx, yy, xy = total
    return torch.atan2(2 * xy, xx - yy) / 2 + math.pi / 2


def coherence(luma: Tensor) -> float:
    """Return how far fine detail of `luma` has a direction: 0 none, as of dots, to 1.

    The median of (λ₁ − λ₂) / (λ₁ + λ₂) of its structure tensors.
    """
    xx, yy, xy = filters.gaussian(_structure(luma, FINE), AVERAGES[0][0])
    apart = ((xx - yy).square() + 4 * xy.square()).sqrt()
    return float((apart / (xx + yy + 1e-6)).median())


def _structure(luma: Tensor, sigma: float = GRADIENT) -> Tensor:
    soft = F.pad(filters.gaussian(luma, sigma)[None], (1, 1, 1, 1), mode="replicate")[0]
    x = (soft[:, 1:-1, 2:] - soft[:, 1:-1, :-2]) / 2
    y = (soft[:, 2:, 1:-1] - soft[:, :-2, 1:-1]) / 2
    return torch.cat((x * x, y * y, x * y))
