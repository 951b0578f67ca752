"""`harmonize config`: look at the settings."""

from typing import Annotated

import typer

from harmonize.config import dump, load, presets

app = typer.Typer(help="Look at the settings.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """Name the presets."""
    for name in presets():
        typer.echo(name)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")] = "default",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting.")
    ] = None,
) -> None:
    """Print all settings of a preset or a file, as YAML that --config takes."""
    typer.echo(dump(load(name, set_ or [])), nl=False)
