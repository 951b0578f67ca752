"""The colors that the element's are moved to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.settings.goals import PaletteGoal
from harmonize.synthesis.brushwork.overlay import rough
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching import layer_matches
from harmonize.synthesis.matching.layer_matches import Match
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network.vgg19 import STRIDE

SAMPLED_PIXELS = 4000  # pixels that stand for all of the painting
MATCH_DOUBT = 0.03  # similarity: how soon a match changes from doubtful to sure
BROAD = 2.0  # sigma in pixels: of planes of color, without dabs and accents
BOX = 7  # pixels: side of a square whose mean is as smooth
REACH, EPSILON = 24, 0.003  # of the filter that keeps sureness to the composite's edges


@dataclass(frozen=True)
class PaletteReference:
    """The painting's Lab colors."""

    sample: Tensor  # of all of it
    planes: Tensor  # its luma, blurred
    matched: Tensor  # of matched places
    near: Tensor  # of matched places, where they match
    sure: Tensor  # how surely they match, 0 to 1


def match_element(
    image: Tensor, mask: Tensor, painting: PaintingFeatures, goal: PaletteGoal
) -> Match:
    """Match the pasted picture to the painting."""
    taps = goal.matching.taps[:1]
    with torch.no_grad():
        features = painting.network(image[None], taps)
        where = layer_matches.sites(mask, taps)
        return layer_matches.match_layers(goal.matching, image, features, painting, where, taps)


def reference_of(matched: Match, painting: PaintingFeatures, goal: PaletteGoal) -> PaletteReference:
    """Collect the colors of the painting and its matched places."""
    tap = goal.matching.taps[0]
    raster = painting.painting
    sample = _lab(raster.sample(SAMPLED_PIXELS))
    sample = sample[:, :: max(1, -(-sample.shape[1] // SAMPLED_PIXELS))]
    stride, width = STRIDE[tap], raster.shape[1]
    places = matched.fields[tap]
    cells = width // stride
    middle = (places // cells * width + places % cells) * stride + (stride // 2) * (width + 1)
    pixels = raster.patches(middle, stride)  # [n, 3 · stride²]
    colors = _lab(pixels.view(len(pixels), 3, -1).transpose(0, 1).reshape(3, -1))
    near = filters.to_lab(rough(matched, raster, tap))
    planes = _planes(raster)
    return PaletteReference(sample, planes, colors, near, _sureness(matched, tap, goal.sure))


def _planes(raster: Raster) -> Tensor:
    h, w = raster.shape
    places = torch.arange(0, h * w, max(1, h * w // SAMPLED_PIXELS), device=raster.device)
    pixels = raster.patches(places, BOX).view(len(places), 3, -1).transpose(0, 1)
    return _lab(pixels.reshape(3, -1))[0].view(len(places), -1).mean(1)


def _lab(colors: Tensor) -> Tensor:
    return filters.to_lab(colors[:, None].contiguous())[:, 0]


def _sureness(matched: Match, tap: str, middle: float) -> Tensor:
    site = matched.where[tap]
    own = layer_matches.gather(matched.features[tap], site)
    its = matched.references[tap][:, matched.uses[tap]]
    sure = torch.zeros(site.shape[0] * site.shape[1], device=own.device)
    likeness = F.cosine_similarity(own, its, dim=0)
    sure[site.positions] = torch.sigmoid((likeness - middle) / MATCH_DOUBT)
    grid = sure.view(1, 1, *site.shape)
    size = matched.image.shape[1:]
    smooth = F.interpolate(grid, size=size, mode="bilinear", align_corners=False)[0]
    return filters.guided(smooth, matched.image, REACH, EPSILON).clamp(0, 1)
