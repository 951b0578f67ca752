"""The terms of the objective as pure functions of activations and masks.

Positions are flattened: activations are [C, n], masks [n] with values 0 to 1. Every term is
divided by the mask's mass, so that it does not depend on the patch's size.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def masked_mse(x: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Σ mask · (x − target)² / (C · Σ mask): the content term (paper, equation 2).

    Also the histogram term, where `target` is the remapped x held constant (article).
    """
    return ((x - target).square() * mask).sum() / (len(x) * mask.sum())


def gram(x: Tensor, mask: Tensor) -> Tensor:
    """Masked Gram matrix Σ_q mask(q) x(q) x(q)ᵀ / Σ mask, [C, C] (paper, equation 3)."""
    return (x * mask) @ x.T / mask.sum()


def gram_distance(x: Tensor, mask: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference between the masked Gram matrix of x and `target` [C, C]."""
    return (gram(x, mask) - target).square().mean()


def total_variation(image: Tensor, mask: Tensor) -> Tensor:
    """Σ mask · (dx² + dy²) / Σ mask of forward differences, for `image` [3, H, W], mask [H, W]."""
    dy = (image[:, 1:, :-1] - image[:, :-1, :-1]).square().sum(0)
    dx = (image[:, :-1, 1:] - image[:, :-1, :-1]).square().sum(0)
    return ((dy + dx) * mask[:-1, :-1]).sum() / mask.sum()


def noise(bands: Iterable[Tensor]) -> Tensor:
    """The median over a painting of (dx² + dy²)/2 of its colors, 0 to 1: how grainy it is.

    The painting comes in `bands` [3, h, W]. 0 for one without neighbors.
    """

    def steps(band: Tensor) -> Tensor:
        dy = band[:, 1:, :-1] - band[:, :-1, :-1]
        dx = band[:, :-1, 1:] - band[:, :-1, :-1]
        return ((dy.square() + dx.square()) / 2).flatten()

    found = torch.cat([steps(band) for band in bands])
    return found.median() if len(found) else found.new_zeros(())


def total_variation_weight(eta: float) -> float:
    """10 / (1 + exp(10⁴ η − 25)): about 10 for smooth paintings, about 0 for grainy ones.

    `eta` is `noise` of the painting (paper, section 4.3).
    """
    from math import exp

    return 10 / (1 + exp(min(1e4 * eta - 25, 700.0)))
