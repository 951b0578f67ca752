"""Strokes where a photograph has less than the painting.

Random dabs are smeared along the form by line integral convolution (Cabral and Leedom, 1993).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.brushwork.directions import coherence
from harmonize.synthesis.image_ops import filters

BANDS = ((0.7, 1.4), (1.4, 2.8), (2.8, 5.6))  # sigmas in pixels that strokes are between
LOCAL = 6.0  # sigma in pixels: over how much a band's strength is averaged
CALM = 0.25  # share of a painting that is calmer than its calm parts
LENGTH = 6.0  # of a stroke either way, as a multiple of its width
TAPER = 2.0  # dabs along a stroke count exp(-TAPER · (distance / length)²)


# At which strength of the finest band over the broadest, and which coherence, a painting is not at
# all and wholly dotted.
FINER, DIRECTED = (1.15, 1.4), (0.5, 0.4)


def missing_strokes(
    luma: Tensor, painting: Tensor, angles: Tensor, mask: Tensor, seed: int
) -> Tensor:
    """Return strokes [1, H, W] that make `luma` as lively as the painting, in L.

    In each of `BANDS` their strength is √(painting's² − own²), the painting's that of calm parts.
    On dotted paintings they are dots.
    """
    length = LENGTH * (1 - dottedness(painting))

    def drawn(dabs: Tensor) -> Tensor:
        reach = ceil(3 * BANDS[-1][1])  # of the filter that makes a band of them
        near = (mask > 0).float()
        for side, room in (((2 * reach + 1, 1), (reach, 0)), ((1, 2 * reach + 1), (0, reach))):
            near = F.max_pool2d(near, side, 1, room)
        return smeared(dabs, angles, [round(length * fine) for fine, _ in BANDS], near[0] > 0)

    return _missing(luma, painting, mask, seed, drawn)


def missing_dots(luma: Tensor, painting: Tensor, mask: Tensor, seed: int) -> Tensor:
    """Return the dots that `luma` lacks beside a dotted painting."""
    share = dottedness(painting)
    if not share:
        return torch.zeros_like(luma)
    return share * _missing(luma, painting, mask, seed, lambda dabs: dabs)


def dottedness(painting: Tensor) -> float:
    """Return how far luma [1, H, W] is a pattern of dots: 0 to 1.

    Fine detail outweighs broad, and has no direction.
    """
    found = bands(painting)
    fine, broad = float(_calm(found[0])), float(_calm(found[-1]))
    return _share(fine / max(broad, 1e-6), *FINER) * _share(coherence(painting), *DIRECTED)


def _share(value: float, none: float, whole: float) -> float:
    return min(max((value - none) / (whole - none), 0.0), 1.0)


def _missing(
    luma: Tensor, painting: Tensor, mask: Tensor, seed: int, drawn: Callable[[Tensor], Tensor]
) -> Tensor:
    inside = mask > 0
    total, dice = torch.zeros_like(luma), torch.Generator().manual_seed(seed)
    if not bool(inside.any()):
        return total
    dabs = [
        filters.gaussian(torch.randn(luma.shape, generator=dice).to(luma), fine)
        for fine, _ in BANDS
    ]
    strokes = drawn(torch.cat(dabs)).split(1)
    for (fine, broad), stroke, known, own in zip(
        BANDS, strokes, bands(painting), bands(luma), strict=True
    ):
        missing = (_calm(known).square() - strength(own).square()).clamp_min(0).sqrt()
        band = filters.gaussian(stroke, fine) - filters.gaussian(stroke, broad)
        total += missing * band / band[inside].square().mean().sqrt().clamp_min(1e-6)
    return total


def _calm(band: Tensor) -> Tensor:
    everywhere = strength(band).flatten()
    return everywhere.kthvalue(1 + int(CALM * (len(everywhere) - 1))).values


def smeared(dabs: Tensor, angles: Tensor, lengths: Sequence[int], where: Tensor) -> Tensor:
    """Average channels of `dabs` along `angles`, ascending `lengths` pixels either way."""
    places = torch.nonzero(where)
    toward = torch.stack((angles.cos(), angles.sin()))
    total, mass = dabs[:, where], [1.0] * len(lengths)
    for sign in (1, -1):
        place, step = places.T.flip(0).to(dabs), sign * toward[:, where]
        for number in range(1, lengths[-1] + 1):
            place = place + step
            first = next(index for index, length in enumerate(lengths) if number <= length)
            shares = [math.exp(-TAPER * (number / length) ** 2) for length in lengths[first:]]
            total[first:] += dabs.new_tensor(shares)[:, None] * _sampled(dabs[first:], place)
            mass[first:] = [one + share for one, share in zip(mass[first:], shares, strict=True)]
            here = _nearest(toward, place)
            # An angle has no head: go on, not back.
            step = torch.where((here * step).sum(0) < 0, -here, here)
    result = dabs.clone()
    result[:, where] = total / dabs.new_tensor(mass)[:, None]
    return result


def bands(image: Tensor) -> list[Tensor]:
    """Return the detail of `image` between the sigmas of each of `BANDS`."""
    soft = [filters.gaussian(image, fine) for fine, _ in BANDS]
    soft.append(filters.gaussian(image, BANDS[-1][1]))
    return [finer - broader for finer, broader in pairwise(soft)]


def strength(band: Tensor) -> Tensor:
    """Return how strong detail is around each pixel, of all channels together."""
    power = band.square().sum(0, keepdim=True)
    return filters.gaussian(power, LOCAL).clamp_min(0).sqrt()


def _sampled(image: Tensor, place: Tensor) -> Tensor:
    h, w = image.shape[1:]
    size = place.new_tensor([w, h])[:, None]
    grid = ((2 * place + 1) / size - 1).T
    return F.grid_sample(image[None], grid[None, None], padding_mode="border", align_corners=False)[
        0, :, 0
    ]


def _nearest(image: Tensor, place: Tensor) -> Tensor:
    h, w = image.shape[1:]
    x, y = place.round().long()
    return image.flatten(1)[:, y.clamp(0, h - 1) * w + x.clamp(0, w - 1)]
