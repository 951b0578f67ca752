"""`harmonize compare`: what sets two runs apart."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from harmonize.errors import InputError, OutputError
from harmonize.images.atomic_file import check_output
from harmonize.images.read import read_srgb
from harmonize.images.write import picture_format, write_sheet
from harmonize.run.record import differences, nameable, read_tree

Tree = dict[str, Any]
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
    """Say what differs between two runs, and write their pictures side by side."""
    a, b = read_tree(first), read_tree(second)
    target = output or Path(f"{first.stem}-{second.stem}.png")
    picture_format(target)
    check_output(target, overwrite)
    files = [_file(first, a), _file(second, b)]
    if os.path.realpath(target) in map(os.path.realpath, files):
        raise OutputError(f"{target}: is one of the pictures that are compared; use another name")
    pictures = [read_srgb("picture", file) for file in files]
    _print("Settings", differences(a["config"], b["config"]))
    _print("Inputs", differences(_inputs(a), _inputs(b)))
    _print("Placement", differences(a["placement"], b["placement"]))
    _print("Circumstances", differences(_circumstances(a), _circumstances(b)))
    write_sheet(target, pictures, overwrite)
    typer.echo(target)


def _file(record: Path, tree: Tree) -> Path:
    """The picture of a record: it lies beside it."""
    name = tree.get("output")
    if not isinstance(name, str) or not Path(name).name or not nameable(name):
        raise InputError(f"record {record}: names no picture; compare records of `harmonize run`")
    return record.with_name(Path(name).name)


def _inputs(tree: Tree) -> Tree:
    """Role → name and start of the hash: the same file elsewhere is the same input."""
    try:
        return {
            role: f"{Path(entry['path'] or 'no file').name} ({entry['sha256'][:12]}…)"
            for role, entry in tree["inputs"].items()
        }
    except (KeyError, TypeError) as error:
        raise InputError(f"not a whole run record ({error!r} in its inputs)") from error


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
