"""Where the passes begin: the element brushed, recolored and underpainted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.settings.goals import BrushGoal, PaletteGoal, SynthesisGoal
from harmonize.synthesis.brushwork.brush import brushed
from harmonize.synthesis.brushwork.drawing import outlined, without_texture
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.crops import View
from harmonize.synthesis.image_ops.windows import Window
from harmonize.synthesis.matching.layer_matches import Match
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.palette.edge_colors import extend_colors
from harmonize.synthesis.palette.palette_map import palette_map
from harmonize.synthesis.palette.reference import match_element, reference_of
from harmonize.synthesis.palette.silhouette import keep_contour
from harmonize.synthesis.underpainting.feature_guides import feature_guides
from harmonize.synthesis.underpainting.patch_synthesis import Rebuilt, guide_layers, synthesize

STRAYED = 12.0  # sigma in pixels: patches of a wrong hue, which an eye would see as a stain


@dataclass(frozen=True)
class Start:
    """What is known before the first pass."""

    pasted: Tensor
    mapped: Tensor  # the palette map
    drawn: Tensor  # the palette map without texture
    image: Tensor  # where passes begin
    mask: Tensor
    own: Tensor  # 1 where the element's own hue stays
    strokes: Rebuilt | None = None


def map_palette(
    view: View, features: PaintingFeatures, goal: PaletteGoal, brush: BrushGoal | None = None
) -> tuple[Start, Match]:
    """Lay the element in with the `brush` and move its colors into the painting's."""
    cut = extend_colors(view.composite, view.tight, goal.edge)
    pasted = torch.lerp(view.frame, cut, view.tight)
    mask = soft_mask(view.tight, goal.soften) * view.loose
    if brush is not None:
        painting = view.painting.crop(Window(0, 0, *view.shape))
        pasted = brushed(pasted, view.frame, painting, mask, brush)
    matched = match_element(pasted, view.loose, features, goal)
    reference = reference_of(matched, features, goal)
    composite, frame = filters.to_lab(pasted), filters.to_lab(view.frame)
    mapped, own = palette_map(composite, frame, mask, reference, goal)
    image = filters.from_lab(mapped)
    return Start(pasted, image, image, image, mask, own), matched


def soft_mask(tight: Tensor, sigma: float) -> Tensor:
    """Blur the element's edge, but where that would make it transparent."""
    if not sigma:
        return tight[None]
    width = 2 * ceil(2 * sigma) + 1
    eroded = -F.max_pool2d(-tight[None], width, 1, width // 2)
    opened = F.max_pool2d(eroded, width + 2, 1, width // 2 + 1)
    return torch.lerp(tight[None], filters.gaussian(tight[None], sigma), opened)


def underpaint(
    start: Start,
    view: View,
    matched: Match,
    features: PaintingFeatures,
    goal: SynthesisGoal,
    on_scale: Callable[[Tensor], None] = lambda image: None,
) -> Start:
    """Rebuild the palette-mapped element from the painting's patches."""
    window, size = view.window, start.mapped.shape[1:]
    painting = filters.to_lab(view.painting.crop(Window(0, 0, *view.shape)))
    mapped, frame = filters.to_lab(start.mapped), filters.to_lab(view.frame)
    tap = next(iter(matched.fields))
    guides = feature_guides(matched, start.mapped, features, tap)
    corner = (window.top, window.left)
    known, wanted = guide_layers(painting / 100, mapped / 100, guides, corner, start.mask, goal)

    def tell(image: Tensor) -> None:
        shown = filters.resize(image, size)
        on_scale(filters.from_lab(torch.lerp(frame, shown * 100, view.loose)))

    with torch.no_grad():
        strokes = synthesize(known, wanted, frame / 100, view.loose, goal, tell)
    image = torch.lerp(mapped, strokes.image * 100, goal.amount)
    image = outlined(image, mapped, painting, goal.drawing * start.mask, goal.texture)
    drawn = without_texture(mapped, painting, start.mask)
    return replace(
        start, drawn=filters.from_lab(drawn), image=filters.from_lab(image), strokes=strokes
    )


def bring_back_outlines(
    image: Tensor, start: Start, painting: Tensor, goal: SynthesisGoal
) -> Tensor:
    """Give `image` back the outlines that the passes took."""
    now, mapped, known = (filters.to_lab(x) for x in (image, start.mapped, painting))
    share = goal.broad * goal.drawing * start.mask
    return filters.from_lab(outlined(now, mapped, known, share, goal.texture))


def bring_back_light(image: Tensor, start: Start, goal: PaletteGoal) -> Tensor:
    """Bring back a share of the broad light, shade and hue from before the passes."""
    # Light and shade are the palette map's; so is hue where `own` is 1, else the underpainting's.
    now, mapped, painted = (filters.to_lab(x) for x in (image, start.mapped, start.image))
    strayed = filters.gaussian_inside(mapped[1:] - painted[1:], start.mask, STRAYED)
    hue = torch.lerp(painted[1:] + start.mask * strayed, mapped[1:], start.own)
    lost = filters.gaussian(torch.cat((mapped[:1], hue)) - now, goal.light_sigma)
    light = torch.where(lost[:1] > 0, goal.light, goal.shade)
    share = torch.cat((light, torch.full_like(lost[1:], goal.hue)))
    return filters.from_lab(now + share * start.mask * lost)


def bring_back_contour(image: Tensor, frame: Tensor, start: Start, goal: PaletteGoal) -> Tensor:
    """Tell the element's edge from `frame`, the painting there, where the passes blurred it."""
    now, pasted, around = (filters.to_lab(x) for x in (image, start.pasted, frame))
    return filters.from_lab(keep_contour(now, pasted, around, start.mask[0] > 0.5, goal.silhouette))
