"""Match an image to the painting by tap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harmonize.settings.goals import Matching
from harmonize.synthesis.image_ops.filters import resize, to_opponent
from harmonize.synthesis.matching.coherence import carry, coherent
from harmonize.synthesis.matching.nearest import nearest_places
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network.vgg19 import STRIDE, carry_mask


@dataclass(frozen=True)
class Site:
    """Where a tap's terms count."""

    positions: Tensor
    mask: Tensor
    shape: Sequence[int]  # the grid's


@dataclass(frozen=True)
class Match:
    """A matched image; the rest is by tap."""

    image: Tensor
    features: Mapping[str, Tensor]
    where: Mapping[str, Site]
    fields: Mapping[str, Tensor]  # places of the positions in `where`
    references: Mapping[str, Tensor]  # [C, m]: activations there, each place once (paper, 4.2)
    uses: Mapping[str, Tensor]  # of each position: which of the `references`


def sites(mask: Tensor, taps: Sequence[str]) -> dict[str, Site]:
    """Return taps' positions under a mask."""
    found = {}
    for tap, carried in carry_mask(mask, taps).items():
        positions = torch.nonzero(carried.flatten() > 0)[:, 0]
        found[tap] = Site(positions, carried.flatten()[positions], carried.shape)
    return found


def gather(features: Tensor, site: Site) -> Tensor:
    """Return the activations [C, n] at the site."""
    # Rows of channels, as the network lays them out, are cheaper to pick than columns.
    rows = features.permute(1, 2, 0).reshape(-1, len(features))
    return rows.index_select(0, site.positions).T


def match_layers(
    settings: Matching,
    image: Tensor,
    features: Mapping[str, Tensor],
    painting: PaintingFeatures,
    where: Mapping[str, Site],
    taps: Sequence[str],
) -> Match:
    """Match the settings' taps, for `coherent` only the first.

    Other taps take a coarser one's field.
    """
    roots: Sequence[str] = settings.taps if settings.kind == "nearest" else settings.taps[:1]
    fields = {tap: _matched(settings, tap, image, features[tap], painting, where) for tap in roots}
    for tap in taps:
        if tap not in fields:
            fields[tap] = _carried(tap, roots, fields, where, painting)
    places: dict[str, Tensor] = {}
    uses: dict[str, Tensor] = {}
    for tap in taps:
        places[tap], uses[tap] = torch.unique(fields[tap], return_inverse=True)
    return Match(image, features, where, fields, painting.gather(places), uses)


def _matched(
    settings: Matching,
    tap: str,
    image: Tensor,
    features: Tensor,
    painting: PaintingFeatures,
    where: Mapping[str, Site],
) -> Tensor:
    site, own, its = where[tap], None, None
    if settings.luma or settings.chroma:
        own = _guide(resize(image, site.shape), settings)
        its = _guide(painting.painting.resized(painting.grid(tap)), settings)
    field = nearest_places(features, painting.parts(tap, guide=its), site.positions, guide=own)
    if settings.kind == "nearest":
        return field
    colors = painting.painting.resized(painting.grid(tap))
    return coherent(field, site.positions, site.shape, colors)


def _guide(image: Tensor, settings: Matching) -> Tensor:
    opponent = to_opponent(image)
    scale = [settings.luma / 3] + [settings.chroma / 2] * 2
    return opponent * opponent.new_tensor(scale).sqrt().view(3, 1, 1)


def _carried(
    tap: str,
    roots: Sequence[str],
    fields: Mapping[str, Tensor],
    where: Mapping[str, Site],
    painting: PaintingFeatures,
) -> Tensor:
    coarser = [root for root in roots if STRIDE[root] >= STRIDE[tap]]
    root = min(coarser, key=lambda name: STRIDE[name])
    return carry(
        fields[root],
        where[root].positions,
        where[root].shape,
        painting.grid(root),
        where[tap].positions,
        where[tap].shape,
        painting.grid(tap),
        STRIDE[root] // STRIDE[tap],
    )
