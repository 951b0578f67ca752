"""Lay the painting's strokes over a pass's start (not in the paper)."""

from __future__ import annotations

import torch
from torch import Tensor

from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching.layer_matches import Match
from harmonize.synthesis.matching.voting import vote
from harmonize.synthesis.network.vgg19 import STRIDE


def rough(matched: Match, painting: Raster, tap: str) -> Tensor:
    """Return the mean of the painting's patches at matched places, else the image."""
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
    """Add `amount` times the detail of `strokes` finer than `sigma`."""
    detail = strokes - filters.gaussian(strokes, sigma)
    return (image + amount * mask * detail).clamp(0, 1)
