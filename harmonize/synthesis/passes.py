"""What one pass minimizes."""

from __future__ import annotations

import torch
from torch import Tensor

from harmonize.settings.goals import ResolvedPass
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching import layer_matches
from harmonize.synthesis.matching.layer_matches import Match
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.network.masked import Activations, under_mask
from harmonize.synthesis.network.vgg19 import STRIDE, VGG19
from harmonize.synthesis.optimization import objective
from harmonize.synthesis.optimization.objective import PassObjective, Term


def taps_of(settings: ResolvedPass) -> tuple[str, ...]:
    """Return the pass's taps, shallow first."""
    return tuple(tap for tap in STRIDE if tap in settings.seen)


def match_pass(
    settings: ResolvedPass,
    network: VGG19,
    *,
    image: Tensor,
    painting: PaintingFeatures,
    frame: Tensor,
    mask: Tensor,
) -> tuple[Match, Activations]:
    """Match `image` to the painting under `mask`."""
    taps = taps_of(settings)
    wanted = [tap for tap in taps if tap in settings.styled]
    where = layer_matches.sites(mask, taps)
    inputs: list[Tensor] = []
    with torch.no_grad():
        features = network(objective.shown(image, frame, mask)[None], taps, inputs)
        positions = {tap: site.positions for tap, site in where.items()}
        masked = under_mask(network, inputs, mask, positions)
        inputs.clear()
        matched = layer_matches.match_layers(
            settings.matching, image, features, painting, where, wanted
        )
    return matched, masked


def build_objective(
    settings: ResolvedPass,
    network: Activations,
    *,
    matched: Match,
    kept: Tensor,
    painting: Raster,
    frame: Tensor,
    mask: Tensor,
    smoothness: float,
) -> PassObjective:
    """Return the pass's objective: its content term keeps `kept`; `smoothness` is w_tv."""
    goals, where = settings.goals, matched.where
    found: list[Term] = []
    with torch.no_grad():
        if goals.content:
            taps = goals.content.taps
            target = network(objective.shown(kept, frame, mask), taps)
            found += objective.content_terms(taps, goals.content.weight, target, where)
        if goals.style:
            dedupe = settings.matching.kind == "coherent"
            found += objective.style_terms(goals.style.taps, goals.style.weight, matched, dedupe)
        if goals.histogram:
            weight = goals.histogram.weight(smoothness)
            found += objective.histogram_terms(goals.histogram, weight, matched, settings.refresh)
        if goals.variation:
            weight = goals.variation.weight(smoothness)
            found.append(objective.variation_term(weight, painting, mask))
    return PassObjective(
        network,
        [term for term in found if term.weight > 0],
        frame,
        mask,
        settings.balance == "gradient",
    )
