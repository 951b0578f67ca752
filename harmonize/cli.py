"""The command line: parse, call the library, report. Only `cli`, `commands` and `progress` print.

torch is imported only by the commands that compute, so that `--help` answers at once.
"""

import io
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from harmonize import __version__
from harmonize.commands import batch, compare, config, doctor, frames, run, weights
from harmonize.errors import HarmonizeError

app = typer.Typer(
    help="Paste an element into a painting so that it looks painted there.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(run.run)
app.command()(batch.batch)
app.command()(frames.frames)
app.command()(compare.compare)
app.command()(doctor.doctor)
app.add_typer(config.app, name="config")
app.add_typer(weights.app, name="weights")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command `harmonize`; every error that the user can mend ends here, a line each."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may be no text
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=args, prog_name="harmonize")
    except HarmonizeError as error:
        for line in error.lines:
            typer.echo(f"harmonize: error: {line}", err=True)
        sys.exit(error.exit_code)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"harmonize {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass
