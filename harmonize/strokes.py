"""Strokes to begin with: the painting's own, from the matched places, over a pass's start.

Not in the paper. The statistics of a few dozen steps make texture of the right scale; long strokes
they only sharpen where there are some.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harmonize import filters, matching
from harmonize.features import STRIDE, VGG19
from harmonize.fields import Painting, match, sites
from harmonize.schema import Field


def rough(
    settings: Field,
    image: Tensor,
    painting: Painting,
    mask: Tensor,
    network: VGG19,
    level: float,
) -> Tensor:
    """The painting's own patches at the places matched to `image` [3, H, W], overlaps averaged.

    Matched at the field's first tap, under `mask` [H, W]; elsewhere the image stays.
    """
    tap = settings.taps[0]
    where = sites(mask, [tap])
    field = match(settings, image, network(image[None], [tap]), painting, where, [tap], level)[tap]
    picture, mass = matching.vote(
        painting.image,
        field,
        where[tap].positions,
        mask.shape,
        width=where[tap].shape[1],
        reference_width=painting.features[tap].shape[2],
        stride=STRIDE[tap],
        size=2 * STRIDE[tap],
    )
    return torch.where(mass > 0, picture, image)


def overlay(image: Tensor, strokes: Tensor, mask: Tensor, *, amount: float, sigma: float) -> Tensor:
    """`image` [3, H, W] with the detail of `strokes` [3, H, W] over it, under `mask` [H, W].

    `amount` times what a Gaussian of `sigma` pixels takes off the strokes: light and color vary
    together as in the painting; the image keeps its tones and hues at large.
    """
    detail = strokes - filters.gaussian(strokes, sigma)
    return (image + amount * mask * detail).clamp(0, 1)
