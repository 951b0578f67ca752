"""Move the element's Lab colors into the painting's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.settings.goals import PaletteGoal
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.palette.reference import BROAD, PaletteReference
from harmonize.synthesis.palette.silhouette import keep_contour, keep_silhouette

RIDGE = 4.0  # Lab squared, added to variances: a gray thing's hues are noise, not to be stretched
KNOTS, SMOOTH = 101, 9  # of the quantile map: its points, and over how many of them it is averaged
SPREAD = 7.0  # Lab: sigma of the pull that a color of the painting has
LUMA_SHARE = 0.5  # how much a difference of luma counts in the projection
COMMON = 0.35  # 1: colors pull as often as they occur; 0: rare ones as much as common ones
CELL, GRID = 4, 1024  # Lab: side of a cell of colors that are projected alike; cells each way
NOISE = 2e-3  # share of the painting below which a color is noise
TAIL = 0.003  # share of lights, and of darks, left out of a picture's range
LEAST_LUMA_RANGE = 40.0  # L: a blank painting must not take all lights and darks from the element
KNEE = 0.2  # share of the painting's range into which lights, or darks, beyond it go
CONTRAST, MOST_GAIN = 0.75, 1.6  # share of the element's contrast of luma that stays
LIGHTS = 0.7  # share of a darkening that is done
WHITE, WHITER = 60.0, 85.0  # L: from the one on, things are white; from the other, fully
WHITE_STAYS = 0.8  # share of its darkening that a white thing is spared
LIGHTEST, TINT = 0.99, 0.6  # quantile of the painting's luma; share of its hue that white takes
GRAY = 0.1  # hue that a gray thing keeps, as a share of what a colored one keeps
DARK, BLACK = 60.0, 0.8  # L; share of the hue of the painting's darks: painters have no black
AS_DARK = 5.0  # L: sigma of what counts as as dark
MIDDLE, PALE = 45.0, 85.0  # L: up to the one hues are strengthened fully, from the other not at all
STRONGER = 2.0  # the most that they are strengthened


def palette_map(
    composite: Tensor,
    frame: Tensor,
    mask: Tensor,
    reference: PaletteReference,
    goal: PaletteGoal,
) -> tuple[Tensor, Tensor]:
    """Return the pasted picture in the painting's palette, and its share of own hue."""
    element = mask[0] > 0.5
    if not bool(element.any()):
        element = mask[0] > 0
    if not bool(element.any()):
        return frame, torch.zeros_like(mask)
    luma = _luma(composite[:1], element, reference, goal)
    own = own_hue(composite, reference.sure, goal)
    chroma = _chroma(composite, luma, element, reference, own, goal)
    chroma = chroma + painted_black(luma, chroma, own, reference.sample)
    white = whiteness(composite[:1]) * (1 - own).square()
    chroma = chroma + white * painted_white(luma, chroma, reference.sample)
    mapped = torch.cat((luma, chroma))
    mapped = keep_silhouette(mapped, composite, frame, element, goal.silhouette)
    mapped = keep_contour(mapped, composite, frame, element, goal.silhouette)
    return torch.lerp(frame, mapped, mask), own


def _luma(
    before: Tensor, element: Tensor, reference: PaletteReference, goal: PaletteGoal
) -> Tensor:
    source, painting = before[0, element], reference.sample[0]
    moved = quantile_map(before, source, reference.matched[0]) - before
    darker = LIGHTS * (1 - WHITE_STAYS * whiteness(before))
    luma = before + goal.luma * torch.where(moved < 0, darker * moved, moved)
    luma = keep_contrast(luma, source, element, painting)
    # Broad planes are no blacker or whiter than the painting's; details may be.
    planes = filters.gaussian_inside(luma, element[None].float(), BROAD)
    luma = luma + element * (fit_range(planes, element, reference.planes) - planes)
    return fit_range(luma, element, painting)


def _chroma(
    composite: Tensor,
    luma: Tensor,
    element: Tensor,
    reference: PaletteReference,
    own: Tensor,
    goal: PaletteGoal,
) -> Tensor:
    guide = filters.from_lab(composite)
    linear = linear_map(composite[1:], composite[1:, element], reference.matched[1:])
    strength = with_strength(reference.matched[1:])[2].mean()
    linear = torch.cat((linear, strength.expand_as(linear[:1])))
    near = filters.guided(with_strength(reference.near[1:]) / 100, guide, 16, 0.003) * 100
    like_places = with_strength(strengthened(torch.lerp(linear, near, goal.places), luma))
    rarity = rarity_of(reference.sample)

    def drawn_in(hue: Tensor) -> Tensor:
        projected = project(torch.cat((luma, hue)), reference.sample, rarity)[1:]
        return with_strength(filters.guided(projected / 100, guide, 4, 0.001) * 100)

    if goal.settle > 0:  # no cold whites: what the painting has at that lightness
        like_places = torch.lerp(like_places, drawn_in(like_places[:2]), goal.settle)
    # Beyond the middle of the knob, the element's own hues come back over the painting's.
    beyond = max(0.0, 2 * goal.keep_color - 1)
    chroma = strengthened(torch.lerp(like_places, drawn_in(composite[1:]), own), luma)
    least, most = lab_span(reference.sample)
    return torch.lerp(chroma.clamp(least, most), composite[1:], beyond)


def painted_black(luma: Tensor, chroma: Tensor, own: Tensor, sample: Tensor) -> Tensor:
    """Return what dark grays take of the painting's darks' hue, [2, H, W].

    `BLACK` of it at black, none from `DARK` on or where `own` is 1.
    """
    share = BLACK * (1 - luma / DARK).clamp(0, 1) * (1 - own).square()
    return share * (hue_at(luma, sample) - chroma)


def painted_white(luma: Tensor, chroma: Tensor, sample: Tensor) -> Tensor:
    """Return what white things take of the hue of the painting's lightest, [2, H, W]."""
    lightest = torch.quantile(sample[0], LIGHTEST)
    return TINT * (hue_at(torch.maximum(luma, lightest), sample) - chroma)


def whiteness(luma: Tensor) -> Tensor:
    """Return how far light grays are white, 0 to 1."""
    return ((luma - WHITE) / (WHITER - WHITE)).clamp(0, 1)


def hue_at(luma: Tensor, sample: Tensor) -> Tensor:
    """Return the mean a and b of `sample` near each lightness of `luma` [1, H, W]."""
    knots = torch.linspace(0, 100, 51, device=luma.device)
    near = torch.exp(-((knots[:, None] - sample[0]) / AS_DARK).square() / 2) + 1e-6
    means = (near @ with_strength(sample[1:]).T) / near.sum(1, keepdim=True)
    at = (luma[0] / 2).clamp(0, 50)
    below = at.floor().clamp(max=49).long()
    found = torch.lerp(means[below], means[below + 1], (at - below)[..., None])
    return strengthened(found.permute(2, 0, 1), luma)


def with_strength(chroma: Tensor) -> Tensor:
    """Append the distance from gray to a and b."""
    # Its averages say what averages of hues lost.
    return torch.cat((chroma, chroma.norm(dim=0, keepdim=True)))


def strengthened(averaged: Tensor, luma: Tensor) -> Tensor:
    """Return a and b as strong as what was averaged [3, H, W]: mixed hues are gray."""
    had = averaged[:2].norm(dim=0, keepdim=True).clamp_min(1e-3)
    share = ((PALE - luma) / (PALE - MIDDLE)).clamp(0, 1)
    found: Tensor = averaged[:2] * (averaged[2:] / had).clamp(1, STRONGER).pow(share)
    return found


def own_hue(composite: Tensor, sure: Tensor, goal: PaletteGoal) -> Tensor:
    """Return how much of its hue each pixel keeps, 0 to 1."""
    chroma = filters.gaussian(composite[1:], 2).norm(dim=0, keepdim=True)
    colored = torch.sigmoid((chroma - 18) / 4)
    kept = goal.own * (GRAY + (1 - GRAY) * colored) * (1 - sure)
    if goal.keep_color <= 0.5:
        return kept * 2 * goal.keep_color
    return torch.lerp(kept, torch.ones_like(kept), 2 * goal.keep_color - 1)


def lab_span(sample: Tensor) -> tuple[Tensor, Tensor]:
    """Return the limits of a and b without 0.1 % at either end."""
    ordered = sample[1:].sort(1).values
    edge = ordered.shape[1] // 1000
    return ordered[:, edge, None, None], ordered[:, -1 - edge, None, None]


def linear_map(image: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Move hues by the linear map from `source` to `target` that moves them least.

    Pitié and Kokaram (2007): A = Σx^-½ (Σx^½ Σy Σx^½)^½ Σx^-½, with `RIDGE` on both covariances.
    """
    before, after = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    root = _matrix_power(_covariance(source - before), 0.5)
    inverse = _matrix_power(_covariance(source - before), -0.5)
    matrix = inverse @ _matrix_power(root @ _covariance(target - after) @ root, 0.5) @ inverse
    return (matrix @ (image.flatten(1) - before) + after).view_as(image)


def _covariance(centered: Tensor) -> Tensor:
    identity = torch.eye(len(centered), device=centered.device)
    return centered @ centered.T / centered.shape[1] + RIDGE * identity


def _matrix_power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    powered: Tensor = vectors @ torch.diag(values.clamp_min(1e-8).pow(exponent)) @ vectors.T
    return powered


def quantile_map(values: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Carry values from the quantiles of `source` to those of `target`."""
    shares = torch.linspace(0, 1, KNOTS, device=values.device)
    x, y = (_smooth(torch.quantile(_thinned(v), shares)) for v in (source, target))
    flat = values.flatten().contiguous()
    above = torch.searchsorted(x.contiguous(), flat).clamp(1, KNOTS - 1)
    step = (x[above] - x[above - 1]).clamp_min(1e-3)
    share = ((flat - x[above - 1]) / step).clamp(0, 1)
    return torch.lerp(y[above - 1], y[above], share).view_as(values)


def _thinned(values: Tensor, most: int = 100_000) -> Tensor:
    return values[:: max(1, -(-len(values) // most))]


def _smooth(knots: Tensor) -> Tensor:
    padded = F.pad(knots[None, None], (SMOOTH // 2,) * 2, mode="replicate")
    return F.avg_pool1d(padded, SMOOTH, 1)[0, 0]


def rarity_of(sample: Tensor) -> Tensor:
    """Return the log of density^-(1 − `COMMON`), density being Σ exp(−(d / `SPREAD`)² / 2)."""
    known = _as_rows(sample)
    density = torch.cat(
        [
            torch.exp(-torch.cdist(part, known).square() / (2 * SPREAD**2)).sum(1)
            for part in known.split(1024)
        ]
    )
    return -(1 - COMMON) * (density + len(known) * NOISE).log()


def project(image: Tensor, sample: Tensor, rarity: Tensor) -> Tensor:
    """Draw colors to the mean of `sample`, weighted exp(`rarity` − (d / `SPREAD`)² / 2)."""
    known, colors = _as_rows(sample), sample.T.contiguous()
    # -d² / 2 but for what is the same for the whole sample.
    shares = rarity - known.square().sum(1) / (2 * SPREAD**2)
    cells, where = _color_cells(image)
    drawn = []
    for part in _as_rows(cells.T).split(2048):
        pull = torch.addmm(shares, part, known.T, alpha=1 / SPREAD**2)
        drawn.append(torch.softmax(pull, 1) @ colors)
    found: Tensor = torch.cat(drawn)[where].T.reshape(image.shape)
    return found


def _as_rows(colors: Tensor) -> Tensor:
    return colors.T * colors.new_tensor([LUMA_SHARE, 1.0, 1.0])


def _color_cells(image: Tensor) -> tuple[Tensor, Tensor]:
    luma, a, b = (image.flatten(1) / CELL).round().long() + GRID // 2
    # One number a color: sorted sooner than three.
    found, where = torch.unique((luma * GRID + a) * GRID + b, return_inverse=True)
    parts = (found // GRID**2, found // GRID % GRID, found % GRID)
    return CELL * (torch.stack(parts, 1) - GRID // 2).to(image.dtype), where


def keep_contrast(luma: Tensor, source: Tensor, element: Tensor, painting: Tensor) -> Tensor:
    """Spread `luma` until the element keeps `CONTRAST` of its standard deviation."""
    inside = luma[0, element]
    middle, spread = inside.mean(), inside.std(correction=0).clamp_min(1e-3)
    gain = (CONTRAST * source.std(correction=0) / spread).clamp(1, MOST_GAIN)
    shares = luma.new_tensor([0.005, 0.995])
    dark, light = torch.quantile(painting, shares)
    wider = (middle + gain * (luma - middle)).clamp(
        min(dark, inside.min()), max(light, inside.max())
    )
    return torch.where(gain > 1, wider, luma)


def fit_range(luma: Tensor, element: Tensor, painting: Tensor) -> Tensor:
    """Draw in the element's lights and darks beyond the painting's."""
    dark, light = _ends(_thinned(luma[0, element]), 10 * TAIL)
    darkest, lightest = _ends(painting, TAIL)
    spare = (LEAST_LUMA_RANGE - (lightest - darkest)).clamp_min(0) / 2
    darkest, lightest = darkest - spare, lightest + spare
    room = KNEE * (lightest - darkest)
    for end, reached, side in ((lightest, light, 1), (darkest, dark, -1)):
        knee = end - side * room
        scale = (room / (side * (reached - knee)).clamp_min(1e-3)).clamp(max=1)
        luma = knee + side * _bent(side * (luma - knee), scale)
    return luma


def _ends(values: Tensor, tail: float) -> tuple[Tensor, Tensor]:
    dark, light = torch.quantile(values, values.new_tensor([tail, 1 - tail]))
    return dark, light


def _bent(values: Tensor, scale: Tensor) -> Tensor:
    return values.clamp(max=0) + scale * values.clamp(min=0)
