"""Estimate a painting's style level: 1 for smooth old masters, 10 for Cubism (paper)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops import filters

SIDE = 512  # pixels of the long side at which all is measured; smaller paintings are enlarged …
ENLARGE = 4  # … at most this many times: beyond, nothing is left of the strokes
GRAIN_SIGMA = 1.5  # sigma of the blur that removes grain, JPEG blocks and canvas, and keeps strokes
CONTOUR_SIGMA = 1 / 32  # of the long side: sigma over which a contour must hold its direction
LEAST_RANGE = 0.12  # a painting flatter than this (L* 0 to 1) counts as having this range

# The value of each statistic at which its share is one half, and the share's steepness in its log.
# Set by hand: hatched engravings read as 5, flat gray planes as 1.
BRUSHWORK, CONTOURS, VIVIDNESS = (1.75, 8.0), (2.4, 6.0), (0.35, 12.0)
LEVEL_DOUBT = 1.25  # the bounds: the level with statistics lower and higher by this factor …
LEVEL_MARGIN = 1.0  # … and this many levels more


@dataclass(frozen=True)
class Estimate:
    """A style level, its bounds (a rule of thumb) and statistics."""

    level: float
    low: float
    high: float
    statistics: dict[str, float]


def estimate_level(painting: Tensor) -> Estimate:
    """Return the style level of `painting`, best 300 to 700 pixels long.

    ValueError: it is not [3, H, W], or is empty.
    """
    if painting.ndim != 3 or painting.shape[0] != 3 or not painting.numel():
        raise ValueError(f"painting of shape {tuple(painting.shape)}, expected [3, H, W]")
    with torch.no_grad():
        statistics = measure(painting.detach().float().clamp(0, 1))
    level = _level(statistics, 1.0)
    low = max(_level(statistics, 1 / LEVEL_DOUBT) - LEVEL_MARGIN, 1.0)
    high = min(_level(statistics, LEVEL_DOUBT) + LEVEL_MARGIN, 10.0)
    return Estimate(level, min(low, level), max(high, level), statistics)


def measure(painting: Tensor) -> dict[str, float]:
    """Return three statistics, none negative.

    brushwork: median gradient of lightness, in % a pixel of its range. contours: the gradient's
    95th percentile over its median, times the median coherence (λ₁ − λ₂) / (λ₁ + λ₂) of structure
    tensors. vividness: standard deviation of a and b, over 100.
    """
    lab = filters.to_lab(_fixed_size(painting)) / 100
    lightness = lab[:1]
    dark, light = _quantiles(lightness, 0.05, 0.95)
    span = max(light - dark, LEAST_RANGE)

    soft = filters.gaussian(lightness, GRAIN_SIGMA)[0]
    down = (soft[2:, 1:-1] - soft[:-2, 1:-1]) / 2
    across = (soft[1:-1, 2:] - soft[1:-1, :-2]) / 2
    median, steep = _quantiles((down**2 + across**2).sqrt(), 0.5, 0.95)
    return {
        "brushwork": 100 * median / span,
        "contours": steep / (median + 1e-3 * span) * _coherence(down, across),
        "vividness": float(lab[1:].std(dim=(1, 2), correction=0).norm()),
    }


def _fixed_size(painting: Tensor) -> Tensor:
    h, w = painting.shape[1:]
    scale = min(SIDE / max(h, w), ENLARGE)
    shape = (max(round(h * scale), 8), max(round(w * scale), 8))
    return filters.resize(painting, shape).clamp(0, 1)


def _coherence(down: Tensor, across: Tensor) -> float:
    tensor = torch.stack((down**2, across**2, down * across))
    step = min(4, *down.shape)  # the tensor is smooth over its reach: a quarter of the size will do
    sigma = CONTOUR_SIGMA * max(down.shape) / step
    coarse = filters.gaussian(F.avg_pool2d(tensor[None], step)[0], max(sigma, 0.5))
    yy, xx, xy = coarse
    apart = ((yy - xx) ** 2 + 4 * xy**2).sqrt()
    return _quantiles(apart / (yy + xx + 1e-7), 0.5)[0]


def _quantiles(values: Tensor, *shares: float) -> list[float]:
    asked = values.new_tensor(shares)
    return [float(value) for value in torch.quantile(values.flatten(), asked)]


def _level(statistics: dict[str, float], factor: float) -> float:
    broken = _squashed(statistics["brushwork"] * factor, *BRUSHWORK)
    planes = _squashed(statistics["contours"] * factor, *CONTOURS)
    flat = _squashed(statistics["vividness"] * factor, *VIVIDNESS) * planes
    modern = broken + (1 - broken) * flat
    return 1 + modern * (4 + 5 * planes)


def _squashed(value: float, half: float, steepness: float) -> float:
    return 1 / (1 + (half / value) ** steepness) if value > 1e-6 else 0.0
