"""`harmonize frames`: the pictures of a run, one after the other."""

from pathlib import Path
from typing import Annotated

import typer

from harmonize.run.snapshots import animate


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
    """Make an animation of the pictures that a run kept."""
    count = animate(folder, target, fps=fps, width=width, overwrite=overwrite)
    typer.echo(f"{target} ({count} frames)")
