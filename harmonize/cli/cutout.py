"""`harmonize cutout`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from harmonize.cli.options import MaxPixels, from_stdin, option, to_stdout
from harmonize.cli.progress import warn
from harmonize.errors import InputError, OutputError
from harmonize.images.atomic_file import check_output, made_folders
from harmonize.images.image import StoredImage
from harmonize.images.protected import protect
from harmonize.images.read import open_picture
from harmonize.images.write import WITH_ALPHA, picture_format, write_picture
from harmonize.run.record import write_cutout
from harmonize.scene.matting import bounds
from harmonize.scene.segmentation import Hints, as_picture, cut_from

HINTS, RESULTS = "What to cut out", "Results"
BOX, POINTS = "X,Y,W,H", '"X,Y X,Y"'
SQUARE = 16  # pixels of the checkerboard
SLOW = 8_000_000  # pixels: above it, each step takes a second or more and is told

BoxOption = Annotated[
    str | None, option(HINTS, "Around the element, in pixels or percent.", metavar=BOX)
]
MaskValue = Annotated[
    int | None, option(HINTS, "Of several labels in the mask: the element's.", metavar="N")
]
InvertMask = Annotated[
    bool, option(HINTS, "The mask is white where the element is not.", "--invert-mask")
]


def cutout(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photograph.")],
    box: BoxOption = None,
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
    given, _ = from_stdin({"photo": photo, "rough": rough, "mask": mask})
    vars(asked).update(given)
    piped = output == Path("-")
    with to_stdout("png") if piped else nullcontext(output) as named:
        target = named or Path(f"{asked.photo.stem}-cutout.png")
        found = _written(asked, target)
    height, width = found.shape[:2]
    shown = (found[..., 3] > 127).mean()
    name = "-" if piped else target
    typer.echo(f"{name} ({width} x {height}, {shown:.0%} of it shows)", err=piped)


def _hints_of(asked: Any) -> Hints:
    if asked.with_ not in (None, "rembg"):
        raise InputError(f"--with {asked.with_}: expected rembg")
    return Hints(
        box=asked.box,
        foreground=_points_of(asked.foreground),
        background=_points_of(asked.background),
        rough=asked.rough,
        mask=asked.mask,
        mask_value=asked.mask_value,
        invert_mask=asked.invert_mask,
        rembg=asked.with_ == "rembg",
    )


def _written(asked: Any, target: Path) -> NDArray[np.uint8]:
    inputs = [("the photo", asked.photo), ("the rough mask", asked.rough), ("the mask", asked.mask)]
    outputs = [("--output", target), ("--preview", asked.preview)]
    _check(target)
    protect(*([(name, path) for name, path in side if path] for side in (inputs, outputs)))
    files = [path for _, path in outputs if path]
    with made_folders(files):
        for path in files:
            picture_format(path)
            check_output(path, asked.overwrite)
        found = _cut(asked.photo, _hints_of(asked))
        if asked.crop:
            found = found[bounds(found[..., 3]) or np.s_[:, :]]
        _say_step(found.shape[:2], f"writing {target}")
        write_picture(target, as_picture(found), asked.overwrite)
        if asked.preview:
            write_picture(asked.preview, StoredImage(_on_checkerboard(found)), asked.overwrite)
    return found


def cut_file(asked: Any, target: Path) -> list[tuple[str, Path]]:
    """Return where `run` writes the cut-out, if any."""
    if asked.box is None and asked.mask_value is None and not asked.invert_mask:
        return []
    return [("the cut-out", target.with_name(f"{target.stem}-cutout.png"))]


def cut_first(asked: Any, pictures: dict[str, Path], target: Path) -> dict[str, Any]:
    """Cut out `run`'s element if asked; return what replaces the inputs."""
    files = cut_file(asked, target)
    if not files:
        return {}
    hints = Hints(
        box=asked.box,
        mask=pictures.get("mask"),
        mask_value=asked.mask_value,
        invert_mask=asked.invert_mask,
    )
    if asked.dry_run:
        return {"element": _cut(pictures["element"], hints), "mask": None}
    [(_, file)] = files
    with made_folders([file]):
        check_output(file, asked.overwrite or asked.resume)
        cut = as_picture(_cut(pictures["element"], hints))
        write_cutout(file, cut, target, asked.overwrite)
    if not asked.to_stdout:
        typer.echo(f"{file} (the cut-out)")
    return {"element": file, "mask": None}


def _cut(photo: Path, hints: Hints) -> NDArray[np.uint8]:
    source = open_picture("photo", photo)
    found, notes = cut_from(source, hints, partial(_say_step, source.stored.size))
    warn(notes)
    return found


def _say_step(size: tuple[int, ...], step: str) -> None:
    if math.prod(size) > SLOW:
        typer.echo(f"{step} …", err=True)


def _on_checkerboard(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgba.shape[:2]
    y, x = np.ogrid[:height, :width]
    ground = np.where((y // SQUARE + x // SQUARE) % 2, 153, 204)[..., None]
    share = rgba[..., 3:] / np.float32(255)
    return np.asarray(np.rint(share * rgba[..., :3] + (1 - share) * ground), np.uint8)


def _check(target: Path) -> None:
    if picture_format(target) not in WITH_ALPHA:
        raise OutputError(f"{target}: holds no transparency; use .png, .tif or .webp")


def _points_of(texts: Sequence[str] | None) -> list[str]:
    return [point for text in texts or () for point in text.replace(";", " ").split()]
