"""The names of results."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from harmonize.errors import InputError
from harmonize.images.write import WRITABLE, default_output
from harmonize.run.result import record_path
from harmonize.settings.yaml_reader import printable, show

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def fill_template(
    template: str, painting: Path, values: Mapping[str, Any], settings: Mapping[str, Any]
) -> str:
    """Fill in a template's `{key}`s from `values` and dotted settings."""

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1], setting(settings, match[1]))
        if value is None or isinstance(value, (dict, list)):
            raise InputError(
                f"output {template}: {match[0]} is no setting with one value here; use "
                "{painting}, {patch}, {index} or a setting such as {strength}"
            )
        return _in_name(value)

    name = PLACEHOLDER.sub(fill, template)
    if not re.fullmatch(r"\.[A-Za-z]\w*", PurePath(template).suffix):
        return with_format(name, painting)
    if PurePath(name).suffix.lower() not in WRITABLE:
        raise InputError(f"output {template}: unknown format; use one of {', '.join(WRITABLE)}")
    return name


def with_format(name: str, painting: Path) -> str:
    """Add the painting's extension, or .png."""
    return name + default_output(painting).suffix


def setting(tree: Mapping[str, Any], dotted: str) -> Any:
    """Return a dotted key's value, or None."""
    found: Any = tree
    for key in dotted.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def inside(folder: Path, name: str) -> Path:
    """Return a result's place, never outside the folder."""
    path = folder / name
    root = os.path.realpath(folder)
    try:
        for written in (path, record_path(path)):
            if os.path.commonpath([root, os.path.realpath(written)]) != root:
                raise InputError(
                    f"output {printable(name)}: lies outside the output folder {folder}; "
                    "give a name within it"
                )
        if stat.S_ISDIR(os.stat(path).st_mode):
            raise InputError(f"output {path}: is a folder; give a file name")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is not a name that a file can have"
        raise InputError(f"output {show(name)}: {reason}; give another name") from error
    return path


def _in_name(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[/\\\0]", "_", text)
