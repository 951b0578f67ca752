"""Where the passes begin: the palette map, and over it the underpainting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonize.settings.resolve import PaletteGoal, SynthesisGoal
from harmonize.synthesis.image_ops import filters
from harmonize.synthesis.image_ops.crops import View
from harmonize.synthesis.image_ops.windows import Window
from harmonize.synthesis.matching.layer_matches import Match
from harmonize.synthesis.matching.painting_features import PaintingFeatures
from harmonize.synthesis.palette.edge_colors import extend_colors
from harmonize.synthesis.palette.palette_map import palette_map
from harmonize.synthesis.palette.reference import match_element, reference_of
from harmonize.synthesis.underpainting.feature_guides import feature_guides
from harmonize.synthesis.underpainting.patch_synthesis import Underpainting, layers_of, synthesize

CONTRAST = 2.0  # sigma in pixels: of the underpainting's lights and darks that come back
FINE = 2.0  # sigma in pixels: what is finer is drawing or brushwork
STRONG = 1.8  # times the painting's own fine contrast: half of what is drawn as strongly stays


@dataclass(frozen=True)
class Start:
    """What is known before the first pass. Pictures are sRGB [3, h, w] of the view's window.

    `mapped` is the palette map, `drawn` the same without detail weaker than the painting's own
    brushwork, `image` where the passes begin. `mask` [1, h, w] is the element, softly; `own`
    [1, h, w] where it keeps its hue. `strokes` says where in the painting pixels come from.
    """

    mapped: Tensor
    drawn: Tensor
    image: Tensor
    mask: Tensor
    own: Tensor
    strokes: Underpainting | None = None


def map_palette(view: View, features: PaintingFeatures, goal: PaletteGoal) -> tuple[Start, Match]:
    """Move the element's colors into the painting's."""
    cut = extend_colors(view.composite, view.tight, goal.edge)
    pasted = torch.lerp(view.frame, cut, view.tight)
    mask = soft_mask(view.tight, goal.soften) * view.loose
    matched = match_element(pasted, view.loose, features, goal)
    reference = reference_of(matched, features, goal)
    composite, frame = filters.to_lab(pasted), filters.to_lab(view.frame)
    mapped, own = palette_map(composite, frame, mask, reference, goal)
    image = filters.from_lab(mapped)
    return Start(image, image, image, mask, own), matched


def soft_mask(tight: Tensor, sigma: float) -> Tensor:
    """The element [1, h, w] with its edge softened by `sigma` pixels; thin parts stay whole.

    A blurred edge is a brush's; but what is thinner than the blur would become transparent.
    """
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
    """Rebuild the palette-mapped element from the painting's own patches.

    `on_scale` receives the picture at the window's size when a scale is done.
    """
    window, size = view.window, start.mapped.shape[1:]
    painting = filters.to_lab(view.painting.crop(Window(0, 0, *view.shape)))
    mapped, frame = filters.to_lab(start.mapped), filters.to_lab(view.frame)
    tap = next(iter(matched.fields))
    guides = feature_guides(matched, start.mapped, features, tap)
    corner = (window.top, window.left)
    known, wanted = layers_of(painting / 100, mapped / 100, guides, corner, start.mask, goal)

    def tell(image: Tensor) -> None:
        shown = filters.resize(image, size)
        on_scale(filters.from_lab(torch.lerp(frame, shown * 100, view.loose)))

    with torch.no_grad():
        strokes = synthesize(known, wanted, frame / 100, view.loose, goal, tell)
    outlines, drawn = _drawing(mapped, painting, start.mask)
    image = torch.lerp(mapped, strokes.image * 100, goal.amount)
    image = torch.cat((image[:1] + goal.drawing * outlines, image[1:]))
    return Start(
        start.mapped,
        filters.from_lab(drawn),
        filters.from_lab(image),
        start.mask,
        start.own,
        strokes,
    )


def _drawing(mapped: Tensor, painting: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The element's fine lights and darks that stand out from the painting's own brushwork.

    `mapped` [3, h, w] and `painting` [3, H, W] are Lab. What is as strong as the brushwork, a
    photograph's texture, gives way to it; outlines, spectacles, ironwork stay. Returns their luma
    [1, h, w], and `mapped` with no other detail.
    """
    brushwork = _fine(painting[:1])
    typical = filters.gaussian(brushwork.square(), 3.0).sqrt().median()
    detail = _fine(mapped[:1])
    strength = filters.gaussian(detail.square(), 1.5)
    share = strength / (strength + (STRONG * typical).square() + 1e-6)
    weak = (1 - share) * detail * mask
    return share * detail * mask, torch.cat((mapped[:1] - weak, mapped[1:]))


def _fine(luma: Tensor) -> Tensor:
    return luma - filters.gaussian(luma, FINE)


def fine_share(painting: Tensor) -> float:
    """The share of a painting's variance of luma that is finer than `FINE` pixels, 0 to 1.

    `painting` [3, H, W] is sRGB, about 700 pixels long. Hatching, engraving and thick impasto have
    0.37 to 0.55; other paintings 0.04 to 0.30.
    """
    luma = filters.to_lab(painting)[:1]
    soft = filters.gaussian(luma, FINE)
    return float((1 - soft.var() / luma.var().clamp_min(1e-6)).clamp(0, 1))


def bring_back_light(image: Tensor, start: Start, goal: PaletteGoal) -> Tensor:
    """`image` [3, h, w] with a share of the light and hue at large that it had before the passes.

    Their statistics make lights pale and even hues out. Light comes back from the palette map, hue
    from it where the element keeps its own and else from the underpainting; then a share of the
    underpainting's finer lights and darks.
    """
    now, mapped, painted = (filters.to_lab(x) for x in (image, start.mapped, start.image))
    hue = torch.lerp(painted[1:], mapped[1:], start.own)
    lost = filters.gaussian(torch.cat((mapped[:1], hue)) - now, goal.light_sigma)
    lit = now + goal.light * start.mask * lost
    weaker = filters.gaussian(painted[:1] - lit[:1], CONTRAST)
    return filters.from_lab(torch.cat((lit[:1] + goal.contrast * start.mask * weaker, lit[1:])))
