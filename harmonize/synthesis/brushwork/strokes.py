"""Strokes where a photograph has less than the painting.

Random dabs are smeared along the form by line integral convolution (Cabral and Leedom, 1993).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops import filters

BANDS = ((0.7, 1.4), (1.4, 2.8), (2.8, 5.6))  # sigmas in pixels that strokes are between
LOCAL = 6.0  # sigma in pixels: over how much a band's strength is averaged
CALM = 0.25  # share of a painting that is calmer than its calm parts
LENGTH = 9.0  # of a stroke either way, as a multiple of its width
TAPER = 2.0  # dabs along a stroke count exp(-TAPER · (distance / length)²)


def missing_strokes(luma: Tensor, painting: Tensor, angles: Tensor, seed: int) -> Tensor:
    """Return strokes [1, H, W] that make `luma` as lively as the painting, in L.

    In each of `BANDS` their strength is √(painting's² − own²), the painting's that of calm parts.
    """
    total, dice = torch.zeros_like(luma), torch.Generator().manual_seed(seed)
    for fine, broad in BANDS:
        known = _band(painting, fine, broad)
        everywhere = _strength(known).flatten()
        wanted = everywhere.kthvalue(1 + int(CALM * (len(everywhere) - 1))).values
        missing = (wanted.square() - _strength(_band(luma, fine, broad)).square()).clamp_min(0)
        dabs = filters.gaussian(torch.randn(luma.shape, generator=dice).to(luma), fine)
        strokes = _band(smeared(dabs, angles, round(LENGTH * fine)), fine, broad)
        total += missing.sqrt() * strokes / strokes.std().clamp_min(1e-6)
    return total


def smeared(dabs: Tensor, angles: Tensor, length: int) -> Tensor:
    """Average `dabs` [1, H, W] along `angles`, `length` pixels either way."""
    h, w = angles.shape
    toward = torch.stack((angles.cos(), angles.sin()))
    rows, columns = torch.meshgrid(
        torch.arange(h, device=dabs.device), torch.arange(w, device=dabs.device), indexing="ij"
    )
    start = torch.stack((columns, rows)).to(dabs)
    total, mass = dabs.clone(), 1.0
    for sign in (1, -1):
        place, step = start, sign * toward
        for number in range(1, length + 1):
            place = place + step
            share = math.exp(-TAPER * (number / length) ** 2)
            total, mass = total + share * _picked(dabs, place, "bilinear"), mass + share
            here = _picked(toward, place, "nearest")
            # An angle has no head: go on, not back.
            step = torch.where((here * step).sum(0) < 0, -here, here)
    return total / mass


def _band(luma: Tensor, fine: float, broad: float) -> Tensor:
    return filters.gaussian(luma, fine) - filters.gaussian(luma, broad)


def _strength(band: Tensor) -> Tensor:
    return filters.gaussian(band.square(), LOCAL).clamp_min(0).sqrt()


def _picked(image: Tensor, place: Tensor, mode: str) -> Tensor:
    h, w = place.shape[1:]
    size = place.new_tensor([w, h]).view(2, 1, 1)
    grid = ((2 * place + 1) / size - 1).permute(1, 2, 0)
    return F.grid_sample(
        image[None], grid[None], mode=mode, padding_mode="border", align_corners=False
    )[0]
