"""The command line: parse, call the library, report. Only this folder prints.

torch is imported only by the commands that compute, so that `--help` answers at once.
"""

import io
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from harmonize import __version__
from harmonize.cli import batch, compare, frames, inspect, run
from harmonize.cli.progress import INTERRUPTED
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
app.command()(inspect.doctor)
app.add_typer(inspect.config, name="config")
app.add_typer(inspect.weights, name="weights")


# What typer raises for words it cannot make sense of; it exports only this subclass.
USAGE: Any = typer.BadParameter.__base__


def main(args: Sequence[str] | None = None) -> None:
    """Run the command `harmonize`; every error that the user can mend ends here, a line each."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may be no text
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(args=args, prog_name="harmonize", standalone_mode=False)
    except HarmonizeError as error:
        _complain(error.lines)
        code = error.exit_code
    except MemoryError:
        _complain(
            ["out of memory; give --max-memory, such as --max-memory 1GB, or smaller pictures"]
        )
        code = HarmonizeError.exit_code
    except typer.Abort:  # Ctrl-C before anything began
        code = INTERRUPTED
    except USAGE as error:
        message = " ".join((error.format_message() or "").split())
        if message:  # there is none where no words at all bring the help
            command = error.ctx.command_path if error.ctx else "harmonize"
            _complain([f"{message.rstrip('.')}; see {command} --help"])
        code = error.exit_code
    sys.exit(code)


def _complain(lines: Sequence[str]) -> None:
    for line in lines:
        typer.echo(f"harmonize: error: {line}", err=True)


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
