"""Settings at a style level, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from harmonize.settings.goals import (
    BrushGoal,
    ContentGoal,
    Goals,
    HistogramGoal,
    Matching,
    Method,
    Overlay,
    PaletteGoal,
    Resolved,
    ResolvedPass,
    StyleGoal,
    SynthesisGoal,
    VariationGoal,
)

if TYPE_CHECKING:
    from harmonize.settings.load import Settings
    from harmonize.settings.schema import Field, Pass, Strokes, Terms


def resolve_settings(
    settings: Settings, level: float, fine: float = 0.0, own_level: float | None = None
) -> Resolved:
    """Return the numbers at a style level, 1 to 10, and the passes with steps.

    `fine` is the fine share of the painting's variance of color. The palette follows the
    painting's `own_level`, whatever strength is asked for; None: it is `level`.
    """
    own_level = level if own_level is None else own_level
    underpainting = _underpainting(settings, level, own_level, fine)
    lead = underpainting.lead if underpainting else 0.0
    passes = [_pass(name, part, level, settings.keep) for name, part in settings.passes.items()]
    return Resolved(
        level=level,
        keep=settings.keep,
        margin=settings.margin if settings.region == "patch" else None,
        tile=settings.tile,
        brushwork=_brushwork(settings, level, underpainting.broad if underpainting else 0.0),
        palette=_palette(settings, own_level),
        underpainting=underpainting if underpainting and underpainting.broad else None,
        passes=tuple(item for item in _led(passes, lead) if item.method.steps),
    )


def _led(passes: list[ResolvedPass], lead: float) -> list[ResolvedPass]:
    """Fade passes before the first from the underpainting, gone at `lead` 1; lengthen others."""
    starts = [item.start for item in passes]
    if "underpainting" not in starts:
        return passes
    first = starts.index("underpainting")
    earlier = [_fainter(item, 1 - lead) for item in passes[:first]] if lead < 1 else []
    return earlier + [_shorter(item, lead) for item in passes[first:]]


def _fainter(item: ResolvedPass, share: float) -> ResolvedPass:
    if item.strokes is None:
        return item
    amount, underpainting = share * item.strokes.amount, share * item.strokes.underpainting
    return replace(item, strokes=Overlay(amount, underpainting, item.strokes.sigma))


def _shorter(item: ResolvedPass, share: float) -> ResolvedPass:
    return replace(item, method=replace(item.method, steps=round(item.method.steps * share)))


def _brushwork(settings: Settings, level: float, broad: float) -> BrushGoal | None:
    part, share = settings.brushwork, broad / max(1.0, settings.keep)
    if part is None:
        return None
    planes = min(1.0, at_level(part.planes, level) * share)
    strokes = at_level(part.strokes, level) * share
    if not planes and not strokes:
        return None
    return BrushGoal(planes, part.radius, strokes, settings.seed)


def _palette(settings: Settings, level: float) -> PaletteGoal | None:
    part = settings.palette
    if part is None:
        return None
    return PaletteGoal(
        matching=_matching(part.field, level),
        luma=min(1.0, at_level(part.luma, level)),
        places=part.places,
        own=min(1.0, at_level(part.own, level)),
        settle=min(1.0, at_level(part.settle, level)),
        sure=at_level(part.sure, level),
        keep_color=settings.keep_color,
        silhouette=part.silhouette,
        edge=part.edge,
        soften=part.soften,
        light=part.light,
        shade=at_level(part.shade, level),
        hue=part.hue,
        light_sigma=part.light_sigma,
    )


def _underpainting(
    settings: Settings, level: float, own_level: float, fine: float
) -> SynthesisGoal | None:
    part, keep = settings.underpainting, settings.keep
    if part is None:
        return None
    broad = 1 - min(1.0, max(0.0, (fine - part.fine[0]) / (part.fine[1] - part.fine[0])))
    return SynthesisGoal(
        luma=at_level(part.luma, level) * keep,
        chroma=at_level(part.chroma, level) * keep,
        features=at_level(part.features, level) * keep,
        painting_blur=at_level(part.painting_blur, level),
        element_blur=at_level(part.element_blur, level),
        patch=part.patch,
        steps=part.steps,
        variety=part.variety,
        sharpness=part.sharpness,
        coherence=part.coherence,
        amount=min(1.0, _share_of(part.amount, level, own_level) / max(1.0, keep**0.5)),
        drawing=min(1.0, at_level(part.drawing, level) * keep**0.5),
        texture=min(1.0, at_level(part.texture, level)),
        lead=min(1.0, at_level(part.lead, level)) * broad,
        broad=broad,
        seed=settings.seed,
    )


def _share_of(table: float | Mapping[float, float], level: float, own_level: float) -> float:
    # Weaker than the painting is: less of it.
    return at_level(table, max(level, own_level)) * min(1.0, level / own_level)


def at_level(value: float | Mapping[float, float], level: float) -> float:
    """Return a number at a style level; tables are interpolated, constant beyond their ends."""
    if not isinstance(value, Mapping):
        return float(value)
    below = max((key for key in value if key <= level), default=min(value))
    above = min((key for key in value if key >= level), default=max(value))
    if above <= below:
        return float(value[below if below == above or level > above else above])
    share = (level - below) / (above - below)
    return float(value[below] + share * (value[above] - value[below]))


def _pass(name: str, settings: Pass, level: float, keep: float) -> ResolvedPass:
    method = Method(
        steps=round(at_level(settings.steps, level)),
        variables=settings.variables,
        levels=settings.levels,
        frozen=settings.chroma_frozen,
        optimizer=settings.optimizer,
        rate=at_level(settings.rate, level),
        rates=settings.rates,
    )
    return ResolvedPass(
        name=name,
        scale=settings.scale,
        start=settings.start,
        match=settings.match,
        method=method,
        balance=settings.balance,
        refresh=settings.refresh,
        matching=_matching(settings.field, level),
        strokes=_overlay(settings.strokes, level, keep),
        goals=_goals(settings.terms, level, keep),
    )


def _matching(settings: Field, level: float) -> Matching:
    luma, chroma = (at_level(w, level) for w in (settings.guide_luma, settings.guide_chroma))
    return Matching(settings.kind, settings.taps, luma, chroma)


def _overlay(settings: Strokes | None, level: float, keep: float) -> Overlay | None:
    if settings is None:
        return None
    shares = (at_level(share, level) for share in (settings.amount, settings.underpainting))
    amount, underpainting = (share / max(1.0, keep) for share in shares)
    return Overlay(amount, underpainting, settings.sigma)


def _goals(terms: Terms, level: float, keep: float) -> Goals:
    found = Goals()
    if content := terms.content:
        weight = keep * at_level(content.weight, level)
        found = replace(found, content=ContentGoal(weight, content.taps, content.target))
    if style := terms.style:
        found = replace(found, style=StyleGoal(at_level(style.weight, level) / keep, style.taps))
    if part := terms.histogram:
        fixed = _fixed(part.weight, level)
        goal = HistogramGoal(fixed, part.taps, part.bins, level, keep)
        found = replace(found, histogram=goal)
    if terms.tv:
        found = replace(found, variation=VariationGoal(_fixed(terms.tv.weight, level), level))
    return found


def _fixed(weight: float | Mapping[float, float] | str, level: float) -> float | None:
    return None if isinstance(weight, str) else at_level(weight, level)
