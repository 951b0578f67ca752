"""`harmonize config`: look at the settings."""

import json
from typing import Annotated

import typer

from harmonize.config import about, annotated, load, presets
from harmonize.errors import ConfigError
from harmonize.file_schema import file_schema
from harmonize.layers import printable

app = typer.Typer(help="Look at the settings.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """Name the presets and say what each is for."""
    for name in presets():
        typer.echo(f"{name:9} {about(name)}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")] = "default",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting.")
    ] = None,
) -> None:
    """Print all settings of a preset or a file, and where each came from.

    It is YAML that --config takes.
    """
    typer.echo(annotated(name, set_ or []), nl=False)


@app.command("check")
def check(files: Annotated[list[str], typer.Argument(metavar="FILE...")]) -> None:
    """Check files of settings; name all that is wrong with them (exit code 2)."""
    wrong = False
    for file in files:
        try:
            load(file)
        except ConfigError as error:
            wrong = True
            typer.echo("\n".join(error.lines))
        else:
            typer.echo(f"{printable(file)}: ok")
    if wrong:
        raise typer.Exit(ConfigError.exit_code)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a file of settings, for editors."""
    typer.echo(json.dumps(file_schema(), indent=2, ensure_ascii=False))
