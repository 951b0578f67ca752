"""Where the losses count, and which place of the painting each position is matched to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harmonize.settings.resolve import Matching
from harmonize.synthesis.image_ops.filters import resize, to_opponent
from harmonize.synthesis.matching import nearest as matching
from harmonize.synthesis.matching.painting_features import Study
from harmonize.synthesis.network.vgg19 import STRIDE, carry_mask


@dataclass(frozen=True)
class Site:
    """Where a tap's term counts: flat positions [n], the mask there [n], the grid's (h, w)."""

    positions: Tensor
    mask: Tensor
    shape: Sequence[int]


@dataclass(frozen=True)
class Match:
    """An image [3, H, W] matched to the painting: its activations, where the terms count, fields.

    Each by tap; a field holds flat indices into the painting's grid, one a position. `references`
    are the painting's activations [C, m] at the places that a field uses, each once (paper, section
    4.2: one smooth patch of sky is kept from ruling the statistics), `uses` [n] says which of them
    a position has taken.
    """

    image: Tensor
    features: Mapping[str, Tensor]
    where: Mapping[str, Site]
    fields: Mapping[str, Tensor]
    references: Mapping[str, Tensor]
    uses: Mapping[str, Tensor]


def sites(mask: Tensor, taps: Sequence[str]) -> dict[str, Site]:
    """The masked positions of each tap's grid, for a mask [H, W] on pixels."""
    found = {}
    for tap, carried in carry_mask(mask, taps).items():
        positions = torch.nonzero(carried.flatten() > 0)[:, 0]
        found[tap] = Site(positions, carried.flatten()[positions], carried.shape)
    return found


def gather(features: Tensor, site: Site) -> Tensor:
    """Activations [C, n] of `features` [C, h, w] at the site's positions."""
    # Rows of channels, as the network lays them out, are cheaper to pick than columns.
    rows = features.permute(1, 2, 0).reshape(-1, len(features))
    return rows.index_select(0, site.positions).T


def match(
    settings: Matching,
    image: Tensor,
    features: Mapping[str, Tensor],
    painting: Study,
    where: Mapping[str, Site],
    taps: Sequence[str],
) -> Match:
    """`image` [3, H, W] with its `features` matched, at the positions of `where`.

    There is a field for each of `taps` and for the taps that are matched themselves. `nearest`
    matches the field's own taps one by one; `coherent` matches its first tap, makes it coherent by
    the painting's colors (the authors' choice) and carries it to the others. A tap without a field
    of its own takes the nearest one's as coarse or coarser, carried.
    """
    roots: Sequence[str] = settings.taps if settings.kind == "nearest" else settings.taps[:1]
    luma, chroma = settings.luma, settings.chroma
    fields: dict[str, Tensor] = {}
    for tap in roots:
        site, own, its = where[tap], None, None
        if luma or chroma:
            own = _guide(resize(image, site.shape), luma, chroma)
            its = _guide(painting.painting.resized(painting.grid(tap)), luma, chroma)
        parts = painting.parts(tap, guide=its)
        field = matching.nearest(features[tap], parts, site.positions, guide=own)
        if settings.kind == "coherent":
            colors = painting.painting.resized(painting.grid(tap))
            field = matching.coherent(field, site.positions, site.shape, colors)
        fields[tap] = field
    for tap in taps:
        if tap not in fields:
            fields[tap] = _carried(tap, roots, fields, where, painting)
    places: dict[str, Tensor] = {}
    uses: dict[str, Tensor] = {}
    for tap in taps:
        places[tap], uses[tap] = torch.unique(fields[tap], return_inverse=True)
    return Match(image, features, where, fields, painting.gather(places), uses)


def _guide(image: Tensor, luma: float, chroma: float) -> Tensor:
    opponent = to_opponent(image)
    scale = [luma / 3] + [chroma / 2] * 2
    return opponent * opponent.new_tensor(scale).sqrt().view(3, 1, 1)


def _carried(
    tap: str,
    roots: Sequence[str],
    fields: Mapping[str, Tensor],
    where: Mapping[str, Site],
    painting: Study,
) -> Tensor:
    coarser = [root for root in roots if STRIDE[root] >= STRIDE[tap]]
    root = min(coarser, key=lambda name: STRIDE[name])
    return matching.carry(
        fields[root],
        where[root].positions,
        where[root].shape,
        painting.grid(root),
        where[tap].positions,
        where[tap].shape,
        painting.grid(tap),
        STRIDE[root] // STRIDE[tap],
    )
