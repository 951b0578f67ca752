"""What options ask for: pictures, placement, settings, a limit."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from harmonize.errors import InputError
from harmonize.images.write import default_output
from harmonize.run.record import Record
from harmonize.settings.load import Settings, load, restore


def option(panel: str, text: str, *names: str, metavar: str | None = None, **more: Any) -> Any:
    """An option of a command, under the heading `panel` of its help."""
    return typer.Option(*names, metavar=metavar, help=text, rich_help_panel=panel, **more)


def pictures_of(before: Record | None, **given: Path | None) -> dict[str, Path]:
    """Return role → file: from the record, replaced by what the command line names."""
    named = {role: path for role, path in given.items() if path is not None}
    if before and "patch" in named:  # another patch has other masks
        kept = {"painting": before.inputs["painting"]}
    else:
        kept = dict(before.inputs) if before else {}
    pictures = {**kept, **named}
    for role, flag in (("painting", "--style"), ("patch", "--patch")):
        if role not in pictures:
            raise InputError(f"no {role} given; use {flag} FILE")
    return pictures


def placement_of(
    before: Record | None, at: str | None, width: int | None, scale: float | None
) -> dict[str, Any]:
    """`at`, `width` and `scale`: the record's, replaced by what the command line says."""
    placement: dict[str, Any] = {"at": None, "width": None, "scale": None}
    if before:
        placement = {"at": before.at, "width": before.width, "scale": before.scale}
    if at is not None:
        placement["at"] = _corner(at)
    if width is not None or scale is not None:
        placement.update(width=width, scale=scale)
    return placement


def _corner(text: str) -> tuple[int, int]:
    try:
        x, y = map(int, text.split(","))
    except ValueError:
        raise InputError(f"--at {text}: expected X,Y in whole pixels, such as 120,40") from None
    return x, y


def quoted(text: str | None) -> str | None:
    """Make sure that YAML reads a name as a string, whatever is in it."""
    return None if text is None else json.dumps(text)


def settings_of(
    before: Record | None,
    name: str | None,
    overrides: Sequence[str],
    options: Mapping[str, object],
) -> Settings:
    """The settings: the record's, or a preset's or file's, with what the options say on top."""
    if before and name is None:
        return restore(before.config, overrides, f"record {before.path}", options)
    return load(name or "default", overrides, options)


def default_target(before: Record | None, painting: Path) -> Path:
    """Where the picture goes that no `--output` names."""
    if before and before.output:
        return before.path.with_name(before.output)
    return default_output(painting)


def bytes_of(text: str) -> int:
    """A size such as 2GB, 1.5 GiB or 800MB, in bytes."""
    units = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if not match or not float(match[1]):
        raise InputError(f"--max-memory {text}: expected a size such as 2GB or 800MB")
    power = units[match[2].upper()]
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)
