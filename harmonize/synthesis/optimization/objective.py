"""A pass's terms.

Losses of activations are divided by their target's mean square.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from harmonize.settings.goals import HistogramGoal
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching.layer_matches import Match, Site
from harmonize.synthesis.network.masked import Activations
from harmonize.synthesis.optimization import losses
from harmonize.synthesis.optimization.histogram import rank_table, remap


@dataclass
class Term:
    """A weighted loss of a tap's activations."""

    name: ClassVar[str]
    tap: str | None  # None: a loss of the image
    weight: float

    def loss(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def restart(self) -> None:
        pass  # nothing is held between calls


@dataclass
class ContentTerm(Term):
    """Distance to `target` under `mask`."""

    name = "content"
    target: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        self._power = _mean_square(self.target, self.mask)

    def loss(self, x: Tensor) -> Tensor:
        return losses.masked_mse(x, self.target, self.mask) / self._power


@dataclass
class StyleTerm(Term):
    """Distance of the Gram matrix to `target` (paper, equation 4)."""

    name = "style"
    target: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        self._power = self.target.square().mean()

    def loss(self, x: Tensor) -> Tensor:
        return losses.gram_distance(x, self.mask, self.target) / self._power


@dataclass
class HistogramTerm(Term):
    """Distance to activations remapped by `table`, anew every `refresh` calls."""

    name = "histogram"
    table: Tensor
    mask: Tensor
    power: Tensor
    refresh: int
    _calls: int = 0
    _held: Tensor = field(default_factory=lambda: torch.empty(0))

    def loss(self, x: Tensor) -> Tensor:
        if self._calls % self.refresh == 0:
            # In the order of the activations: rows of channels.
            self._held = remap(x.detach(), self.table).T.contiguous().T
        self._calls += 1
        return losses.masked_mse(x, self._held, self.mask) / self.power

    def restart(self) -> None:
        self._calls = 0


@dataclass
class VariationTerm(Term):
    """Total variation, divided by `power`, the painting's."""

    name = "tv"
    mask: Tensor
    power: Tensor

    def loss(self, x: Tensor) -> Tensor:
        return losses.total_variation(x, self.mask) / self.power


def content_terms(
    taps: Sequence[str], weight: float, target: Mapping[str, Tensor], where: Mapping[str, Site]
) -> list[Term]:
    """Return terms that keep `target`."""
    share = weight / len(taps)
    return [ContentTerm(tap, share, target[tap], where[tap].mask) for tap in taps]


def style_terms(taps: Sequence[str], weight: float, matched: Match, dedupe: bool) -> list[Term]:
    """Return terms of matched places' Gram matrices; with `dedupe` each place counts once."""
    found: list[Term] = []
    for tap in taps:
        mask, reference = matched.where[tap].mask, matched.references[tap]
        if dedupe:
            target = losses.gram(reference, torch.ones_like(reference[0]))
        else:
            target = losses.gram(reference[:, matched.uses[tap]], mask)
        found.append(StyleTerm(tap, weight / len(taps), target, mask))
    return found


def histogram_terms(goal: HistogramGoal, weight: float, matched: Match, refresh: int) -> list[Term]:
    """Return terms of matched places' histograms."""
    found: list[Term] = []
    for tap in goal.taps:
        site, reference = matched.where[tap], matched.references[tap]
        count = len(site.positions)
        table = rank_table(reference, count, goal.bins)
        power = _mean_square(reference, torch.ones_like(reference[0]))
        share = weight / len(goal.taps)
        found.append(HistogramTerm(tap, share, table, site.mask, power, refresh))
    return found


def variation_term(weight: float, painting: Raster, mask: Tensor) -> Term:
    """Return the term of relative total variation."""
    h, w = painting.shape
    # The mean of a band is that of all its rows; what counts is the sum.
    sums = [
        losses.total_variation(band, torch.ones_like(band[0])) * band[0].numel()
        for band in painting.bands()
    ]
    power = (torch.stack(sums).sum() / (h * w)).clamp_min(1e-6)
    return VariationTerm(None, weight, mask, power)


@dataclass(frozen=True)
class PassObjective:
    """An image's weighted terms; where `mask` is 0 it shows `frame`.

    With `unit_gradients` (the authors' balance) weights are ratios of gradient norms.
    """

    network: Activations
    terms: Sequence[Term]
    frame: Tensor
    mask: Tensor
    unit_gradients: bool = False

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        image = shown(image, self.frame, self.mask)
        taps = sorted({term.tap for term in self.terms if term.tap is not None})
        found: dict[str | None, Tensor] = {None: image}
        found.update(self.network(image, taps) if taps else {})
        values: dict[str, Tensor] = {}
        for term in self.terms:
            value = self._weighted(found[term.tap], term)
            values[term.name] = values[term.name] + value if term.name in values else value
        return values

    def restart(self) -> None:
        for term in self.terms:
            term.restart()

    def _weighted(self, x: Tensor, term: Term) -> Tensor:
        if self.unit_gradients:
            return term.loss(unit_gradient(x, term.weight))
        return term.weight * term.loss(x)


def shown(image: Tensor, frame: Tensor, mask: Tensor) -> Tensor:
    """Show `frame` outside `mask`."""
    return frame + mask * (image - frame)


class _UnitGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        norm = torch.linalg.vector_norm(gradient).clamp_min(1e-12)
        return gradient * (ctx.weight / norm), None


def unit_gradient(x: Tensor, weight: float) -> Tensor:
    """Return `x`, its gradient scaled to the L2 norm `weight`."""
    return cast(Tensor, _UnitGradient.apply(x, weight))


def _mean_square(target: Tensor, mask: Tensor) -> Tensor:
    return losses.masked_mse(target, torch.zeros_like(target), mask).clamp_min(1e-12)
