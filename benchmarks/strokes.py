"""A number for strokes that agrees with the eye: is the element worked like the painting?

Maps say how strong detail is in four bands, how these compare, how sparse each is, how far
gradients share a direction at three scales, and how light each spot is. Each map's distribution
under the mask is compared with the painting's by earth mover's distance, divided by the same for
the painting's own places. The mean is 1 for a typical place, 2 for one twice as far off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import gradient, luma
from harmonize.synthesis.image_ops import filters

BANDS = (1.0, 2.0, 4.0, 8.0)  # sigmas between which detail is taken, in pixels
FLOOR = 0.004  # one gray level of 256: fainter detail cannot be seen
DIRECTIONS = (1.0, 2.0, 4.0)
SURROUNDINGS = 12.0
QUANTILES = 33
REACH = 0.6  # share of a side beyond which a mask has too little room to be moved
WINDOWS = 5  # along each side: how many places of the painting are looked at


def stroke_maps(image: Tensor) -> Tensor:
    """The maps [15, H, W] of `image`."""
    plane = luma(image)
    energies, sparseness = [], []
    finer = plane
    for sigma in BANDS:
        coarser = filters.gaussian(plane, sigma)
        detail = torch.cat(((finer - coarser).square(), (finer - coarser).abs()))
        power, size = filters.gaussian(detail, 2.5 * sigma).clamp_min(0)
        energies.append((power.sqrt() + FLOOR).log())
        sparseness.append((size + FLOOR) / (power.sqrt() + FLOOR))
        finer = coarser
    slopes = [a - b for a, b in pairwise(energies)]
    runs = [coherence(gradient(plane, sigma), 3 * sigma) for sigma in DIRECTIONS]
    tones = filters.gaussian(plane, 1.5) - filters.gaussian(plane, SURROUNDINGS)
    return torch.stack((*energies, *slopes, *sparseness, *runs, tones[0]))


def coherence(field: Tensor, reach: float) -> Tensor:
    """How far gradients within `reach` pixels share one direction, 0 to 1."""
    down, across = field
    tensor = filters.gaussian(torch.stack((down**2, across**2, down * across)), reach)
    yy, xx, xy = tensor
    shared: Tensor = ((yy - xx) ** 2 + 4 * xy**2).sqrt() / (yy + xx + (FLOOR / 4) ** 2)
    return shared


def distribution(maps: Tensor, mask: Tensor) -> Tensor:
    values = maps[:, mask > 0.5].sort(1).values
    shares = (torch.arange(QUANTILES) + 0.5) / QUANTILES
    return values[:, (shares * values.shape[1]).long()]


@dataclass(frozen=True)
class StrokeScale:
    """The painting's distributions [K, 33], and how far its own places are from them [K]."""

    quantiles: Tensor
    own: Tensor
    unit: float = 1.0

    def apart(self, maps: Tensor, mask: Tensor) -> Tensor:
        """Earth mover's distance of each map under the mask from the painting's: [K]."""
        return (distribution(maps, mask) - self.quantiles).abs().mean(1)

    def __call__(self, image: Tensor, mask: Tensor) -> float:
        """How far the image under the mask is from the painting's handling."""
        return self._number(stroke_maps(image), mask)

    def typical(self, image: Tensor, mask: Tensor) -> float:
        """The median over places all over the image."""
        maps = stroke_maps(image)
        return float(torch.tensor([self._number(maps, moved) for moved in windows(mask)]).median())

    def _number(self, maps: Tensor, mask: Tensor) -> float:
        return float((self.apart(maps, mask) / self.own).mean()) / self.unit


def stroke_scale(painting: Tensor, mask: Tensor) -> StrokeScale:
    maps = stroke_maps(painting)
    quantiles = distribution(maps, torch.ones_like(mask))
    bare = StrokeScale(quantiles, torch.ones(len(maps)))
    places = torch.stack([bare.apart(maps, moved) for moved in windows(mask)])
    scale = StrokeScale(quantiles, places.median(0).values.clamp_min(1e-3))
    return replace(scale, unit=scale.typical(painting, mask))


def windows(mask: Tensor, count: int = WINDOWS) -> list[Tensor]:
    """The mask moved to `count` × `count` places, shrunk if need be."""
    mask = movable(mask)
    ys, xs = torch.nonzero(mask > 0.5, as_tuple=True)
    h, w = mask.shape
    top, bottom, left, right = int(ys.min()), int(ys.max()), int(xs.min()), int(xs.max())
    downs = torch.linspace(-top, h - 1 - bottom, count).round().int().tolist()
    rights = torch.linspace(-left, w - 1 - right, count).round().int().tolist()
    places = sorted({(dy, dx) for dy in downs for dx in rights})
    return [torch.roll((mask > 0.5).float(), place, (0, 1)) for place in places]


def movable(mask: Tensor) -> Tensor:
    h, w = mask.shape
    ys, xs = torch.nonzero(mask > 0.5, as_tuple=True)
    high, wide = int(ys.max() - ys.min()) + 1, int(xs.max() - xs.min()) + 1
    factor = min(REACH * h / high, REACH * w / wide)
    if factor >= 1:
        return mask
    small = F.interpolate(mask[None, None], scale_factor=factor, mode="nearest")[0, 0]
    return F.pad(small, (0, w - small.shape[1], 0, h - small.shape[0]))


# --- pictures of known difference -----------------------------------------------------------------


def known_differences(painting: Tensor, seed: int = 0) -> dict[str, list[tuple[str, Tensor]]]:
    """Series of pictures, each ever further from the painting."""
    generator = torch.Generator().manual_seed(seed)
    grain = torch.randn(painting.shape, generator=generator)
    mottle = random_phases(painting, generator)
    mean = painting.mean((1, 2), keepdim=True)

    def series(make: Callable[[float], Tensor], *amounts: float) -> list[tuple[str, Tensor]]:
        return [("0", painting), *((f"{a:g}", make(a).clamp(0, 1)) for a in amounts)]

    return {
        "blurred": series(lambda a: filters.gaussian(painting, a), 1.0, 2.0, 4.0),
        "noise": series(lambda a: painting + a * grain, 0.05, 0.1, 0.2),
        "no strokes": series(lambda a: torch.lerp(painting, mottle, a), 1.0),
        "pale": series(lambda a: torch.lerp(painting, mean.expand_as(painting), a), 0.4, 0.6, 0.8),
    }


def random_phases(image: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.fft.rfft2(torch.randn(image.shape[1:], generator=generator))
    turn = noise / noise.abs().clamp_min(1e-12)
    turn[0, 0] = 1
    turned: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * turn, s=image.shape[1:])
    return turned
