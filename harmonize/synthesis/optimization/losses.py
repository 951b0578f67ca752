"""Losses of activations [C, n] under masks [n]."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor


def masked_mse(x: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return Σ mask · (x − target)² / (C · Σ mask) (paper, equation 2)."""
    return cast(Tensor, _MaskedMse.apply(x, target, mask))


def gram(x: Tensor, mask: Tensor) -> Tensor:
    """Return the Gram matrix Σ_q mask(q) x(q) x(q)ᵀ / Σ mask, [C, C] (paper, equation 3)."""
    return (x * mask) @ x.T / mask.sum()


def gram_distance(x: Tensor, mask: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference of Gram matrices."""
    return cast(Tensor, _GramDistance.apply(x, mask, target))


# With gradients of their own: what autograd would hold and go through again is most of their time.
class _MaskedMse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        apart = x - target
        counted = apart * mask
        ctx.share = 1 / (len(x) * mask.sum())
        ctx.save_for_backward(counted)
        return cast(Tensor, apart.mul_(counted).sum() * ctx.share)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (counted,) = ctx.saved_tensors
        return counted * (2 * ctx.share * gradient), None, None


class _GramDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        counted, ctx.total = x * mask, mask.sum()
        apart = counted @ x.T / ctx.total - target
        ctx.save_for_backward(counted, apart)
        return cast(Tensor, apart.square().mean())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        counted, apart = ctx.saved_tensors
        pull = (apart + apart.T) * (2 * gradient / (ctx.total * apart.numel()))
        # In the order of the activations: rows of channels.
        return (counted.T @ pull).T, None, None


def total_variation(image: Tensor, mask: Tensor) -> Tensor:
    """Return Σ mask · (dx² + dy²) / Σ mask, by forward differences."""
    dy = (image[:, 1:, :-1] - image[:, :-1, :-1]).square().sum(0)
    dx = (image[:, :-1, 1:] - image[:, :-1, :-1]).square().sum(0)
    return ((dy + dx) * mask[:-1, :-1]).sum() / mask.sum()


def noise(bands: Iterable[Tensor]) -> Tensor:
    """Return a painting's graininess, the median of (dx² + dy²) / 2."""

    def steps(band: Tensor) -> Tensor:
        dy = band[:, 1:, :-1] - band[:, :-1, :-1]
        dx = band[:, :-1, 1:] - band[:, :-1, :-1]
        return ((dy.square() + dx.square()) / 2).flatten()

    found = torch.cat([steps(band) for band in bands])
    return found.median() if len(found) else found.new_zeros(())


def total_variation_weight(eta: float) -> float:
    """Return 10 / (1 + exp(10⁴ η − 25)) for a `noise` η (paper, 4.3)."""
    from math import exp

    return 10 / (1 + exp(min(1e4 * eta - 25, 700.0)))
