"""Files, PIL images or arrays → a validated `Scene` at the painting's own size.

Pictures come out as a viewer shows them: EXIF rotation applied, color profiles heeded, 16-bit,
grayscale, palette and CMYK pictures turned to 8-bit RGB. The patch's colors are converted to the
painting's profile.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from harmonize.errors import InputError
from harmonize.pictures import Picture, Source, open_picture, split, to_profile

Pixels = NDArray[np.uint8]
Mask = NDArray[np.float32]

__all__ = ["ImageMeta", "Picture", "Scene", "load_scene"]

SMALLEST = 32  # pixels: the network halves four times and needs something left


@dataclass(frozen=True)
class ImageMeta:
    """What a result takes over from the painting besides its pixels.

    Attributes:
        mode: `RGB`, or `L` for a grayscale painting.
        icc: color profile of the pixels, or None for sRGB.
        alpha: uint8 [H, W], the painting's own with the element added, or None.
        format: Pillow's name of the painting's format (`JPEG`), or None if it came without a file.
        dpi: resolution, horizontal and vertical, or None.
    """

    mode: str = "RGB"
    icc: bytes | None = None
    alpha: Pixels | None = None
    format: str | None = None
    dpi: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scene:
    """A painting with an element pasted on it, at the painting's own size.

    Attributes:
        painting: uint8 [H, W, 3], values as stored (in the painting's own profile).
        composite: uint8 [H, W, 3], the painting with the element pasted on it.
        tight: float32 [H, W] in [0, 1], 1 inside the element.
        loose: float32 [H, W] in [0, 1], at least `tight`, or None to derive it.
        meta: what the result takes over from the painting.
        hashes: role (`painting`, `patch`, `mask`, `loose_mask`) → SHA-256 of the file's bytes, or
            of the pixels of a picture that came without a file.
        paths: role → absolute path, or None for a picture that came without a file.
    """

    painting: Pixels
    composite: Pixels
    tight: Mask
    loose: Mask | None
    meta: ImageMeta
    hashes: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str | None] = field(default_factory=dict)


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
    [H, W] or [H, W, 1 to 4].

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
    canvas, meta = _painting(sources["painting"])
    element = _element(sources, meta.icc if meta.mode == "RGB" else None)
    loose = _loose(sources, element.size, canvas.size)
    corner = _corner(element.size, canvas.size, at, width, scale)
    if corner is not None:
        size = _pasted_size(element.size, canvas.size, width, scale)
        _check_overlap(corner, size, canvas.size)
        same = loose is not None and loose.size == element.size
        element = _place(element, size, corner, canvas.size)
        loose = _place(loose, size, corner, canvas.size) if loose and same else loose
    alpha = np.asarray(element.getchannel("A"))
    _check_mask(alpha)
    pixels = np.asarray(canvas)
    tight = _unit(element.getchannel("A"))
    return Scene(
        painting=pixels,
        composite=_blend(pixels, np.asarray(element)[..., :3], tight),
        tight=tight,
        loose=None if loose is None else np.maximum(_unit(loose), tight),
        meta=_with_element(meta, alpha),
        hashes={role: source.sha256 for role, source in sources.items()},
        paths={role: source.path for role, source in sources.items()},
    )


# --- pictures -----------------------------------------------------------------------------------


def _open_all(**pictures: Picture | None) -> dict[str, Source]:
    return {role: open_picture(role, item) for role, item in pictures.items() if item is not None}


def _painting(source: Source) -> tuple[Image.Image, ImageMeta]:
    image, icc = source.image, source.image.info.get("icc_profile")
    if min(image.size) < SMALLEST:
        raise InputError(f"{source.where}: {_show(image.size)} pixels, expected at least 32 x 32")
    eight, alpha = split(image)
    mode = "L" if eight.mode == "L" else "RGB"
    if eight.mode not in ("L", "RGB"):  # what no RGB file could carry goes to sRGB
        eight, icc = to_profile(eight, icc, None), None
    meta = ImageMeta(
        mode=mode,
        icc=icc,
        alpha=None if alpha is None else np.asarray(alpha),
        format=image.format,
        dpi=_dpi(image),
    )
    return eight.convert("RGB"), meta


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    return (float(dpi[0]), float(dpi[1])) if dpi and dpi[0] > 0 and dpi[1] > 0 else None


# --- patch and masks ------------------------------------------------------------------------------


def _element(sources: dict[str, Source], target: bytes | None) -> Image.Image:
    """Return the patch as RGBA, its alpha the tight mask, its colors in the profile `target`."""
    source = sources["patch"]
    eight, alpha = split(source.image)
    mask = sources.get("mask")
    if mask is not None:
        if mask.image.size != eight.size:
            raise InputError(
                f"{mask.where}: {_show(mask.image.size)} pixels, but the patch has "
                f"{_show(eight.size)}; the mask needs the patch's size"
            )
        given = _mask(mask.image)
        alpha = given if alpha is None else ImageChops.multiply(alpha, given)
    elif alpha is None or alpha.getextrema()[0] == 255:
        raise InputError(
            f"{source.where}: no mask and nothing transparent; give --mask, white where the "
            "element is"
        )
    if not _inside(np.asarray(alpha)).any():
        raise InputError(f"{(mask or source).where}: the mask is empty; white marks the element")
    pasted = to_profile(eight, source.image.info.get("icc_profile"), target)
    pasted.putalpha(alpha)
    return pasted


def _mask(image: Image.Image) -> Image.Image:
    """Return a mask as L. Contrast is doubled about the middle: compression noise goes."""
    eight, alpha = split(image)
    gray = eight.convert("L") if eight.mode != "LAB" else eight.getchannel("L")
    if alpha is not None:
        gray = ImageChops.multiply(gray, alpha)
    return gray.point([min(max(2 * value - 127, 0), 255) for value in range(256)])


def _loose(
    sources: dict[str, Source], patch: tuple[int, int], canvas: tuple[int, int]
) -> Image.Image | None:
    source = sources.get("loose_mask")
    if source is None:
        return None
    if source.image.size not in (patch, canvas):
        raise InputError(
            f"{source.where}: {_show(source.image.size)} pixels, expected the patch's size "
            f"({_show(patch)}) or the painting's ({_show(canvas)})"
        )
    return _mask(source.image)


def _inside(alpha: Pixels) -> NDArray[np.bool_]:
    return alpha > 127


def _check_mask(alpha: Pixels) -> None:
    if _inside(alpha).all():
        raise InputError(
            "mask: white over the whole painting; white marks the element only (inverted mask?)"
        )
    if not _inside(alpha).any():
        raise InputError("patch: its masked part lies outside the painting; check --at and --width")


# --- placing --------------------------------------------------------------------------------------


def _corner(
    patch: tuple[int, int],
    canvas: tuple[int, int],
    at: tuple[int, int] | None,
    width: int | None,
    scale: float | None,
) -> tuple[int, int] | None:
    """Return the corner to paste at; None for a patch that is aligned with the painting."""
    if width is not None and scale is not None:
        raise InputError("placement: give --width or --scale, not both")
    if at is not None:
        return at
    if patch == canvas and width is None and scale is None:
        return None
    raise InputError(
        f"patch: {_show(patch)} pixels on a painting of {_show(canvas)}; say where its top left "
        "corner goes with --at X,Y"
    )


def _pasted_size(
    patch: tuple[int, int], canvas: tuple[int, int], width: int | None, scale: float | None
) -> tuple[int, int]:
    if width is not None and width < 1:
        raise InputError(f"placement: --width {width}, expected a whole number of pixels from 1 up")
    if scale is not None and not 0 < scale < float("inf"):
        raise InputError(f"placement: --scale {scale}, expected a number above 0")
    factor = width / patch[0] if width is not None else (1.0 if scale is None else scale)
    size = (max(round(patch[0] * factor), 1), max(round(patch[1] * factor), 1))
    if size[0] * size[1] > 16 * canvas[0] * canvas[1]:
        raise InputError(
            f"placement: the patch would be {_show(size)} pixels on a painting of "
            f"{_show(canvas)}; check --width and --scale"
        )
    return size


def _check_overlap(corner: tuple[int, int], size: tuple[int, int], canvas: tuple[int, int]) -> None:
    for start, length, limit in zip(corner, size, canvas, strict=True):
        if start >= limit or start + length <= 0:
            raise InputError(
                f"placement: a patch of {_show(size)} pixels at {corner[0]},{corner[1]} lies "
                f"outside the painting of {_show(canvas)}; check --at"
            )


def _place(
    picture: Image.Image, size: tuple[int, int], corner: tuple[int, int], canvas: tuple[int, int]
) -> Image.Image:
    """Resize and put on an empty canvas; what hangs over is cut."""
    if picture.size != size:
        picture = _resize(picture, size)
    empty = Image.new(picture.mode, canvas)
    empty.paste(picture, corner)
    return empty


def _resize(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize L, or RGBA with its colors weighed by alpha, so that none bleeds in from outside.

    Not by Pillow's own weighing, which clips alpha at 255 and leaves the ringing in the colors.
    """
    if picture.mode == "L":
        return picture.resize(size, Image.Resampling.LANCZOS)
    *colors, alpha = np.moveaxis(np.asarray(picture, dtype=np.float32), -1, 0)
    weight = _lanczos(alpha, size)
    shown = [_lanczos(color * alpha, size) / np.maximum(weight, 1) for color in colors]
    return Image.fromarray(np.clip(np.rint(np.dstack([*shown, weight])), 0, 255).astype(np.uint8))


def _lanczos(plane: Mask, size: tuple[int, int]) -> Mask:
    return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS))


def _blend(painting: Pixels, patch: Pixels, tight: Mask) -> Pixels:
    share = tight[..., None]
    return np.rint(share * patch + (1 - share) * painting).astype(np.uint8)


def _unit(mask: Image.Image) -> Mask:
    return np.asarray(mask, dtype=np.float32) / np.float32(255)


def _with_element(meta: ImageMeta, alpha: Pixels) -> ImageMeta:
    """Let the element show where the painting is transparent."""
    if meta.alpha is None:
        return meta
    return replace(meta, alpha=np.maximum(meta.alpha, alpha))


def _show(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
