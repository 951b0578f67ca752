"""The terms of a pass: targets frozen before the loop, losses of an image in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from harmonize.settings.schema import Histogram
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.matching.layer_matches import Match, Site, gather
from harmonize.synthesis.network.vgg19 import VGG19
from harmonize.synthesis.optimization import losses
from harmonize.synthesis.optimization.histogram import RankTable, remap
from harmonize.synthesis.optimization.minimize import unit_gradient


@dataclass(frozen=True)
class Term:
    """One loss at one tap: activations [C, n] at the site's positions → a scalar.

    Without a tap it is a loss of the image [3, H, W] itself. `restart` forgets what the loss holds
    from call to call.
    """

    name: str
    tap: str | None
    weight: float
    loss: Callable[[Tensor], Tensor]
    restart: Callable[[], None] = lambda: None


def content_terms(
    taps: Sequence[str], weight: float, target: Mapping[str, Tensor], where: Mapping[str, Site]
) -> list[Term]:
    """Keep the activations that `target` has there (paper, equation 2)."""

    def term(tap: str) -> Term:
        wanted, mask = gather(target[tap], where[tap]), where[tap].mask
        power = _power(wanted, mask)
        return Term(
            "content",
            tap,
            weight / len(taps),
            lambda x: losses.masked_mse(x, wanted, mask) / power,
        )

    return [term(tap) for tap in taps]


def style_terms(taps: Sequence[str], weight: float, matched: Match, dedupe: bool) -> list[Term]:
    """Gram matrix of the matched style activations (paper, equations 3 and 4).

    With `dedupe` each place of the painting counts once, however many positions took it;
    otherwise the mapped activations are weighted like the positions that took them.
    """

    def term(tap: str) -> Term:
        mask, reference = matched.where[tap].mask, matched.references[tap]
        if dedupe:
            target = losses.gram(reference, torch.ones_like(reference[0]))
        else:
            target = losses.gram(reference[:, matched.uses[tap]], mask)
        power = target.square().mean()
        return Term(
            "style",
            tap,
            weight / len(taps),
            lambda x: losses.gram_distance(x, mask, target) / power,
        )

    return [term(tap) for tap in taps]


def histogram_terms(settings: Histogram, weight: float, matched: Match, refresh: int) -> list[Term]:
    """Distance to the activations remapped to the matched places' histogram (article).

    The remapped activations are renewed every `refresh` calls and held in between.
    """

    def term(tap: str) -> Term:
        site, reference = matched.where[tap], matched.references[tap]
        table = RankTable(
            reference,
            len(site.positions),
            bins=settings.bins,
            span=settings.range,
            exact=settings.exact,
        )
        power = _power(reference, torch.ones_like(reference[0]))
        held: list[Tensor] = []
        calls = count()

        def loss(x: Tensor) -> Tensor:
            if next(calls) % refresh == 0:
                held[:] = [remap(x.detach(), table)]
            return losses.masked_mse(x, held[0], site.mask) / power

        def restart() -> None:
            nonlocal calls
            calls = count()

        return Term("histogram", tap, weight / len(settings.taps), loss, restart)

    return [term(tap) for tap in settings.taps]


def variation_term(weight: float, painting: Raster, mask: Tensor) -> Term:
    """Total variation under `mask` [H, W], divided by that of the whole `painting`."""
    h, w = painting.shape
    # The mean of a band is that of all its rows; what counts is the sum.
    sums = [
        losses.total_variation(band, torch.ones_like(band[0])) * band[0].numel()
        for band in painting.bands()
    ]
    power = (torch.stack(sums).sum() / (h * w)).clamp_min(1e-6)
    return Term("tv", None, weight, lambda x: losses.total_variation(x, mask) / power)


@dataclass(frozen=True)
class PassObjective:
    """The weighted terms of an image.

    Every term of activations is divided by its target's own mean square, so that weights mean the
    same for any set of network weights and any painting. `frame` [3, H, W] shows where `mask`
    [H, W] is 0, whatever the image. `unit_gradients` is the authors' balance: weights
    are ratios of gradient norms, term by term and tap by tap, not of losses.
    """

    network: VGG19
    terms: Sequence[Term]
    where: Mapping[str, Site]
    frame: Tensor
    mask: Tensor
    unit_gradients: bool = False

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Terms by name, each the sum over its taps, for `image` [3, H, W].

        Weighted; with `unit_gradients` it is the gradients that are, and the values are the losses.
        """
        shown = self.frame + self.mask * (image - self.frame)
        taps = sorted({term.tap for term in self.terms if term.tap is not None})
        found: dict[str | None, Tensor] = {None: shown}
        if taps:
            features = self.network(shown[None], taps)
            found |= {tap: gather(features[tap], self.where[tap]) for tap in taps}
        values: dict[str, Tensor] = {}
        for term in self.terms:
            value = self._weighted(found[term.tap], term)
            values[term.name] = values[term.name] + value if term.name in values else value
        return values

    def restart(self) -> None:
        """Forget what is held from call to call: the next one is as the first was."""
        for term in self.terms:
            term.restart()

    def _weighted(self, x: Tensor, term: Term) -> Tensor:
        if self.unit_gradients:
            return term.loss(unit_gradient(x, term.weight))
        return term.weight * term.loss(x)


def _power(target: Tensor, mask: Tensor) -> Tensor:
    """Mean square of `target` [C, n] under `mask` [n]."""
    return losses.masked_mse(target, torch.zeros_like(target), mask).clamp_min(1e-12)
