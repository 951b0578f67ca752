"""Files, PIL images or arrays → a validated `Scene` at the painting's own size.

Everything is in sRGB and of the painting's depth; the painting as stored is kept for the result.
What the element does not cover is never computed, and float arrays are a strip at a time.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from harmonize.errors import InputError
from harmonize.images.image import StoredImage
from harmonize.images.pixels import Pixels, eight_bits, largest_value, strips
from harmonize.images.read import Picture, Source, open_picture
from harmonize.scene.mask import FAINT, FULL, Mask, looks_inverted, mask_of, times
from harmonize.scene.placement import fitted, fitted_element, on_canvas, show, size_of, window_of

__all__ = ["Picture", "Scene", "load_scene"]


@dataclass(frozen=True, eq=False)
class Scene:
    """A painting with an element pasted on it, at the painting's own size.

    Attributes:
        painting: uint8 or uint16 [H, W, 3] in sRGB.
        composite: the same with the element pasted on it.
        tight: uint8 [H, W], 255 inside the element.
        loose: uint8 [H, W], 255 wherever `tight` is not faint, or None to derive it.
        original: the painting as stored, its alpha with the element added.
        hashes: role (`painting`, `patch`, `mask`, `loose_mask`) → SHA-256 of the file's bytes, or
            of the pixels of a picture that came without a file.
        paths: role → absolute path, or None for a picture that came without a file.
        warnings: what the user should know of the inputs, a sentence each.
    """

    painting: Pixels
    composite: Pixels
    tight: Mask
    loose: Mask | None
    original: StoredImage
    hashes: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def load_scene(
    painting: Picture,
    patch: Picture,
    mask: Picture | None = None,
    *,
    loose_mask: Picture | None = None,
    at: tuple[int, int] | None = None,
    width: int | None = None,
    scale: float | None = None,
) -> Scene:
    """Read and check everything that a run needs.

    Pictures are paths, PIL images or arrays: uint8, uint16, bool, or float in [0, 1], of shape
    [H, W] or [H, W, 1 to 4]; with 2 or 4 channels the last is alpha.

    Args:
        painting: the picture to paste into.
        patch: the element, as large as the painting (aligned with it) or of any size with `at`.
        mask: white where the element is, of the patch's size. The patch's alpha channel is used
            where it has one, alone or together with the mask.
        loose_mask: where the result may differ from the painting; of the patch's size, or of the
            painting's.
        at: where the patch's top left corner goes on the painting, x and y in pixels; it may lie
            outside, and the patch may hang over the edge.
        width: of the pasted patch, in pixels of the painting.
        scale: of the pasted patch, instead of `width`.

    Raises:
        InputError: a picture that cannot be read, sizes that do not fit, an empty or full mask, a
            patch that lies outside the painting.
    """
    sources = _open_all(painting=painting, patch=patch, mask=mask, loose_mask=loose_mask)
    original = sources["painting"].stored
    canvas = original.size
    given = mask_of(sources["mask"].stored) if "mask" in sources else None
    colors, alpha = _element(sources, given)
    loose = _loose(sources, canvas)
    window = window_of(size_of(alpha), canvas, at, width, scale)
    if loose is not None and size_of(loose) == size_of(alpha):  # it moves with the patch
        loose = on_canvas(fitted(loose, window), window, canvas)
    colors, alpha = fitted_element(colors, alpha, window)
    tight = on_canvas(alpha, window, canvas)
    _check_mask(tight)
    base = original.srgb()
    composite = base.copy()
    _blend(composite[window.rows, window.columns], colors, alpha)
    return Scene(
        painting=base,
        composite=composite,
        tight=tight,
        loose=None if loose is None else np.where(tight > FAINT, np.uint8(255), loose),
        original=_with_element(original, tight),
        hashes={role: source.sha256 for role, source in sources.items()},
        paths={role: source.path for role, source in sources.items()},
        warnings=_warnings(sources, given),
    )


# --- pictures -----------------------------------------------------------------------------------


def _open_all(**pictures: Picture | None) -> dict[str, Source]:
    return {role: open_picture(role, item) for role, item in pictures.items() if item is not None}


def _element(sources: dict[str, Source], given: Mask | None) -> tuple[Pixels, Mask]:
    """Return the patch's colors in sRGB [h, w, 3], and where they show [h, w]."""
    source, mask = sources["patch"], sources.get("mask")
    patch = source.stored
    alpha = None if patch.alpha is None else eight_bits(patch.alpha)
    if mask is not None and given is not None:
        if mask.stored.size != patch.size:
            raise InputError(
                f"{mask.where}: {show(mask.stored.size)} pixels, but the patch has "
                f"{show(patch.size)}; the mask needs the patch's size"
            )
        alpha = given if alpha is None else times(alpha, given)
    elif alpha is None or alpha.min() == 255:
        raise InputError(
            f"{source.where}: no mask and nothing transparent; give --mask, white where the "
            "element is"
        )
    if alpha.max() <= FAINT:
        raise InputError(f"{(mask or source).where}: the mask is empty; white marks the element")
    return patch.srgb(), alpha


def _loose(sources: dict[str, Source], canvas: tuple[int, int]) -> Mask | None:
    source, patch = sources.get("loose_mask"), sources["patch"].stored.size
    if source is None:
        return None
    if source.stored.size not in (patch, canvas):
        raise InputError(
            f"{source.where}: {show(source.stored.size)} pixels, expected the patch's size "
            f"({show(patch)}) or the painting's ({show(canvas)})"
        )
    return mask_of(source.stored)


def _check_mask(tight: Mask) -> None:
    if tight.min() > FULL:
        raise InputError(
            "mask: white over the whole painting; white marks the element only (inverted mask?)"
        )
    if tight.max() <= FAINT:
        raise InputError("patch: its masked part lies outside the painting; check --at and --width")


def _blend(canvas: Pixels, colors: Pixels, alpha: Mask) -> None:
    """Paste colors on a canvas of the same size, in place."""
    factor = np.float32(largest_value(canvas) / largest_value(colors))
    for rows in strips(*alpha.shape):
        if not alpha[rows].any():
            continue
        share = alpha[rows, :, None] / np.float32(255)
        blended = share * (colors[rows] * factor) + (1 - share) * canvas[rows]
        canvas[rows] = np.rint(blended)


def _with_element(original: StoredImage, tight: Mask) -> StoredImage:
    """Let the element show where the painting is transparent."""
    if original.alpha is None:
        return original
    factor = original.alpha.dtype.type(largest_value(original.alpha) // 255)
    return replace(original, alpha=np.maximum(original.alpha, tight * factor))


def _warnings(sources: dict[str, Source], given: Mask | None) -> tuple[str, ...]:
    notes = [note for source in sources.values() for note in source.warnings]
    if given is not None and looks_inverted(given):
        notes.append(
            "mask: white at the border and black in the middle; white marks the element "
            "(inverted mask?)"
        )
    return tuple(notes)
