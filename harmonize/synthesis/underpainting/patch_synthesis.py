"""Rebuild the palette-mapped element from the painting's patches.

Coarse to fine, the nearest patches are averaged, after Hertzmann (2001), Kwatra (2005), Fišer
(2016), Jamriška (2019) and Texler (2020) et al. Colors are Lab / 100.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.settings.goals import SynthesisGoal
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.crops import StrokePlaces
from harmonize.synthesis.underpainting.patch_search import (
    Describer,
    Places,
    Positions,
    continued,
    doubled,
    improve,
)

EXACT = 2.5e8  # positions times places up to which every place is looked at
SPARSE = 1 << 13  # places that every position is compared with, where all are too many
FAIR = 0.005  # cost, as a share of the patch's area, of a place used once more than its share
PARTS = (24, 16)  # numbers that tell patches of colors, and of tones, apart
CROWDED = 50.0  # times its share: beyond, a place costs no more
COPIED_SIGMA = 2.0  # sigma in pixels: finer detail is copied, not averaged
LUCK = 0.004  # cost, as a share of the patch's area, of the places that a seed likes least
SHARE = 0.02  # of a pixel that must be in the mask at a coarser scale


@dataclass(frozen=True)
class Layers:
    """What is compared: colors, guide tones, features."""

    colors: Tensor
    tones: Tensor
    features: Tensor

    def shrunk(self, factor: int) -> Layers:
        return Layers(*(shrunk(x, factor) for x in (self.colors, self.tones, self.features)))


@dataclass(frozen=True)
class Rebuilt:
    """The rebuilt picture, and where its pixels came from."""

    image: Tensor
    field: Tensor
    positions: Positions
    shape: tuple[int, int]

    @property
    def origin(self) -> StrokePlaces:
        return StrokePlaces(self.positions.at, self.field)


def guide_layers(
    painting: Tensor,
    mapped: Tensor,
    features: tuple[Tensor, Tensor],
    corner: tuple[int, int],
    mask: Tensor,
    goal: SynthesisGoal,
) -> tuple[Layers, Layers]:
    """Return the painting's layers, and the element's wanted ones, alike outside the mask."""
    weights = mapped.new_tensor([goal.luma, goal.chroma, goal.chroma]).sqrt()
    weights = weights.view(3, 1, 1)
    tones = blurred(painting, goal.painting_blur) * weights
    (top, left), (h, w) = corner, mapped.shape[1:]
    around = tones[:, top : top + h, left : left + w]
    wanted = torch.lerp(around, blurred(mapped, goal.element_blur) * weights, mask)
    scale = (goal.features / max(1, len(features[0]))) ** 0.5
    return (
        Layers(painting, tones, features[0] * scale),
        Layers(mapped, wanted, features[1] * scale),
    )


def synthesize(
    known: Layers,
    wanted: Layers,
    frame: Tensor,
    mask: Tensor,
    goal: SynthesisGoal,
    on_scale: Callable[[Tensor], None] = lambda image: None,
) -> Rebuilt:
    """Rebuild `wanted` from patches of `known` where `mask` is above 0."""
    found: Rebuilt | None = None
    luck = luck_of(goal.seed, shrunk(known.colors, 2 ** (len(goal.steps) - 1)))
    for level in reversed(range(len(goal.steps))):
        factor = 2**level
        scale = _Scale(
            known.shrunk(factor),
            wanted.shrunk(factor),
            shrunk(frame, factor),
            covered(mask, factor),
            goal,
            luck,
        )
        found = scale.paint(found, goal.steps[level])
        on_scale(found.image)
    assert found is not None
    return sharpened(found, known.colors, mask)


def sharpened(found: Rebuilt, painting: Tensor, mask: Tensor) -> Rebuilt:
    """Add the fine detail of places, where neighbors have neighboring places."""
    copied = found.image.flatten(1).clone()
    copied[:, found.positions.at] = painting.flatten(1)[:, found.field]
    lost = copied.view_as(found.image) - found.image
    whole = torch.zeros_like(found.image[:1]).flatten()
    whole[found.positions.at] = continued(found.positions, found.field, found.shape)
    share = filters.gaussian(whole.view_as(found.image[:1]), COPIED_SIGMA)
    fine = share * (lost - filters.gaussian(lost, COPIED_SIGMA))
    least, most = painting.flatten(1).aminmax(dim=1)
    sharp = (found.image + fine).clamp(least.view(3, 1, 1), most.view(3, 1, 1))
    return replace(found, image=torch.where(covered(mask, 1), sharp, found.image))


class _Scale:
    def __init__(
        self,
        known: Layers,
        wanted: Layers,
        frame: Tensor,
        mask: Tensor,
        goal: SynthesisGoal,
        luck: Tensor,
    ) -> None:
        self.known, self.wanted, self.frame, self.mask = known, wanted, frame, mask
        self.goal, self.size = goal, goal.patch
        self.describe = Describer.of(known.colors, known.tones, self.size, PARTS)
        rows = self.describe(known.colors, known.tones, known.features)
        self.places = Places.of(rows, known.colors.shape[1:])
        grown = F.max_pool2d(mask[None, None].float(), self.size, 1, self.size // 2)[0, 0] > 0
        self.positions = Positions.of(grown)
        self.pixels = known.colors.flatten(1).T.contiguous()
        dislike = filters.resize(luck, self.places.shape).flatten()
        self.dislike = LUCK * self.size**2 * dislike

    def paint(self, coarser: Rebuilt | None, steps: int) -> Rebuilt:
        image, field = self._start(coarser)
        bias = self.dislike
        for step in range(steps):
            first = step == 0 and coarser is not None
            places = self._soft_places() if first else self.places
            rows = self._rows(image)
            field = self._search(places, rows, field, bias, first=step == 0)
            bias = self.dislike + self._crowding(field)
            image = self._vote(image, field, self._weight(places, rows, field))
        if field is None:  # no steps: the coarser picture, and its places
            field = torch.zeros_like(self.positions.at)
        return Rebuilt(image, field, self.positions, self.places.shape)

    def _soft_places(self) -> Places:
        # Blurred as enlarging does it: sharp, only flat patches would match.
        colors = shrunk(self.known.colors, 2)
        colors = F.interpolate(
            colors[None], size=self.places.shape, mode="bicubic", align_corners=False
        )[0]
        return Places.of(self.describe.recolored(self.places.rows, colors), self.places.shape)

    def _start(self, coarser: Rebuilt | None) -> tuple[Tensor, Tensor | None]:
        if coarser is None:
            return torch.where(self.mask, self.wanted.colors, self.frame), None
        larger = F.interpolate(
            coarser.image[None], size=self.mask.shape, mode="bicubic", align_corners=False
        )[0]
        field, there = doubled(
            coarser.field, coarser.positions, coarser.shape, self.positions, self.places.shape
        )
        return torch.where(self.mask, larger, self.frame), torch.where(there, field, 0)

    def _rows(self, image: Tensor) -> Tensor:
        rows = self.describe(image, self.wanted.tones, self.wanted.features)
        return rows[self.positions.at]

    def _search(
        self, places: Places, rows: Tensor, field: Tensor | None, bias: Tensor, first: bool
    ) -> Tensor:
        everywhere = len(rows) * len(self.pixels) <= EXACT
        if field is None or (first and everywhere):
            field = places.exact(rows, bias)
        elif first and len(rows) * SPARSE <= EXACT:
            step = max(1, round((len(self.pixels) / SPARSE) ** 0.5))
            sparse = places.exact(rows, bias, step)
            better = places.cost(rows, sparse, bias) < places.cost(rows, field, bias)
            field = torch.where(better, sparse, field)
        apart = (rows - places.rows[field]).square().sum(1)
        coherence = self.goal.coherence * float(apart.median()) / 2
        for reach in (2, 1, 1):
            field = improve(
                places, rows, field, self.positions, bias, reach=reach, coherence=coherence
            )
        return field

    def _crowding(self, field: Tensor) -> Tensor:
        uses = torch.bincount(field, minlength=len(self.pixels)).float()
        covered = F.avg_pool2d(
            uses.view(1, 1, *self.places.shape),
            self.size,
            1,
            self.size // 2,
            count_include_pad=False,
        )
        share = (covered.flatten() / uses.mean().clamp_min(1e-9)).clamp(max=CROWDED)
        return self.goal.variety * FAIR * 2 * self.size**2 * share

    def _weight(self, places: Places, rows: Tensor, field: Tensor) -> Tensor:
        apart = (rows - places.rows[field]).square().sum(1)
        step = max(1, len(apart) // 5000)
        typical = torch.quantile(apart[::step], 0.75).clamp_min(1e-6) / self.goal.sharpness
        return torch.exp(-apart / typical / 2) + 1e-6

    def _vote(self, image: Tensor, field: Tensor, weight: Tensor) -> Tensor:
        height, width = self.places.shape
        half = self.size // 2
        total = torch.zeros(len(field), 3, device=image.device)
        mass = torch.zeros(len(field), 1, device=image.device)
        row, column = field // width, field % width
        for dy in range(-half, half + 1):
            for dx in range(-half, half + 1):
                number, there = self.positions.beside(dy, dx)
                y, x = row[number] - dy, column[number] - dx
                inside = there & (y >= 0) & (y < height) & (x >= 0) & (x < width)
                share = (weight[number] * inside)[:, None]
                place = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
                total += share * self.pixels[place]
                mass += share
        painted = image.flatten(1).clone()
        painted[:, self.positions.at] = (total / mass.clamp_min(1e-9)).T
        return torch.where(self.mask, painted.view_as(image), self.frame)


def luck_of(seed: int, painting: Tensor) -> Tensor:
    """Return each place's random cost, 0 to 1; 0 for `seed` 0."""
    shape = (1, *painting.shape[1:])
    if seed == 0:
        return torch.zeros(shape, device=painting.device)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).to(painting.device)


def covered(mask: Tensor, factor: int) -> Tensor:
    """Return where the mask counts at 1/`factor` of its size."""
    small = shrunk(mask[None], factor)[0] > (SHARE if factor > 1 else 0)
    if bool(small.any()):
        return small
    return F.adaptive_max_pool2d(mask[None], small.shape)[0] > 0


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Blur by `sigma` pixels, if any."""
    return filters.gaussian(image, sigma) if sigma > 0 else image


def shrunk(image: Tensor, factor: int) -> Tensor:
    """Return `image` at 1/`factor` of its size."""
    h, w = image.shape[1:]
    return filters.resize(image, (max(1, round(h / factor)), max(1, round(w / factor))))
