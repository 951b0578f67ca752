"""Strokes to begin with: the painting's own, from the matched places, over a pass's start.

Not in the paper. The statistics of a few dozen steps make texture of the right scale; long strokes
they only sharpen where there are some.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching.layer_matches import Match
from harmonize.synthesis.matching.voting import vote
from harmonize.synthesis.network.vgg19 import STRIDE


def rough(matched: Match, painting: Raster, tap: str) -> Tensor:
    """The painting's own patches at the places that an image is matched to, overlaps averaged.

    [3, H, W], by the field of `tap`; where nothing is matched the image stays.
    """
    site = matched.where[tap]
    picture, mass = vote(
        painting,
        matched.fields[tap],
        site.positions,
        matched.image.shape[1:],
        width=site.shape[1],
        reference_width=painting.shape[1] // STRIDE[tap],
        stride=STRIDE[tap],
        size=2 * STRIDE[tap],
    )
    return torch.where(mass > 0, picture, matched.image)


def overlay(image: Tensor, strokes: Tensor, mask: Tensor, *, amount: float, sigma: float) -> Tensor:
    """`image` [3, H, W] with the detail of `strokes` [3, H, W] over it, under `mask` [H, W].

    `amount` times what a Gaussian of `sigma` pixels takes off the strokes: light and color vary
    together as in the painting; the image keeps its tones and hues at large.
    """
    detail = strokes - filters.gaussian(strokes, sigma)
    return (image + amount * mask * detail).clamp(0, 1)
