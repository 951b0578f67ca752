"""`harmonize doctor`: is everything here that a run needs?"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer


def doctor(
    json_: Annotated[bool, typer.Option("--json", help="Print it for machines.")] = False,
) -> None:
    """Look at versions, devices, memory and weights, and make a tiny run.

    The exit code is 1 if something is wrong; the line says what to do.
    """
    checks = []
    for check in _checks():
        checks.append(check)
        if not json_:
            mark, advice = ("ok   ", "") if check["ok"] else ("WRONG", f"; {check['advice']}")
            found = " ".join(f"{check['found']}{advice}".split())
            typer.echo(f"{mark} {check['name']:20} {found}")
    right = all(check["ok"] for check in checks)
    if json_:
        typer.echo(json.dumps({"ok": right, "checks": checks}, indent=2, ensure_ascii=False))
    if not right:
        raise typer.Exit(1)


def _checks() -> Iterator[dict[str, Any]]:
    try:
        from harmonize.doctor import examine
    except (ImportError, OSError) as error:  # OSError: a library of torch's that does not load
        advice = "install the package again"
        yield {"name": "import", "ok": False, "found": str(error), "advice": advice}
        return
    yield from map(asdict, examine())
