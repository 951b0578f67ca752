"""Paths in the user's home as `~/…`: how records name them, and the way back.

A record goes where its picture goes; whose home it was made in is nobody's business.
"""

import os
from pathlib import Path
from typing import Any


def hide(value: Any) -> Any:
    """Return `value` with `~` for the home in every text that is a path in it.

    Mappings, lists and tuples are gone through, however deep; all else comes back as it is.
    """
    if isinstance(value, dict):
        return {key: hide(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(hide, value))
    return _hidden(value) if isinstance(value, str) else value


def find(path: str) -> Path:
    """Return the file that a path means which may begin with `~/`."""
    return Path(os.path.expanduser(path) if path.startswith(("~/", f"~{os.sep}")) else path)


def _hidden(path: str) -> str:
    for home in _homes():
        if path.startswith(home + os.sep):
            return "~" + path.removeprefix(home)
    return path


def _homes() -> set[str]:
    """The home's names: as it is called, and without links; none where it is the root."""
    home = os.path.normpath(os.path.expanduser("~"))
    return {name for name in (home, os.path.realpath(home)) if os.path.dirname(name) != name}
