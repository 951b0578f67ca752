"""Parse, call the library, report."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from harmonize import __version__
from harmonize.cli import batch, cutout, inspect, report, run, studio
from harmonize.cli.options import in_flags, in_keys
from harmonize.cli.progress import INTERRUPTED, deaf_to_hang_ups, forgiving_streams
from harmonize.errors import HarmonizeError, JobsError
from harmonize.settings.messages import nearest_word

# What typer raises for words it cannot make sense of; it exports only this subclass.
USAGE: Any = typer.BadParameter.__base__

# Commands whose result is a file: what they say may get lost.
WORKING = ("run", "batch", "cutout", "frames", "report")


LEFT = 25  # columns of the help that names and values have
WIDEST = 100  # columns of the help


class Command(TyperCommand):
    """A command with a line of help per option."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        width = min(shutil.get_terminal_size().columns, WIDEST)
        lines = [f"Usage: {ctx.command_path} {' '.join(self.collect_usage_pieces(ctx))}"]
        for paragraph in (self.help or "").split("\n\n"):
            said = [line.strip() for line in paragraph.splitlines()]
            if said[0].startswith("harmonize "):  # an example
                lines += [f"Example: {line}" for line in said]
            else:
                lines += textwrap.wrap(" ".join(said), width)
        panels: dict[str, list[Any]] = {}
        for param in self.get_params(ctx):
            if not getattr(param, "hidden", False) and param.name != "help":
                panel = getattr(param, "rich_help_panel", None) or "Options"
                panels.setdefault(panel, []).append(param)
        for panel, params in panels.items():
            lines.append(f"{panel}:")
            for param in params:
                lines += _help_lines(param, width)
        formatter.write("\n".join(lines) + "\n")


def _help_lines(param: Any, width: int) -> Iterator[str]:
    value = param.metavar or param.name.upper()
    if param.param_type_name == "argument":
        name = value
    else:
        name = "/".join([*param.opts, *param.secondary_opts])
        name += "" if getattr(param, "is_flag", False) else f" {value}"
    text = textwrap.wrap(param.help or "", max(20, width - LEFT)) or [""]
    if len(name) > LEFT - 3:
        yield f"  {name}"
        name = ""
    for line in text:
        yield f"  {name:{LEFT - 2}}{line}"
        name = ""


class Commands(TyperGroup):
    """Names the nearest command for a mistyped one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            raise USAGE(f"there is no command {args[0]!r}{nearest_word(args[0], names)}", ctx)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    help="Paste an element into a painting so that it looks painted there.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
MADE = (run.run, batch.batch, cutout.cutout, studio.studio)
for command in (*MADE, report.compare, report.report, report.frames, inspect.doctor):
    app.command(cls=Command)(command)
app.add_typer(inspect.config, name="config")
app.add_typer(inspect.weights, name="weights")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command; a user's mistake ends as a line."""
    words = [_at_home(word) for word in (sys.argv[1:] if args is None else args)]
    lost = forgiving_streams()
    _wait_without_spinning()
    with deaf_to_hang_ups() if words[:1] and words[0] in WORKING else nullcontext():
        code = _run_words(words)
    failed = lost()
    if failed and is_heard(words) and not code:
        code = 1
        if not isinstance(failed, BrokenPipeError):
            _complain([f"standard output: cannot be written ({failed.strerror})"])
    sys.exit(code)


def is_heard(words: Sequence[str]) -> bool:
    """Tell whether a command prints its result."""
    pairs = {("--output", "-"), ("-o", "-")}
    to_stdout = "--output=-" in words or not pairs.isdisjoint(pairwise(words))
    return not words or words[0] not in WORKING or "--dry-run" in words or to_stdout


def _run_words(words: Sequence[str]) -> int:
    try:
        return int(app(args=words, prog_name="harmonize", standalone_mode=False) or 0)
    except HarmonizeError as error:
        _complain(
            [(in_keys if isinstance(error, JobsError) else in_flags)(line) for line in error.lines]
        )
        return error.exit_code
    except MemoryError:
        _complain(
            ["out of memory; give --max-memory, such as --max-memory 1GB, or smaller pictures"]
        )
        return HarmonizeError.exit_code
    except FileNotFoundError:
        if _is_somewhere():
            raise
        _complain(["the folder that this was started in is gone; change to another one"])
        return HarmonizeError.exit_code
    except typer.Abort:  # Ctrl-C before anything began
        return INTERRUPTED
    except USAGE as error:
        message = _usage(error)
        if type(error).__name__ == "NoArgsIsHelpError":  # no words at all bring the help
            typer.echo(error.format_message())
        else:
            command = error.ctx.command_path if error.ctx else "harmonize"
            _complain([f"{message}; see {command} --help"])
        return int(error.exit_code)


def _is_somewhere() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def _usage(error: Any) -> str:
    wrong = getattr(error, "option_name", None)
    if wrong and error.ctx:
        flags = [flag for param in error.ctx.command.get_params(error.ctx) for flag in param.opts]
        known = [flag for flag in flags if flag.startswith("-")]
        near = nearest_word(wrong, known)
        return f"there is no option {wrong}" + (near if "did you mean" in near else "")
    return " ".join((error.format_message() or "").split()).rstrip(".")


def _wait_without_spinning() -> None:
    if "torch" not in sys.modules:
        # Let threads sleep at barriers; OpenMP reads this once, when torch is imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _at_home(word: str) -> str:
    # `--flag=~/…` as the shell gives `--flag ~/…`.
    flag, path = re.match(r"(--[\w-]+=)?(.*)", word, re.DOTALL).groups()  # type: ignore[union-attr]
    return flag + os.path.expanduser(path) if flag and path.startswith("~/") else word


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
