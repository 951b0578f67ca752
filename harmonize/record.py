"""Run records read back: the inputs, placement and settings of an earlier run.

A record is the JSON that every run writes beside its picture (`outputs.write_record`).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmonize.errors import InputError
from harmonize.outputs import record_path


@dataclass(frozen=True)
class Record:
    """What is needed to make the same picture again.

    Attributes:
        path: the record's own file.
        inputs: role (`painting`, `patch`, `mask`, `loose_mask`) → the file it was read from.
        at: corner that the patch was placed at, or None for a patch aligned with the painting.
        width: of the pasted patch in pixels, or None.
        scale: of the pasted patch, or None.
        config: complete settings, for `config.restore`.
        output: file name of the picture that was written, or None.
    """

    path: Path
    inputs: dict[str, Path]
    at: tuple[int, int] | None
    width: int | None
    scale: float | None
    config: dict[str, Any]
    output: str | None


def read_record(path: Path) -> Record:
    """Read a record and check that the files it names are unchanged.

    Raises:
        InputError: it cannot be read, is no record, or an input is missing or has changed.
    """
    try:
        tree = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"record {path}: {error.strerror or 'cannot be read'}") from error
    except ValueError as error:
        raise InputError(f"record {path}: not a run record (not JSON)") from error
    try:
        placement = tree["placement"]
        at = placement["at"]
        record = Record(
            path=path,
            inputs={role: _input(role, entry, path) for role, entry in tree["inputs"].items()},
            at=None if at is None else (int(at[0]), int(at[1])),
            width=placement["width"],
            scale=placement["scale"],
            config=dict(tree["config"]),
            output=tree.get("output"),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"record {path}: not a run record ({error!r})") from error
    return record


def record_beside(picture: Path) -> dict[str, Any]:
    """Return the record that a run wrote beside this picture; empty where there is none."""
    try:
        tree = json.loads(record_path(picture).read_bytes())
    except (OSError, ValueError):
        return {}
    written = isinstance(tree, dict) and tree.get("output") == picture.name and "inputs" in tree
    return tree if written else {}


def _input(role: str, entry: dict[str, Any], record: Path) -> Path:
    where = f"record {record}: {role.replace('_', ' ')}"
    if entry["path"] is None:
        raise InputError(f"{where} came without a file; the run cannot be repeated from here")
    path = Path(entry["path"])
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{where} {path}: {error.strerror or 'cannot be read'}") from error
    if digest != entry["sha256"]:
        raise InputError(f"{where} {path} has changed since (its SHA-256 differs)")
    return path
