"""What one pass optimizes: features and matches in, frozen targets and an objective out.

Luan et al. (2018): the coarse pass (section 4.1) matches every tap on its own; the refine pass
(section 4.2) matches one tap, makes the field coherent and carries it to the finer ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harmonize.settings.schema import Pass, at_level
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching import layer_matches
from harmonize.synthesis.matching.layer_matches import Match
from harmonize.synthesis.matching.painting_features import Study
from harmonize.synthesis.network.vgg19 import STRIDE, VGG19
from harmonize.synthesis.optimization import objective
from harmonize.synthesis.optimization.objective import PassObjective, Term


@dataclass(frozen=True)
class Balance:
    """What the weights depend on: style level (1 to 10), `keep`, the painting's w_tv (0 to 10).

    `keep` multiplies the content term and divides those that paint, style and histogram.
    """

    level: float
    keep: float
    tv: float

    def weight(self, value: float | Mapping[float, float] | str, auto: float = 0.0) -> float:
        """A weight of the settings at the style level; `auto` for "auto"."""
        return auto if isinstance(value, str) else at_level(value, self.level)


def taps_of(settings: Pass) -> tuple[str, ...]:
    """Every tap that the pass looks at, shallow first."""
    terms = settings.terms
    users = (settings.field, terms.content, terms.style, terms.histogram)
    used = {tap for user in users if user is not None for tap in user.taps}
    return tuple(tap for tap in STRIDE if tap in used)


def match(
    settings: Pass,
    network: VGG19,
    *,
    image: Tensor,
    painting: Study,
    mask: Tensor,
    level: float,
) -> Match:
    """`image` [3, H, W] of the window matched to the painting, under `mask` [H, W]."""
    taps, terms = taps_of(settings), settings.terms
    styled = {tap for part in (terms.style, terms.histogram) if part for tap in part.taps}
    wanted = [tap for tap in taps if tap in styled]
    with torch.no_grad():
        features = network(image[None], taps)
        return layer_matches.match(
            settings.field,
            image,
            features,
            painting,
            layer_matches.sites(mask, taps),
            wanted,
            level,
        )


def build(
    settings: Pass,
    network: VGG19,
    *,
    start: Tensor,
    matched: Match,
    composite: Tensor,
    painting: Raster,
    frame: Tensor,
    mask: Tensor,
    balance: Balance,
) -> PassObjective:
    """The objective of one pass.

    Within the window, [3, H, W] each: `start` is where the pass begins, `composite` the pasted
    picture, `frame` the painting there; `mask` [H, W] is where the picture may change. `painting`
    is all of it. `matched` comes from `match`.
    """
    terms, where = settings.terms, matched.where
    found: list[Term] = []
    with torch.no_grad():
        if terms.content:
            target = composite if terms.content.target == "composite" else start
            found += objective.content_terms(
                terms.content.taps,
                balance.keep * balance.weight(terms.content.weight),
                matched.features
                if target is matched.image
                else network(target[None], terms.content.taps),
                where,
            )
        if terms.style:
            found += objective.style_terms(
                terms.style.taps,
                balance.weight(terms.style.weight) / balance.keep,
                matched,
                dedupe=settings.field.kind == "coherent",
            )
        if terms.histogram:
            authors = balance.level * (10 - balance.tv)
            found += objective.histogram_terms(
                terms.histogram,
                balance.weight(terms.histogram.weight, authors) / balance.keep,
                matched,
                settings.refresh,
            )
        if terms.tv:
            authors = terms.tv.factor * balance.level * balance.tv
            weight = balance.weight(terms.tv.weight, authors)
            found.append(objective.variation_term(weight, painting, mask))
    return PassObjective(
        network,
        [term for term in found if term.weight > 0],
        where,
        frame,
        mask,
        settings.balance == "gradient",
    )
