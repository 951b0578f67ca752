"""Paste an element, all inputs checked."""

from dataclasses import dataclass, field, replace

import numpy as np

from harmonize.errors import InputError
from harmonize.images.image import StoredImage
from harmonize.images.pixels import Pixels, eight_bits, largest_value, strips
from harmonize.images.read import Picture, Source, open_picture
from harmonize.scene.layout import Layout, lay_out, show_size, size_of
from harmonize.scene.loose import LOOSE_SIGMA, derived
from harmonize.scene.mask import FAINT, FULL, Mask, fitted_to, inverted, mask_of
from harmonize.scene.placement import Placement
from harmonize.scene.resample import fitted, fitted_element, on_canvas
from harmonize.scene.transparency import fill_transparent, share_over, with_element

__all__ = ["Picture", "Scene", "load_scene"]

HIDDEN = 0.002  # of the element: if a mask shows more that is transparent, that is told
SCRAP = 0.25  # of the element: if less lies on the painting, that is told
ENLARGED = 1.05  # times the element's own pixels: from there on it is told


@dataclass(frozen=True, eq=False)
class Scene:
    """A painting with an element pasted on it."""

    painting: Pixels  # uint8 or uint16 [H, W, 3] in sRGB
    composite: Pixels  # the same with the element
    tight: Mask  # uint8 [H, W], 255 inside the element
    loose: Mask  # 255 where the result may differ from the painting, else 0
    original: StoredImage  # the painting as stored, its alpha with the element added
    layout: Layout
    # Of each role (painting, element, mask, loose_mask): SHA-256 of its file or pixels; its path.
    hashes: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def load_scene(
    painting: Picture | Source,
    element: Picture | Source,
    mask: Picture | Source | None = None,
    *,
    loose_mask: Picture | Source | None = None,
    placement: Placement | None = None,
    loose_sigma: float = LOOSE_SIGMA,
) -> Scene:
    """Check all inputs and paste the element; mistakes raise an InputError.

    `mask` replaces the element's alpha; `loose_mask` has the element's or painting's size.
    """
    sources = _open_all(painting=painting, element=element, mask=mask, loose_mask=loose_mask)
    original = sources["painting"].stored
    canvas = original.size
    colors, alpha, notes = _element(sources)
    loose, more = _loose(sources, canvas)
    layout = lay_out(alpha, canvas, placement or Placement())
    if loose is not None and size_of(loose) == size_of(alpha):  # it moves with the element
        loose = on_canvas(fitted(loose, layout), layout, canvas)
    colors, alpha = fitted_element(colors, alpha, layout)
    tight = on_canvas(alpha, layout, canvas)
    _check_mask(tight)
    loose = derived(tight, loose_sigma) if loose is None else _either(tight, loose)
    place = layout.rows, layout.columns
    base, composite = _composite(original, colors, alpha, place)
    shown = np.where(loose[place] > 0, alpha, np.uint8(0))
    return Scene(
        painting=base,
        composite=composite,
        tight=tight,
        loose=loose,
        original=with_element(original, colors, shown, place),
        layout=layout,
        hashes={role: source.sha256 for role, source in sources.items()},
        paths={role: source.path for role, source in sources.items()},
        warnings=(
            *(note for source in sources.values() for note in source.warnings),
            *notes,
            *more,
            *_layout_warnings(layout),
        ),
    )


# --- pictures -----------------------------------------------------------------------------------


def _open_all(**pictures: Picture | Source | None) -> dict[str, Source]:
    return {role: _opened_source(role, item) for role, item in pictures.items() if item is not None}


def _opened_source(role: str, item: Picture | Source) -> Source:
    return replace(item, role=role) if isinstance(item, Source) else open_picture(role, item)


def _element(sources: dict[str, Source]) -> tuple[Pixels, Mask, list[str]]:
    source, mask = sources["element"], sources.get("mask")
    stored = source.stored
    notes: list[str] = []
    alpha = None if stored.alpha is None else eight_bits(stored.alpha)
    if mask is not None:
        given, notes = mask_of(mask)
        notes += inverted(given)
        given, scaled = fitted_to(mask, given, source)
        notes += scaled
        if alpha is not None and ((alpha <= FAINT) & (given > FULL)).mean() > HIDDEN:
            notes.append(
                "mask: it shows what is transparent in the element; the mask counts, and the "
                "colors hidden there come to light; make it black there to hide them"
            )
        alpha = given
    elif alpha is None or alpha.min() == 255:
        raise InputError(
            f"{source.where}: no mask and nothing transparent; give `mask`, white where the "
            "element is, or cut it out with `harmonize cutout` or in `harmonize studio`"
        )
    if alpha.max() <= FAINT:
        raise InputError(
            f"{(mask or source).where}: the mask is empty; make it white on the element"
        )
    return stored.srgb(), alpha, notes


def _loose(sources: dict[str, Source], canvas: tuple[int, int]) -> tuple[Mask | None, list[str]]:
    source, element = sources.get("loose_mask"), sources["element"]
    if source is None:
        return None, []
    mask, notes = mask_of(source)
    if source.stored.size in (element.stored.size, canvas):
        return mask, notes
    try:
        mask, scaled = fitted_to(source, mask, element)
    except InputError:
        raise InputError(
            f"{source.where}: {show_size(source.stored.size)} pixels, expected the element's size "
            f"({show_size(element.stored.size)}) or the painting's ({show_size(canvas)})"
        ) from None
    return mask, notes + scaled


def _check_mask(tight: Mask) -> None:
    if tight.min() > FULL:
        raise InputError(
            "mask: white over the whole painting; make it white on the element alone (or invert it)"
        )
    if tight.max() <= FAINT:
        raise InputError(
            "element: what its mask shows lies outside the painting; check `at` and `width`"
        )


def _either(tight: Mask, loose: Mask) -> Mask:
    return np.where((tight > FAINT) | (loose > 127), np.uint8(255), np.uint8(0))


def _composite(
    original: StoredImage, colors: Pixels, alpha: Mask, place: tuple[slice, slice]
) -> tuple[Pixels, Pixels]:
    opacity = None if original.alpha is None else eight_bits(original.alpha)
    base = fill_transparent(original.srgb(), opacity)
    composite = base.copy()
    _blend(composite[place], colors, alpha, None if opacity is None else opacity[place])
    return base, composite


def _blend(canvas: Pixels, colors: Pixels, alpha: Mask, below: Mask | None) -> None:
    factor = np.float32(largest_value(canvas) / largest_value(colors))
    for rows in strips(*alpha.shape):
        if not alpha[rows].any():
            continue
        share = share_over(alpha[rows], None if below is None else below[rows])[..., None]
        blended = share * (colors[rows] * factor) + (1 - share) * canvas[rows]
        canvas[rows] = np.rint(blended)


def _layout_warnings(layout: Layout) -> list[str]:
    notes = []
    if layout.visible < SCRAP:
        notes.append(
            f"placement: only {100 * layout.visible:.0f} % of the element lies on the painting; "
            "check `at`"
        )
    factor = max(layout.stretch)
    if factor > ENLARGED:
        notes.append(
            f"placement: the element is enlarged {factor:.1f} times beyond its own pixels; use a "
            "larger picture of it, or a smaller `width`"
        )
    return notes
