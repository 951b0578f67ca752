"""`harmonize run`: one picture."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harmonize.cli.options import (
    bytes_of,
    default_target,
    option,
    pictures_of,
    placement_of,
    quoted,
    settings_of,
)
from harmonize.cli.progress import INTERRUPTED, Bars, Interrupt, announce, warn
from harmonize.errors import InputError, OutputError
from harmonize.images.atomic_file import check_output
from harmonize.images.image import StoredImage
from harmonize.images.write import losses, picture_format, write_sheet
from harmonize.run.record import hashes, is_result, read_record
from harmonize.run.result import record_path, write_result
from harmonize.run.snapshots import Keeper, check_folder
from harmonize.settings.load import Settings

if TYPE_CHECKING:
    from harmonize.run.pipeline import Result
    from harmonize.synthesis.optimization.minimize import Step

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
    max_memory: Annotated[
        str | None,
        option(
            SETTINGS,
            "Take no more memory: smaller tiles, or else a smaller working size.",
            metavar="2GB",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        option(RESULTS, "Check everything, say what the run would take, and end.", "--dry-run"),
    ] = False,
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
    checkpoint: Annotated[
        Path | None,
        option(RESULTS, "Save how far the run is to this file; it goes when all is written."),
    ] = None,
    resume: Annotated[
        bool,
        option(RESULTS, "Go on from --checkpoint, if it is there; the same bytes.", "--resume"),
    ] = False,
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
    if resume and checkpoint is None:
        raise InputError("--resume goes with --checkpoint FILE")
    limit = None if max_memory is None else bytes_of(max_memory)
    before = read_record(record) if record else None
    pictures = pictures_of(before, painting=style, patch=patch, mask=mask, loose_mask=loose_mask)
    placement = placement_of(before, at, width, scale)
    options = {
        "size": size,
        "strength": strength,
        "keep": keep,
        "seed": seed,
        "weights": quoted(weights),
        "device": quoted(device),
    }
    settings = settings_of(before, config, set_ or [], options)
    target = output or default_target(before, pictures["painting"])
    picture_format(target)  # so that it is a name to make others of
    page = target.with_suffix(".html") if report else None
    outputs = [path for path in (target, record_path(target), sheet, page, frames) if path]
    saved = None
    if checkpoint is not None:
        from harmonize.run.checkpoint import Checkpoint

        saved = Checkpoint(checkpoint, resume, outputs)
        saved.check([*pictures.values()], overwrite)
    if saved and saved.there:
        overwrite = True  # what is there by now, this run has written
    elif resume and _is_made(settings, placement, pictures, limit, outputs):
        typer.echo(f"{target} (done already)")
        return
    _check_targets(target, sheet, page, list(pictures.values()), overwrite)
    if frames is not None:
        results = [path for path in (target, record_path(target), sheet, page) if path]
        stay = (*pictures.values(), *results)
        check_folder(frames, stay, overwrite)
    if dry_run:
        _preview({**pictures, **placement, "config": settings, "max_memory": limit})
        return
    keeper = Keeper(target if save_every else None, frames, record_path(target), overwrite)
    started = time.monotonic()
    extras = {"checkpoint": saved, "max_memory": limit, "absolute_paths": absolute_paths}
    asked = {**pictures, **placement, "config": settings, **extras}
    result = _compute(asked, keeper, save_every, target)
    warn(
        f"pass {log['name']}: {text}" for log in result.record["passes"] for text in log["trouble"]
    )
    _write(result, target, sheet, page, overwrite, keeper.replaces)
    keeper.keep_frame(result.picture)
    interrupted = bool(result.record["interrupted"])
    note = ", interrupted: the picture so far" if interrupted else ""
    if saved and not interrupted:
        saved.remove()
    typer.echo(f"{target} ({time.monotonic() - started:.0f} s{note})")
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _preview(asked: dict[str, Any]) -> None:
    """Say what a run would compute with and take."""
    from harmonize.run.memory_limit import show
    from harmonize.run.pipeline import prepare

    run = prepare(**asked)
    announce(run.facts)
    steps = " + ".join(f"{count} {name}" for name, count in run.steps)
    high, wide = run.view.window.shape
    typer.echo(
        f"about {show(run.need)} of memory at the peak; {steps} steps on {wide} x {high} pixels"
    )


def _is_made(
    settings: Settings,
    placement: Any,
    pictures: Mapping[str, Path],
    limit: int | None,
    outputs: Sequence[Path],
) -> bool:
    """Whether all outputs are there, the first of them made of just this."""
    there = all(path.exists() for path in outputs)
    config = settings.model_dump(mode="json")
    return there and is_result(outputs[0], config, placement, hashes(pictures), limit)


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


def _compute(asked: dict[str, Any], keeper: Keeper, every: int | None, target: Path) -> "Result":
    """Run the library with what is `asked`, its progress shown and its pictures so far kept."""
    with Interrupt(keeper.left) as interrupt, Bars() as bars:
        from harmonize.run.pipeline import harmonize

        def on_start(facts: dict[str, Any]) -> None:
            keeper.count = facts.get("resumed", 0) // (every or 1)
            announce(facts)
            warn(losses(target, facts["original"]))

        def on_step(step: "Step") -> None:
            bars.show(step)
            interrupt.check()

        def on_picture(_: "Step", picture: "StoredImage") -> None:
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
        write_sheet(
            board, [StoredImage(result.scene.composite).shown, result.picture.shown], overwrite
        )
    if page is not None:
        from harmonize.reports.page import Entry, write_report

        write_report(page, [Entry(target.name, "done", record_path(target), None)], overwrite)
