"""The commands, a module each; `cli` puts them together."""

from typing import Any

import typer


def option(panel: str, text: str, *names: str, metavar: str | None = None, **more: Any) -> Any:
    """An option of a command, under the heading `panel` of its help."""
    return typer.Option(*names, metavar=metavar, help=text, rich_help_panel=panel, **more)
