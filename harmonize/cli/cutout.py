"""`harmonize cutout`: a photograph → the element alone, on nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from harmonize.cli.options import MaxPixels, option
from harmonize.cli.progress import warn
from harmonize.errors import InputError, OutputError
from harmonize.images.atomic_file import check_output, made_folders
from harmonize.images.image import StoredImage
from harmonize.images.pixels import eight_bits
from harmonize.images.protected import protect
from harmonize.images.read import open_picture
from harmonize.images.write import WITH_ALPHA, picture_format, write_picture
from harmonize.scene.cutout import bounds, cut_out, doubts, with_alpha, with_rembg
from harmonize.scene.mask import Mask, fitted_to, labelled, mask_of

HINTS, RESULTS = "What to cut out", "Results"
BOX, POINTS = "X,Y,W,H", '"X,Y X,Y"'
SQUARE = 16  # pixels of the checkerboard

Box = Annotated[str | None, option(HINTS, "Around the element, in pixels or percent.", metavar=BOX)]
MaskValue = Annotated[
    int | None, option(HINTS, "Of several labels in the mask: the element's.", metavar="N")
]
InvertMask = Annotated[
    bool, option(HINTS, "The mask is white where the element is not.", "--invert-mask")
]


def cutout(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photograph.")],
    box: Box = None,
    foreground: Annotated[
        list[str] | None, option(HINTS, "Points on the element; repeatable.", metavar=POINTS)
    ] = None,
    background: Annotated[
        list[str] | None, option(HINTS, "Points beside it; repeatable.", metavar=POINTS)
    ] = None,
    rough: Annotated[Path | None, option(HINTS, "A rough mask, to be made exact.")] = None,
    mask: Annotated[Path | None, option(HINTS, "An exact mask, to be used as it is.")] = None,
    mask_value: MaskValue = None,
    invert_mask: InvertMask = False,
    with_: Annotated[
        str | None, option(HINTS, "Let rembg find it, if installed.", "--with", metavar="rembg")
    ] = None,
    output: Annotated[
        Path | None,
        option(RESULTS, "PNG, TIFF or WebP. [PHOTO-cutout.png]", "--output", "-o"),
    ] = None,
    crop: Annotated[bool, option(RESULTS, "Leave no margin around it.", "--crop")] = False,
    preview: Annotated[
        Path | None, option(RESULTS, "Also write it on a checkerboard, to look at.")
    ] = None,
    overwrite: Annotated[bool, option(RESULTS, "Replace what is there.", "--overwrite")] = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Cut an element out of a photograph.

    Its edge is soft, without a fringe of the old background.

    harmonize cutout photo.jpg --box 120,40,300,260 --output cutout.png
    """
    asked = SimpleNamespace(**locals())
    target = output or Path(f"{photo.stem}-cutout.png")
    inputs = [("the photo", photo), ("the rough mask", rough), ("the mask", mask)]
    outputs = [("--output", target), ("--preview", preview)]
    _check(target)
    protect(*([(name, path) for name, path in side if path] for side in (inputs, outputs)))
    files = [path for _, path in outputs if path]
    with made_folders(files):
        for path in files:
            picture_format(path)
            check_output(path, overwrite)
        found = cut(asked)
        if crop:
            found = found[bounds(found[..., 3]) or np.s_[:, :]]
        write_picture(target, _stored(found), overwrite)
        if preview:
            write_picture(preview, StoredImage(on_checkerboard(found)), overwrite)
    height, width = found.shape[:2]
    typer.echo(f"{target} ({width} x {height}, {(found[..., 3] > 127).mean():.0%} of it shows)")


def cut_first(asked: Any, pictures: dict[str, Path], target: Path) -> dict[str, Any]:
    """Return what takes the place of `run`'s element and mask, if its options ask for a cut-out.

    The cut-out is written beside `target`, for the record to name; in a dry run it stays an array.
    """
    if asked.box is None and asked.mask_value is None and not asked.invert_mask:
        return {}
    mask = pictures.get("mask")
    if asked.box is not None and mask is not None:
        raise InputError("--box cuts the element out, --mask has it cut out already: leave one")
    given = {"box": asked.box, "mask_value": asked.mask_value, "invert_mask": asked.invert_mask}
    nothing = {"foreground": None, "background": None, "rough": None, "with_": None}
    hints = {**nothing, **given, "photo": pictures["element"], "mask": mask}
    file = target.with_name(f"{target.stem}-cutout.png")
    protect([(f"the {role}", path) for role, path in pictures.items()], [("the cut-out", file)])
    if asked.dry_run:
        return {"element": cut(SimpleNamespace(**hints)), "mask": None}
    overwrite = asked.overwrite or asked.resume
    with made_folders([file]):
        check_output(file, overwrite)
        write_picture(file, _stored(cut(SimpleNamespace(**hints))), overwrite)
    return {"element": file, "mask": None}


def cut(asked: Any) -> NDArray[np.uint8]:
    """Cut out as the options say; returns RGBA at the photo's size."""
    source = open_picture("photo", asked.photo)
    warn(source.warnings)
    photo = np.ascontiguousarray(eight_bits(source.stored.srgb()))
    if asked.with_ not in (None, "rembg"):
        raise InputError(f"--with {asked.with_}: expected rembg")
    if asked.mask is None and (asked.mask_value is not None or asked.invert_mask):
        raise InputError("--mask-value and --invert-mask go with --mask FILE")
    if asked.mask is not None:
        found = with_alpha(photo, _mask(asked, source))
    elif asked.with_ == "rembg":
        found = with_rembg(photo)
    else:
        points = [_points(side) for side in (asked.foreground, asked.background)]
        rough = None if asked.rough is None else _mask_like(asked.rough, source)
        if asked.box is None and rough is None and not points[0]:
            warn(["no --box: what lies along the photo's edge is taken for background"])
        found = cut_out(
            photo, box=asked.box, foreground=points[0], background=points[1], rough=rough
        )
    if source.stored.alpha is not None:
        found[..., 3] = np.minimum(found[..., 3], eight_bits(source.stored.alpha))
    warn(doubts(found[..., 3]))
    return found


def on_checkerboard(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB: a cut-out on gray squares."""
    height, width = rgba.shape[:2]
    y, x = np.ogrid[:height, :width]
    ground = np.where((y // SQUARE + x // SQUARE) % 2, 153, 204)[..., None]
    share = rgba[..., 3:] / np.float32(255)
    return np.asarray(np.rint(share * rgba[..., :3] + (1 - share) * ground), np.uint8)


def _check(target: Path) -> None:
    if picture_format(target) not in WITH_ALPHA:
        raise OutputError(f"{target}: holds no transparency; use .png, .tif or .webp")


def _stored(rgba: NDArray[np.uint8]) -> StoredImage:
    colors, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    return StoredImage(colors, alpha=alpha)


def _points(texts: Sequence[str] | None) -> list[str]:
    return [point for text in texts or () for point in text.replace(";", " ").split()]


def _mask(asked: Any, photo: Any) -> Mask:
    if asked.mask_value is None:
        found = _mask_like(asked.mask, photo)
    else:
        found = labelled("mask", asked.mask, asked.mask_value)
        found, notes = fitted_to(open_picture("mask", asked.mask), found, photo)
        warn(notes)
    return np.asarray(255 - found, np.uint8) if asked.invert_mask else found


def _mask_like(path: Path, photo: Any) -> Mask:
    source = open_picture("mask", path)
    found, notes = mask_of(source)
    found, more = fitted_to(source, found, photo)
    warn([*notes, *more])
    return found
