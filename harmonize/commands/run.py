"""`harmonize run`: one picture."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harmonize.commands import option
from harmonize.config import Config, load, restore
from harmonize.errors import InputError, OutputError
from harmonize.files import check_output
from harmonize.frames import Keeper, check_folder
from harmonize.outputs import (
    default_output,
    losses,
    picture_format,
    record_path,
    write_result,
    write_sheet,
)
from harmonize.progress import INTERRUPTED, Bars, Interrupt, announce, warn
from harmonize.record import Record, read_record
from harmonize.stored import Stored

if TYPE_CHECKING:
    from harmonize.optimize import Step
    from harmonize.pipeline import Result

PICTURES, PLACEMENT, SETTINGS, RESULTS = "Pictures", "Placement", "Settings", "Results"


def run(
    style: Annotated[Path | None, option(PICTURES, "The painting.")] = None,
    patch: Annotated[
        Path | None,
        option(PICTURES, "The element: as large as the painting and aligned, or placed by --at."),
    ] = None,
    mask: Annotated[
        Path | None,
        option(
            PICTURES,
            "White where the element is; of the patch's size. Not needed with an alpha channel.",
        ),
    ] = None,
    loose_mask: Annotated[
        Path | None,
        option(PICTURES, "White where the result may differ from the painting; else derived."),
    ] = None,
    at: Annotated[
        str | None,
        option(PLACEMENT, "The patch's top left corner, in pixels of the painting.", metavar="X,Y"),
    ] = None,
    width: Annotated[
        int | None,
        option(PLACEMENT, "Width of the pasted patch, in pixels of the painting.", metavar="PX"),
    ] = None,
    scale: Annotated[
        float | None,
        option(PLACEMENT, "Scale of the pasted patch, instead of --width.", metavar="S"),
    ] = None,
    config: Annotated[
        str | None,
        option(
            SETTINGS,
            "A preset (see `harmonize config list`) or a YAML file; if left out, default.",
            metavar="NAME|FILE",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        option(
            SETTINGS,
            "One setting, such as passes.refine.steps=40; may be repeated.",
            "--set",
            metavar="KEY=VALUE",
        ),
    ] = None,
    size: Annotated[
        str | None,
        option(
            SETTINGS,
            "Working size: the painting's long side; never enlarged.",
            metavar="PX|native",
        ),
    ] = None,
    strength: Annotated[
        str | None,
        option(
            SETTINGS,
            "How freely to paint: 1 (smooth) to 10 (bold); auto asks the painting.",
            metavar="auto|weak|medium|strong|NUMBER",
        ),
    ] = None,
    keep: Annotated[
        float | None,
        option(
            SETTINGS,
            "How much of the element to keep: 1 as the preset has it, 2 twice that.",
            metavar="NUMBER",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        option(
            SETTINGS,
            "Network weights; oxford comes with the package.",
            metavar="oxford|torchvision|FILE",
        ),
    ] = None,
    device: Annotated[
        str | None,
        option(
            SETTINGS,
            "Where to compute; auto takes CUDA where it is there, else the CPU.",
            metavar="auto|cpu|cuda[:N]|mps",
        ),
    ] = None,
    seed: Annotated[int | None, option(SETTINGS, "Of the random numbers.", metavar="N")] = None,
    output: Annotated[
        Path | None,
        option(
            RESULTS,
            "Where the picture goes; its run record goes beside it, ending in .json. "
            "If left out: PAINTING-harmonized.EXT in the current folder.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None, option(RESULTS, "Also write composite and result side by side.")
    ] = None,
    report: Annotated[
        bool,
        option(RESULTS, "Also write a page to look at: the output's name, .html.", "--report"),
    ] = False,
    save_every: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Write the picture so far every N steps, to the output's name.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    frames: Annotated[
        Path | None,
        option(
            RESULTS,
            "Keep the picture of every step (or every N-th, with --save-every) as a numbered PNG.",
            metavar="DIR",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        option(RESULTS, "Make the picture of this run record again; other options change it."),
    ] = None,
    absolute_paths: Annotated[
        bool,
        option(RESULTS, "Name files in your home in full in the record.", "--absolute-paths"),
    ] = False,
    overwrite: Annotated[
        bool, option(RESULTS, "Replace results that exist.", "--overwrite")
    ] = False,
) -> None:
    """Make a pasted element look painted.

    Writes the picture and, beside it, the run record. Ctrl-C keeps the picture so far (exit code
    130); a second Ctrl-C gives up at once.
    """
    before = read_record(record) if record else None
    pictures = _pictures(before, painting=style, patch=patch, mask=mask, loose_mask=loose_mask)
    placement = _placement(before, at, width, scale)
    options = {
        "size": size,
        "strength": strength,
        "keep": keep,
        "seed": seed,
        "weights": _quoted(weights),
        "device": _quoted(device),
    }
    settings = _settings(before, config, set_ or [], options)
    target = output or _default_target(before, pictures["painting"])
    picture_format(target)  # so that it is a name to make others of
    page = target.with_suffix(".html") if report else None
    _check_targets(target, sheet, page, list(pictures.values()), overwrite)
    if frames is not None:
        results = [path for path in (target, record_path(target), sheet, page) if path]
        stay = (*pictures.values(), *results)
        check_folder(frames, stay, overwrite)
    keeper = Keeper(target if save_every else None, frames, record_path(target), overwrite)
    started = time.monotonic()
    result = _compute(pictures, placement, settings, keeper, save_every, target, absolute_paths)
    keeper.keep_frame(result.picture)
    _write(result, target, sheet, page, overwrite, keeper.replaces)
    interrupted = bool(result.record["interrupted"])
    note = ", interrupted: the picture so far" if interrupted else ""
    typer.echo(f"{target} ({time.monotonic() - started:.0f} s{note})")
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _pictures(before: Record | None, **given: Path | None) -> dict[str, Path]:
    """Return role → file: from the record, replaced by what the command line names."""
    named = {role: path for role, path in given.items() if path is not None}
    if before and "patch" in named:  # another patch has other masks
        kept = {"painting": before.inputs["painting"]}
    else:
        kept = dict(before.inputs) if before else {}
    pictures = {**kept, **named}
    for role, flag in (("painting", "--style"), ("patch", "--patch")):
        if role not in pictures:
            raise InputError(f"no {role} given; use {flag} FILE")
    return pictures


def _placement(
    before: Record | None, at: str | None, width: int | None, scale: float | None
) -> dict[str, Any]:
    placement: dict[str, Any] = {"at": None, "width": None, "scale": None}
    if before:
        placement = {"at": before.at, "width": before.width, "scale": before.scale}
    if at is not None:
        placement["at"] = _corner(at)
    if width is not None or scale is not None:
        placement.update(width=width, scale=scale)
    return placement


def _corner(text: str) -> tuple[int, int]:
    try:
        x, y = map(int, text.split(","))
    except ValueError:
        raise InputError(f"--at {text}: expected X,Y in whole pixels, such as 120,40") from None
    return x, y


def _quoted(text: str | None) -> str | None:
    """Make sure that YAML reads a name as a string, whatever is in it."""
    return None if text is None else json.dumps(text)


def _settings(
    before: Record | None,
    name: str | None,
    overrides: Sequence[str],
    options: Mapping[str, object],
) -> Config:
    if before and name is None:
        return restore(before.config, overrides, f"record {before.path}", options)
    return load(name or "default", overrides, options)


def _default_target(before: Record | None, painting: Path) -> Path:
    if before and before.output:
        return before.path.with_name(before.output)
    return default_output(painting)


def _check_targets(
    target: Path, board: Path | None, page: Path | None, pictures: Sequence[Path], overwrite: bool
) -> None:
    """Find out before the long run whether its results can be written."""
    targets = [target] if board is None else [target, board]
    for path in targets:
        picture_format(path)
        if os.path.realpath(path) in map(os.path.realpath, pictures):
            raise OutputError(f"{path}: is one of the inputs, which are never replaced")
    if board is not None and os.path.realpath(board) == os.path.realpath(target):
        raise OutputError(f"{board}: --sheet and --output name the same file")
    for path in (*targets, record_path(target), *([page] if page else [])):
        check_output(path, overwrite)


def _compute(
    pictures: dict[str, Path],
    placement: dict[str, Any],
    settings: Config,
    keeper: Keeper,
    every: int | None,
    target: Path,
    absolute_paths: bool,
) -> "Result":
    asked: dict[str, Any] = {**pictures, **placement, "config": settings}
    asked["absolute_paths"] = absolute_paths
    with Interrupt(keeper.left) as interrupt, Bars() as bars:
        from harmonize.pipeline import harmonize

        def on_start(facts: dict[str, Any]) -> None:
            announce(facts)
            warn(losses(target, facts["original"]))

        def on_step(step: "Step") -> None:
            bars.show(step)
            interrupt.check()

        def on_picture(_: "Step", picture: "Stored") -> None:
            keeper.keep(picture)

        if keeper.wanted:
            asked |= {"on_picture": on_picture, "picture_every": every or 1}
        return harmonize(**asked, on_step=on_step, on_start=on_start)


def _write(
    result: "Result",
    target: Path,
    board: Path | None,
    page: Path | None,
    overwrite: bool,
    replace: bool,
) -> None:
    """Write what a run leaves; `replace` says whether the picture may take a file's place."""
    write_result(target, result.picture, result.record, overwrite, replace=replace)
    if board is not None:
        write_sheet(board, [Stored(result.scene.composite).shown, result.picture.shown], overwrite)
    if page is not None:
        from harmonize.report import Entry, write_report

        write_report(page, [Entry(target.name, "done", record_path(target), None)], overwrite)
