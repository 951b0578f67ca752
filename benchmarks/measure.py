"""What is measured of a picture.

Pictures are [3, H, W], masks [H, W], 0 to 1. Lengths are in pixels: compare pictures of one size
only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.network.vgg19 import VGG19, carry_mask

# Taps that no preset optimizes; places are matched at the last.
STYLE_TAPS = ("relu1_2", "relu2_2", "relu3_2", "relu3_4", "relu4_2")
EDGE_SIGMAS = (1.5, 3.0)
SOFT = 0.01  # of a gradient of luma (0 to 1): below it an edge counts in proportion

Moments = tuple[Tensor, Tensor]


def luma(image: Tensor) -> Tensor:
    return image.mean(0, keepdim=True)


def gradient(plane: Tensor, sigma: float) -> Tensor:
    """(d/dy, d/dx) of `plane` blurred by `sigma`: [2, H, W]."""
    soft = F.pad(filters.gaussian(plane, sigma)[None], (1, 1, 1, 1), mode="replicate")[0, 0]
    down = (soft[2:, 1:-1] - soft[:-2, 1:-1]) / 2
    across = (soft[1:-1, 2:] - soft[1:-1, :-2]) / 2
    return torch.stack((down, across))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    mean: Tensor = (values * mask).sum((-2, -1)) / mask.sum().clamp_min(1e-12)
    return mean


# --- content, speckle, seam -----------------------------------------------------------------------


def content_kept(image: Tensor, composite: Tensor, mask: Tensor) -> float:
    """How much of the composite's edges is in the image: 1 all, 0 none, below 0 inverted.

    The correlation of luma gradients under the mask, their strength square-rooted; mean of two
    scales.
    """
    found = []
    for sigma in EDGE_SIGMAS:
        a, b = (_compressed(gradient(luma(picture), sigma)) for picture in (image, composite))
        dot, aa, bb = (masked_mean((x * y).sum(0), mask) for x, y in ((a, b), (a, a), (b, b)))
        found.append(float(dot / (aa * bb).sqrt().clamp_min(1e-12)))
    return sum(found) / len(found)


def _compressed(field: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(field, dim=0, keepdim=True)
    return field / (length + SOFT).sqrt()


def speckle(image: Tensor, painting: Tensor, mask: Tensor) -> float:
    """Fine color detail under the mask over the whole painting's: 1 is as speckled."""
    own = chroma_detail(painting).mean().clamp_min(1e-4)
    return float(masked_mean(chroma_detail(image), mask) / own)


def chroma_detail(image: Tensor) -> Tensor:
    chroma = filters.to_opponent(image)[1:]
    detail: Tensor = torch.linalg.vector_norm(chroma - filters.gaussian(chroma, 1.5), dim=0)
    return detail


def chroma_peak(image: Tensor, mask: Tensor) -> float:
    """The largest difference of channels under the mask: 0 is gray."""
    spread = image.amax(0) - image.amin(0)
    return float(spread[mask > 0.5].max())


def ring(mask: Tensor, inner: int, outer: int) -> Tensor:
    """1 from `inner` to `outer` pixels beyond the contour."""
    return _grown(mask, outer) - _grown(mask, inner)


def _grown(mask: Tensor, by: int) -> Tensor:
    binary = (mask > 0.5).float()[None]
    size = 2 * abs(by) + 1
    if by >= 0:
        return F.max_pool2d(binary, size, stride=1, padding=by)[0]
    return 1 - F.max_pool2d(1 - binary, size, stride=1, padding=-by)[0]


def seam(image: Tensor, mask: Tensor) -> float:
    """Fine luma detail along the contour over both sides': 1 is no seam."""
    plane = luma(image)
    detail = (plane - filters.gaussian(plane, 1.5))[0].abs()
    at, within, without = (
        masked_mean(detail, ring(mask, *w)) for w in ((-2, 2), (-10, -3), (3, 10))
    )
    return float(at / ((within + without) / 2).clamp_min(1e-4))


def halo(image: Tensor, painting: Tensor, mask: Tensor) -> float:
    """How far the contour's luma is beyond both sides', in the painting's contrast.

    0 if it lies between the means of both sides.
    """
    plane = luma(image)
    inside, outside = (_local_mean(plane, ring(mask, *w)) for w in ((-12, -4), (4, 12)))
    soft = filters.gaussian(plane, 1.0)
    high, low = torch.maximum(inside, outside), torch.minimum(inside, outside)
    excess = (soft - high).clamp_min(0) + (low - soft).clamp_min(0)
    return float(masked_mean(excess[0], ring(mask, -3, 3)) / luma(painting).std().clamp_min(1e-3))


def _local_mean(plane: Tensor, mask: Tensor) -> Tensor:
    both = filters.gaussian(torch.cat((plane * mask, mask[None])), 6.0)
    return both[:1] / both[1:].clamp_min(1e-6)


# --- style ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StyleReference:
    """Channel means and deviations by tap of what the painting has for this element."""

    network: VGG19
    moments: Mapping[str, Moments]

    def distance(self, image: Tensor, mask: Tensor) -> float:
        """How far the element is from the matched places: 0 is the same."""
        found = masked_moments(self.network, image, mask)
        return sum(moment_distance(found[t], self.moments[t]) for t in STYLE_TAPS) / len(STYLE_TAPS)


def style_reference(
    network: VGG19, painting: Tensor, composite: Tensor, mask: Tensor
) -> StyleReference:
    """Statistics of the painting's places nearest to the composite's element.

    Every picture of a case is measured against the same places.
    """
    tap = STYLE_TAPS[-1]
    features = network(painting[None], STYLE_TAPS)
    asked = network(composite[None], [tap])[tap]
    inside = carry_mask(mask, [tap])[tap].flatten() > 0.5
    if not inside.any():
        inside = carry_mask(mask, [tap])[tap].flatten() > 0
    places = nearest(asked.flatten(1)[:, inside], features[tap].flatten(1))
    chosen = torch.zeros_like(features[tap][0]).flatten()
    chosen[places] = 1
    grid = chosen.view(1, 1, *features[tap].shape[1:])
    moments = {
        name: moments_of(x, F.interpolate(grid, size=x.shape[1:], mode="nearest")[0, 0])
        for name, x in features.items()
    }
    return StyleReference(network, moments)


def nearest(query: Tensor, reference: Tensor, block: int = 1024) -> Tensor:
    """For each column of `query`, the nearest of `reference` by cosine."""
    keys = F.normalize(reference, dim=0)
    parts = F.normalize(query, dim=0).split(block, dim=1)
    return torch.cat([(part.T @ keys).argmax(1) for part in parts])


def masked_moments(network: VGG19, image: Tensor, mask: Tensor) -> dict[str, Moments]:
    carried = carry_mask(mask, STYLE_TAPS)
    features = network(image[None], STYLE_TAPS)
    return {tap: moments_of(features[tap], carried[tap]) for tap in STYLE_TAPS}


def moments_of(features: Tensor, mask: Tensor) -> Moments:
    """Mean and standard deviation [C] under the mask."""
    mean = masked_mean(features, mask)
    variance = masked_mean((features - mean[:, None, None]).square(), mask)
    return mean, variance.sqrt()


def moment_distance(found: Moments, wanted: Moments) -> float:
    """Length of the difference over the length of `wanted`."""
    a, b = torch.cat(found), torch.cat(wanted)
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b).clamp_min(1e-12))


# --- order ----------------------------------------------------------------------------------------


def rises(values: Sequence[float], slack: float = 0.0) -> bool:
    return all(b >= a - slack for a, b in zip(values, values[1:], strict=False))


def falls(values: Sequence[float], slack: float = 0.0) -> bool:
    return rises([-value for value in values], slack)
