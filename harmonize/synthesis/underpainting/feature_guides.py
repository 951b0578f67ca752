"""The network's features as guides."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.synthesis.matching.layer_matches import Match
from harmonize.synthesis.matching.nearest import main_directions
from harmonize.synthesis.matching.painting_features import PaintingFeatures

COUNT = 6  # directions


def feature_guides(
    matched: Match, mapped: Tensor, painting: PaintingFeatures, tap: str
) -> tuple[Tensor, Tensor]:
    """Return features' main directions, of the painting and of `mapped`, as guides."""
    known = F.normalize(matched.references[tap], dim=0)
    mean = known.mean(1, keepdim=True)
    basis = main_directions(known, COUNT).flip(0).T
    scale = ((known - mean).T @ basis).std(0, correction=0)[0].clamp_min(1e-6)

    def reduced(features: Tensor) -> Tensor:
        flat = F.normalize(features.flatten(1), dim=0) - mean
        guide: Tensor = (basis.T @ flat / scale).view(-1, *features.shape[1:])
        return guide

    grid = painting.grid(tap)
    reach = torch.zeros(COUNT, *grid, device=mapped.device)
    for part in painting.parts(tap, size=1):
        h, w = part.cells.shape[1:]
        reach[:, part.top : part.top + h, part.left : part.left + w] = reduced(part.cells)
    with torch.no_grad():
        own = reduced(painting.network(mapped[None], [tap])[tap])
    return _enlarged(reach, painting.painting.shape), _enlarged(own, mapped.shape[1:])


def _enlarged(guide: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
    return F.interpolate(guide[None], size=tuple(shape), mode="bilinear", align_corners=False)[0]
