"""Where the losses count, and which place of the painting each position is matched to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harmonize import matching
from harmonize.features import STRIDE, carry_mask
from harmonize.filters import resize, to_opponent
from harmonize.schema import Field, at_level


@dataclass(frozen=True)
class Painting:
    """The painting at one scale: its pixels [3, H, W] (0 to 1) and activations at its taps."""

    image: Tensor
    features: Mapping[str, Tensor]

    def at(self, tap: str, field: Tensor) -> Tensor:
        """Activations [C, n] at the flat indices of `field` [n]."""
        return self.features[tap].flatten(1)[:, field]


@dataclass(frozen=True)
class Site:
    """Where a tap's term counts: flat positions [n], the mask there [n], the grid's (h, w)."""

    positions: Tensor
    mask: Tensor
    shape: Sequence[int]


@dataclass(frozen=True)
class Match:
    """An image [3, H, W] matched to the painting: its activations, where the terms count, fields.

    Each by tap; a field holds flat indices into the painting's grid, one a position.
    """

    image: Tensor
    features: Mapping[str, Tensor]
    where: Mapping[str, Site]
    fields: Mapping[str, Tensor]


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
    settings: Field,
    image: Tensor,
    features: Mapping[str, Tensor],
    painting: Painting,
    where: Mapping[str, Site],
    taps: Sequence[str],
    level: float,
) -> Match:
    """`image` [3, H, W] with its `features` matched, at the positions of `where`.

    There is a field for each of `taps` and for the taps that are matched themselves. `nearest`
    matches the field's own taps one by one; `coherent` matches its first tap, makes it coherent by
    the painting's colors (the authors' choice) and carries it to the others. A tap without a field
    of its own takes the nearest one's as coarse or coarser, carried.
    """
    roots: Sequence[str] = settings.taps if settings.kind == "nearest" else settings.taps[:1]
    fields: dict[str, Tensor] = {}
    for tap in roots:
        site, reference = where[tap], painting.features[tap]
        guides = None
        luma = at_level(settings.guide_luma, level)
        chroma = at_level(settings.guide_chroma, level)
        if luma or chroma:
            guides = (
                _guide(image, site.shape, luma, chroma),
                _guide(painting.image, reference.shape[1:], luma, chroma),
            )
        field = matching.nearest(features[tap], reference, site.positions, guides=guides)
        if settings.kind == "coherent":
            colors = resize(painting.image, reference.shape[1:])
            field = matching.coherent(field, site.positions, site.shape, colors)
        fields[tap] = field
    for tap in taps:
        if tap not in fields:
            fields[tap] = _carried(tap, roots, fields, where, painting)
    return Match(image, features, where, fields)


def _guide(image: Tensor, shape: Sequence[int], luma: float, chroma: float) -> Tensor:
    opponent = to_opponent(resize(image, shape))
    scale = [luma / 3] + [chroma / 2] * 2
    return opponent * opponent.new_tensor(scale).sqrt().view(3, 1, 1)


def _carried(
    tap: str,
    roots: Sequence[str],
    fields: Mapping[str, Tensor],
    where: Mapping[str, Site],
    painting: Painting,
) -> Tensor:
    coarser = [root for root in roots if STRIDE[root] >= STRIDE[tap]]
    root = min(coarser, key=lambda name: STRIDE[name])
    return matching.carry(
        fields[root],
        where[root].positions,
        where[root].shape,
        painting.features[root].shape[1:],
        where[tap].positions,
        where[tap].shape,
        painting.features[tap].shape[1:],
        STRIDE[root] // STRIDE[tap],
    )
