"""`harmonize config`, `weights` and `doctor`."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from harmonize.cli.options import complete, in_flags, settings_keys
from harmonize.errors import ConfigError
from harmonize.settings.dump import annotated, file_schema
from harmonize.settings.load import about, load, presets
from harmonize.settings.yaml_reader import printable

config = typer.Typer(help="Look at the settings.", no_args_is_help=True)
weights = typer.Typer(help="Look at and fetch network weights.", no_args_is_help=True)


@config.command("list")
def list_presets() -> None:
    """Name the presets and say what each is for."""
    for name in presets():
        typer.echo(f"{name:9} {about(name)}")


@config.command("show")
def show_settings(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", autocompletion=complete(presets))
    ] = "default",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One setting.",
            autocompletion=complete(settings_keys),
        ),
    ] = None,
) -> None:
    """Print all settings of a preset or a file, and where each came from.

    It is YAML that --config takes.
    """
    typer.echo(annotated(name, set_ or []), nl=False)


@config.command("check")
def check_settings(files: Annotated[list[str], typer.Argument(metavar="FILE...")]) -> None:
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


@config.command("schema")
def schema() -> None:
    """Print the JSON Schema of a file of settings, for editors."""
    typer.echo(json.dumps(file_schema(), indent=2, ensure_ascii=False))


@weights.command("list")
def list_weights() -> None:
    """Name the sets of weights and say whether they are here."""
    from harmonize.synthesis.network.weights import NAMES, cached_torchvision

    path = cached_torchvision()
    for name, meaning in NAMES.items():
        missing = name == "torchvision" and not path.exists()
        state = "not here; fetch it with `harmonize weights download`" if missing else "ready"
        typer.echo(f"{name:12} {state} ({meaning})")


@weights.command("download")
def download_weights() -> None:
    """Fetch torchvision's weights into its cache, for use without a network."""
    from harmonize.synthesis.network import weights as sets

    typer.echo(sets.download(progress=True))


def doctor(
    json_: Annotated[bool, typer.Option("--json", help="Print it for machines.")] = False,
) -> None:
    """Look for what may be wrong with the installation.

    Versions, devices, memory, weights and a tiny run. The exit code is 1 if something is wrong;
    the line says what to do.
    """
    checks = []
    for check in _checks():
        checks.append(check)
        if not json_:
            mark, advice = ("ok   ", "") if check["ok"] else ("WRONG", f"; {check['advice']}")
            found = " ".join(f"{check['found']}{advice}".split())
            typer.echo(in_flags(f"{mark} {check['name']:20} {found}"))
    right = all(check["ok"] for check in checks)
    if json_:
        typer.echo(json.dumps({"ok": right, "checks": checks}, indent=2, ensure_ascii=False))
    if not right:
        raise typer.Exit(1)


def _checks() -> Iterator[dict[str, Any]]:
    try:
        from harmonize.run.self_test import examine
    except (ImportError, OSError) as error:  # OSError: a library of torch's that does not load
        advice = "install the package again"
        yield {"name": "import", "ok": False, "found": str(error), "advice": advice}
        return
    yield from map(asdict, examine())
