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

    def means(*maps: Tensor) -> Tensor:
        around = torch.cat([item.sum(0, keepdim=True) for item in maps])
        return filters.gaussian_inside(around, has, LOCAL)[:, None]

    # Darker than there, as much weaker: the eye sees hues beside their lightness.
    here, there = means(lab[:1], carried(known[:1]))
    dim = (here / there.clamp_min(1)).clamp(max=1)
    chroma, painted = lab[1:], bands(known[1:])
    for own, more, band in zip(bands(chroma), bands(carried(known[1:])), painted, strict=True):
        wanted, had, both, power = means(
            carried(strength(band).square()), own.square(), own * more, more.square()
        )
        # own + s · more is as strong as wanted, where own is weaker.
        missing = ((amount * dim).square() * wanted - had).clamp_min(0)
        power = power.clamp_min(LEAST_POWER)
        share = ((both.square() + power * missing).sqrt() - both) / power
        chroma = chroma + mask * (missing > 0) * share.clamp(0, MOST_ADDED) * more
    return filters.from_lab(torch.cat((lab[:1], chroma))).clamp(0, 1)
