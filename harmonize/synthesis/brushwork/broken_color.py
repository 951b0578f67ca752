"""Broken color: hues side by side that an eye mixes (not in the paper)."""

from __future__ import annotations

import torch
from torch import Tensor

from harmonize.synthesis.brushwork.strokes import LOCAL, bands, strength
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.crops import StrokePlaces

MOST_ADDED = 1.5  # times that a place's hues are strengthened
LEAST_POWER = 0.01  # Lab squared: weaker detail is not strengthened


def broken_color(
    image: Tensor, painting: Tensor, mask: Tensor, strokes: StrokePlaces, amount: float
) -> Tensor:
    """Add chroma's detail from the places of the painting that `strokes` come from.

    In each band of detail, as much as makes it `amount` times as strong as it is there.
    """
    lab, known = filters.to_lab(image), filters.to_lab(painting)
    has = torch.zeros_like(mask).flatten(1)
    has[:, strokes.positions] = 1
    has = has.view_as(mask)

    def carried(layer: Tensor) -> Tensor:
        found = layer.new_zeros(len(layer), mask.numel())
        found[:, strokes.positions] = layer.flatten(1)[:, strokes.places]
        return found.view(-1, *mask.shape[1:])

    def mean(products: Tensor) -> Tensor:
        return filters.gaussian_inside(products.sum(0, keepdim=True), has, LOCAL)

    chroma, there = lab[1:], bands(known[1:])
    # Darker than there, as much weaker: the eye sees hues beside their lightness.
    dim = (mean(lab[:1]) / mean(carried(known[:1])).clamp_min(1)).clamp(max=1)
    for own, more, band in zip(bands(chroma), bands(carried(known[1:])), there, strict=True):
        wanted = filters.gaussian_inside(carried(strength(band).square()), has, LOCAL)
        # ‖own + s · more‖² = ‖wanted‖², where own is weaker.
        missing = ((amount * dim).square() * wanted - mean(own.square())).clamp_min(0)
        both, power = mean(own * more), mean(more.square()).clamp_min(LEAST_POWER)
        share = ((both.square() + power * missing).sqrt() - both) / power
        chroma = chroma + mask * (missing > 0) * share.clamp(0, MOST_ADDED) * more
    return filters.from_lab(torch.cat((lab[:1], chroma))).clamp(0, 1)
