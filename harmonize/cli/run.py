"""`harmonize run`: one picture."""

import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harmonize.cli.cutout import BoxOption, InvertMask, MaskValue, cut_file, cut_first
from harmonize.cli.options import (
    COMPLETE,
    EXPERT,
    At,
    Flip,
    Height,
    MaxPixels,
    Rotate,
    Scale,
    Targets,
    Width,
    given_pictures,
    inputs_of,
    option,
    pictures_of,
    placement_of,
    run_to_stdout,
    settings_of,
    targets_of,
    write_pasted,
)
from harmonize.cli.progress import INTERRUPTED, Bars, Interrupt, announce, lost, warn
from harmonize.errors import OutputError
from harmonize.images.atomic_file import check_output, made_folders
from harmonize.images.image import StoredImage
from harmonize.images.protected import protect
from harmonize.images.write import check_sheet, losses, write_sheet
from harmonize.run.record import goes_on, hashes, is_result, read_record
from harmonize.run.result import or_kept, write_result
from harmonize.run.snapshots import Keeper
from harmonize.settings.load import Settings

if TYPE_CHECKING:
    from harmonize.run.checkpoint import Checkpoint
    from harmonize.run.result import Result
    from harmonize.run.session import Progress

PICTURES, LOOK, RESULTS = "Pictures", "Look", "Results"


def run(
    painting: Annotated[
        Path | None,
        typer.Argument(
            metavar="PAINTING", help="The painting (required).", rich_help_panel=PICTURES
        ),
    ] = None,
    element: Annotated[
        Path | None,
        typer.Argument(
            metavar="ELEMENT",
            help="The photograph or cut-out to paste (required).",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    style: Annotated[Path | None, option(PICTURES, "The painting, instead of PAINTING.")] = None,
    patch: Annotated[Path | None, option(PICTURES, "The element, instead of ELEMENT.")] = None,
    mask: Annotated[
        Path | None, option(PICTURES, "White where the element is. [its transparency]")
    ] = None,
    box: BoxOption = None,
    mask_value: MaskValue = None,
    invert_mask: InvertMask = False,
    at: At = None,
    width: Width = None,
    height: Height = None,
    scale: Scale = None,
    rotate: Rotate = None,
    flip: Flip = None,
    config: Annotated[
        str | None,
        option(
            LOOK,
            "A preset or a file of settings. [default]",
            metavar="NAME|FILE",
            complete=COMPLETE["config"],
        ),
    ] = None,
    strength: Annotated[
        str | None,
        option(
            LOOK,
            "How boldly to paint, 1 to 10, or a word. [auto]",
            metavar="N",
            complete=COMPLETE["strength"],
        ),
    ] = None,
    keep: Annotated[
        float | None,
        option(LOOK, "How much of the drawing to keep: 2 is twice. [1]", metavar="N"),
    ] = None,
    keep_color: Annotated[
        float | None,
        option(LOOK, "How much of its own color to keep, 0 to 1. [0.5]", metavar="N"),
    ] = None,
    size: Annotated[
        str | None,
        option(
            LOOK,
            "The painting's long side at work. [700]",
            metavar="PX|native",
            complete=COMPLETE["size"],
        ),
    ] = None,
    output: Annotated[
        Path | None, option(RESULTS, "The picture; - is stdout. [PAINTING-harmonized]")
    ] = None,
    sheet: Annotated[Path | None, option(RESULTS, "Also pasted and painted side by side.")] = None,
    report: Annotated[
        bool, option(RESULTS, "Also a page to look at, OUTPUT.html.", "--report")
    ] = False,
    overwrite: Annotated[
        bool, option(RESULTS, "Replace results that exist.", "--overwrite")
    ] = False,
    dry_run: Annotated[
        bool,
        option(RESULTS, "Check all, say what it would take; --sheet: pasted.", "--dry-run"),
    ] = False,
    record: Annotated[
        Path | None, option(RESULTS, "Repeat the run of this record; options change it.")
    ] = None,
    resume: Annotated[
        bool, option(RESULTS, "Save progress; go on where a killed run was.", "--resume")
    ] = False,
    loose_mask: Annotated[
        Path | None, option(EXPERT, "White where pixels may change. [around the mask]")
    ] = None,
    set_: Annotated[
        list[str] | None,
        option(
            EXPERT,
            "Any setting, such as passes.refine.steps=40.",
            "--set",
            metavar="KEY=VALUE",
            complete=COMPLETE["set"],
        ),
    ] = None,
    weights: Annotated[
        str | None,
        option(
            EXPERT,
            "oxford, torchvision or a file. [oxford]",
            metavar="NAME|FILE",
            complete=COMPLETE["weights"],
        ),
    ] = None,
    device: Annotated[
        str | None,
        option(
            EXPERT,
            "auto, cpu, cuda, cuda:N or mps. [auto]",
            metavar="NAME",
            complete=COMPLETE["device"],
        ),
    ] = None,
    seed: Annotated[
        int | None, option(EXPERT, "Another number, other strokes. [0]", metavar="N")
    ] = None,
    threads: Annotated[
        int | None,
        option(EXPERT, "How many processors to use. [all]", metavar="N", min=1),
    ] = None,
    max_memory: Annotated[
        str | None,
        option(EXPERT, "Fit into this, such as 2GB: smaller tiles or size.", metavar="BYTES"),
    ] = None,
    max_pixels: MaxPixels = None,
    format_: Annotated[
        str | None,
        option(EXPERT, "png, jpg, tif, webp or bmp. [from the name]", "--format", metavar="EXT"),
    ] = None,
    save_every: Annotated[
        int | None,
        option(EXPERT, "Write the picture so far every N steps.", metavar="N", min=1),
    ] = None,
    frames: Annotated[
        Path | None,
        option(EXPERT, "Keep every such picture, numbered, in a folder.", metavar="DIR"),
    ] = None,
    checkpoint: Annotated[
        Path | None, option(EXPERT, "Where progress is saved. [OUTPUT.checkpoint]")
    ] = None,
    absolute_paths: Annotated[
        bool, option(EXPERT, "Name files in your home in full.", "--absolute-paths")
    ] = False,
) -> None:
    """Make a pasted element look painted. Writes the picture and its record.

    harmonize run painting.jpg cutout.png --at 690,480 --width 330
    """
    asked = SimpleNamespace(**locals())
    asked.to_stdout = output == Path("-")
    with run_to_stdout(asked) if asked.to_stdout else nullcontext():
        _run_picture(asked)


def _run_picture(asked: Any) -> None:
    given = given_pictures(asked)
    before = read_record(asked.record, given) if asked.record else None
    warn(before.notes if before else ())
    pictures = pictures_of(before, given)
    settings = settings_of(asked, before)
    targets = targets_of(asked, before, pictures["painting"])
    placement = placement_of(asked, before)
    wanted = {**pictures, "placement": placement, "max_memory": asked.max_memory}
    path = asked.checkpoint or (asked.resume and targets.picture.with_suffix(".checkpoint")) or None
    outputs = [*targets.files, *([("--checkpoint", path)] if path else [])]
    outputs += cut_file(asked, targets.picture)
    protect(inputs_of(asked, before, given, pictures, settings), [*outputs, *targets.old_frames])
    wanted |= cut_first(asked, pictures, targets.picture)
    if asked.threads:
        from harmonize.synthesis.network.device import use_threads

        use_threads(asked.threads)
    with ExitStack() as stack:
        if not asked.dry_run:
            frames = [targets.frames] if targets.frames else []
            stack.enter_context(made_folders([*(path for _, path in outputs), *frames]))
        saved = _checkpoint(path, asked, targets, pictures)
        so_far = (targets.picture, targets.sheet, bool(saved and saved.there))
        overwrite = asked.overwrite or (asked.resume and goes_on(*so_far))
        if asked.resume and not overwrite and _is_made(settings, wanted, targets):
            typer.echo(f"{targets.picture} (done already)")
            return
        targets.check([*pictures.values()], overwrite, asked.dry_run)
        if asked.dry_run:
            _dry_run_picture(settings, wanted, targets.sheet, overwrite)
        else:
            _paint_picture(asked, settings, wanted, saved, targets, overwrite)


# --- before the run -------------------------------------------------------------------------------


def _checkpoint(
    path: Path | None, asked: Any, targets: Targets, pictures: Mapping[str, Path]
) -> "Checkpoint | None":
    if path is None:
        return None
    check_output(path, overwrite=True, missing_folder=asked.dry_run)
    from harmonize.run.checkpoint import Checkpoint

    if path.is_file() and not (asked.resume or asked.overwrite):
        raise OutputError(f"{path}: exists; give --resume to go on, or --overwrite to begin anew")
    saved = Checkpoint(path, targets.all, anew=not asked.resume, on_loss=lost)
    saved.check([*pictures.values()])
    return saved


def _is_made(settings: Settings, wanted: Mapping[str, Any], targets: Targets) -> bool:
    from harmonize.run.memory_limit import parse

    pictures = {role: path for role, path in wanted.items() if isinstance(path, Path)}
    config = settings.model_dump(mode="json")
    made_of = (config, wanted["placement"], hashes(pictures), parse(wanted["max_memory"]))
    return all(path.exists() for path in targets.all) and is_result(targets.picture, *made_of)


def _dry_run_picture(
    settings: Settings, wanted: dict[str, Any], sheet: Path | None, overwrite: bool
) -> None:
    if sheet is not None:  # before torch is loaded: this one is looked at
        write_pasted(sheet, wanted, overwrite)
        typer.echo(f"{sheet} (the painting, and the element pasted)")
    from harmonize.run.memory_limit import show_memory
    from harmonize.run.session import Session

    plan = Session(settings, cache=0).plan(**wanted)
    announce(plan)
    steps = " + ".join(f"{count} {name}" for name, count in plan.steps)
    wide, high = plan.region
    typer.echo(
        f"about {show_memory(plan.need)} of memory at the peak; "
        f"{steps} steps on {wide} x {high} pixels"
    )


# --- the run --------------------------------------------------------------------------------------


def _paint_picture(
    asked: Any,
    settings: Settings,
    wanted: dict[str, Any],
    saved: "Checkpoint | None",
    targets: Targets,
    overwrite: bool,
) -> None:
    started = time.monotonic()
    so_far = targets.picture if asked.save_every else None
    keeper = Keeper(so_far, targets.frames, targets.record, overwrite, lost)
    with Interrupt(keeper.left) as interrupt, Bars() as bars:
        from harmonize.run.session import Session

        plan = (session := Session(settings, cache=0)).plan(**wanted)
        announce(plan)
        warn(losses(targets.picture, plan.scene.original))
        if targets.sheet is not None:
            check_sheet(targets.sheet, [plan.scene.original.size] * 2)

        def on_progress(progress: "Progress") -> None:
            keeper.see(progress, asked.save_every or 1)
            if progress.stage != "finish":
                bars.show(progress)
            interrupt.check()

        result = session.run(
            plan, on_progress=on_progress, checkpoint=saved, absolute_paths=asked.absolute_paths
        )
    warn(
        f"pass {log['name']}: {text}" for log in result.record["passes"] for text in log["trouble"]
    )
    _write(result, targets, overwrite, keeper.replaces)
    keeper.end(result.picture)
    interrupted = bool(result.record["interrupted"])
    note = ", interrupted: the picture so far" if interrupted else ""
    if saved and not interrupted:
        saved.remove()
    picture = f"{targets.picture} ({time.monotonic() - started:.0f} s{note})"
    for line in filter(None, (picture, targets.sheet, targets.page)):
        typer.echo(line, err=asked.to_stdout)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _write(result: "Result", targets: Targets, overwrite: bool, replace: bool) -> None:
    with or_kept(targets.picture.name, result.save):
        write_result(targets.picture, result.picture, result.record, overwrite, replace=replace)
    if targets.sheet is not None:
        pictures = [StoredImage(result.scene.composite).shown, result.picture.shown]
        write_sheet(targets.sheet, pictures, overwrite)
    if targets.page is not None:
        from harmonize.reports.page import Entry, write_report

        entries = [Entry(targets.picture.name, "done", targets.record, None)]
        write_report(targets.page, entries, overwrite)
