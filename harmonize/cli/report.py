"""`harmonize compare`, `report` and `frames`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from harmonize.errors import InputError
from harmonize.images.atomic_file import check_output, made_folders
from harmonize.images.protected import protect
from harmonize.images.read import read_srgb
from harmonize.images.write import check_sheet, picture_format, write_sheet
from harmonize.run.record import GIVE_RECORD, differences, find_home, nameable, read_tree
from harmonize.run.snapshots import animate, frames_in
from harmonize.settings.yaml_reader import Tree

Row = tuple[str, str, str]  # dotted key, its value in the first record, and in the second

CIRCUMSTANCES = ("strength", "size", "device", "precision", "threads", "weights", "versions")


def compare(
    first: Annotated[Path, typer.Argument(metavar="A.json", help="A run record.")],
    second: Annotated[Path, typer.Argument(metavar="B.json", help="Another.")],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="SHEET",
            help="Where both pictures go, side by side; if left out: A-B.png in this folder.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a sheet that exists.")
    ] = False,
) -> None:
    """Say what sets two runs apart.

    Their pictures go side by side into a sheet.
    """
    a, b = read_tree(first), read_tree(second)
    target = output or Path(f"{first.stem}-{second.stem}.png")
    picture_format(target)
    files = [_picture_of(first, a), _picture_of(second, b)]
    protect(_told_of([first, second]), [("--output", target)])
    check_output(target, overwrite, missing_folder=True)
    pictures = [read_srgb("picture", file) for file in files]
    check_sheet(target, [picture.size for picture in pictures])
    _print("Settings", differences(a["config"], b["config"]))
    _print("Inputs", differences(_inputs(first, a), _inputs(second, b)))
    _print("Placement", differences(a["placement"], b["placement"]))
    _print("Circumstances", differences(_circumstances(a), _circumstances(b)))
    with made_folders([target]):
        write_sheet(target, pictures, overwrite)
    typer.echo(target)


def _picture_of(record: Path, tree: Tree) -> Path:
    name = tree.get("output")
    if not isinstance(name, str) or not Path(name).name or not nameable(name):
        raise InputError(f"record {record}: names no picture; compare records of `harmonize run`")
    return record.with_name(Path(name).name)


def _inputs(path: Path, tree: Tree) -> Tree:
    try:
        return {
            # The same file elsewhere is the same input.
            role: f"{Path(entry['path'] or 'no file').name} ({entry['sha256'][:12]}…)"
            for role, entry in tree["inputs"].items()
        }
    except (KeyError, TypeError) as error:
        raise InputError(f"record {path}: not a whole record ({error!r}); {GIVE_RECORD}") from error


def _circumstances(tree: Tree) -> Tree:
    return {key: tree.get(key) for key in CIRCUMSTANCES}


def _print(title: str, rows: list[Row]) -> None:
    if not rows:
        typer.echo(f"{title}: the same")
        return
    typer.echo(f"{title}:")
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for key, left, right in rows:
        typer.echo(f"  {key:{widths[0]}}  {left:{widths[1]}}  {right}")


def report(
    records: Annotated[
        list[Path], typer.Argument(metavar="RECORD.json...", help="Run records (required).")
    ],
    output: Annotated[
        Path, typer.Option(metavar="PAGE.html", help="The page. [report.html]")
    ] = Path("report.html"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a page that exists.")
    ] = False,
) -> None:
    """Make a page to look at of runs that are done.

    harmonize report out.json bold.json --output page.html
    """
    from harmonize.reports.page import Entry, check_page, write_report

    protect(_told_of(records), [("--output", output)])
    check_page(output, overwrite, missing_folder=True)
    with made_folders([output]):
        entries = [Entry(record.stem, "done", record, None) for record in records]
        write_report(output, entries, overwrite)
    typer.echo(output)


def _told_of(records: list[Path]) -> Iterator[tuple[str, Path]]:
    for record in records:
        tree = read_tree(record)
        yield "a record", record
        yield "a picture", _picture_of(record, tree)
        inputs = tree["inputs"].values()
        paths = [entry.get("path") for entry in inputs if isinstance(entry, dict)]
        yield from (("an input", find_home(path)) for path in paths if isinstance(path, str))


def frames(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where `harmonize run --frames DIR` kept them.")
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUT.gif|.webp", help="The animation to be written.")
    ],
    fps: Annotated[float, typer.Option(metavar="N", min=0.1, max=50, help="Frames a second.")] = 10,
    width: Annotated[
        int | None, typer.Option(metavar="PX", min=1, help="Width of the animation.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an animation that exists.")
    ] = False,
) -> None:
    """Make an animation of what a run kept."""
    there = frames_in(folder) if os.path.isdir(folder) else []
    protect([("a frame", path) for path in there], [("OUT", target)])
    with made_folders([target]):
        count = animate(folder, target, fps=fps, width=width, overwrite=overwrite)
    typer.echo(f"{target} ({count} frames)")
