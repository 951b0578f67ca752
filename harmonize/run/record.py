"""Run records: read and compared."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harmonize import __version__
from harmonize.errors import InputError, OutputError
from harmonize.images.atomic_file import check_output, check_own, unfinished, write_file
from harmonize.images.image import StoredImage
from harmonize.images.read import name
from harmonize.images.write import is_marked, is_sealed, sealed
from harmonize.run.result import record_path
from harmonize.scene.placement import Placement
from harmonize.settings.text_file import opened
from harmonize.settings.value_types import is_number
from harmonize.settings.yaml_reader import check_depth

LARGEST_RECORD = 100_000_000  # bytes of a record
REQUIRED = ("painting", "element")
RECORDED_ROLES = (*REQUIRED, "mask", "loose_mask")

GIVE_RECORD = "give the .json that a run wrote"
ABSENT = "—"  # in place of the value of a key that is not there


@dataclass(frozen=True)
class Record:
    """What makes the same picture again."""

    path: Path
    inputs: dict[str, Path]
    placement: Placement
    config: dict[str, Any]
    output: str | None
    named: dict[str, Path] = field(default_factory=dict)  # by the record, whatever was given
    notes: tuple[str, ...] = ()  # on inputs that are given anew


def read_tree(path: Path) -> dict[str, Any]:
    """Read a record whose files may be gone; InputError: none."""
    try:
        tree = _json_of(path)
    except OSError as error:
        raise InputError(
            f"record {path}: {error.strerror or 'cannot be read'}; {GIVE_RECORD}"
        ) from error
    except ValueError as error:
        raise InputError(f"record {path}: not a run record (not JSON); {GIVE_RECORD}") from error
    keys = ("config", "inputs", "placement")
    if not isinstance(tree, dict) or not all(isinstance(tree.get(key), dict) for key in keys):
        raise InputError(f"record {path}: not a run record; expected {', '.join(keys)} in it")
    return {**tree, "inputs": _renamed(tree["inputs"])}


def read_record(path: Path, given: Mapping[str, Path | None] | None = None) -> Record:
    """Read a record; InputError: none, or its files have changed."""
    tree = read_tree(path)
    anew = {role: file for role, file in (given or {}).items() if file is not None}
    try:
        entries = {
            role: tree["inputs"][role]
            for role in RECORDED_ROLES
            if role in REQUIRED or role in tree["inputs"]
        }
        notes = {
            role: _note(role, entries[role], file) for role, file in anew.items() if role in entries
        }
        named = {role: find_home(entry["path"]) for role, entry in entries.items() if entry["path"]}
        if notes.get("element"):  # another element has other masks
            entries = {role: entries[role] for role in REQUIRED}
        return Record(
            path=path,
            inputs={
                role: anew.get(role) or _input(role, entry, path) for role, entry in entries.items()
            },
            placement=_recorded_placement(path, tree["placement"]),
            config=dict(tree["config"]),
            output=_name_beside(tree.get("output")),
            named=named,
            notes=tuple(filter(None, notes.values())),
        )
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise InputError(f"record {path}: not a run record ({error!r}); {GIVE_RECORD}") from error


def _note(role: str, entry: dict[str, Any], file: Path) -> str:
    was, now = str(entry["sha256"]), _sha256(file)
    if now in (was, None):  # one that cannot be read is said when it is read
        return ""
    return (
        f"{name(role, file)} is not the file of the record: SHA-256 {now[:12]}…, there {was[:12]}…"
        "; it is taken as given"
    )


def _renamed(inputs: dict[str, Any]) -> dict[str, Any]:
    # Older records call the element a patch.
    return {"element" if role == "patch" else role: entry for role, entry in inputs.items()}


def _recorded_placement(path: Path, tree: dict[str, Any]) -> Placement:
    try:
        return Placement.of_record(tree)
    except InputError as error:
        raise InputError(f"record {path}: not a run record ({error}); {GIVE_RECORD}") from error


def nameable(text: str) -> bool:
    """Tell whether a file can be called so."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def record_beside(picture: Path) -> dict[str, Any]:
    """Return a picture's record, or an empty one."""
    return _record_of(picture, record_path(picture))


def _record_of(picture: Path, file: Path) -> dict[str, Any]:
    try:
        tree = _json_of(file)
    except (OSError, ValueError):
        return {}
    written = isinstance(tree, dict) and tree.get("output") == picture.name and "inputs" in tree
    return tree if written else {}


def check_own_picture(picture: Path) -> None:
    """Refuse to replace what is not this program's, as it was written."""
    if not os.path.isfile(picture) or not os.path.getsize(picture):
        return
    own = record_path(picture)
    known = [_record_of(picture, file) for file in (own, *unfinished(own))]
    digest = _sha256(picture)
    if digest is not None and digest in [tree.get("output_sha256") for tree in known]:
        return
    what = "changed since it was painted" if any(known) else "not known from a record beside it"
    raise OutputError(
        f"{picture}: is there, and {what}; use `overwrite` to replace it, or another name or folder"
    )


def goes_on(picture: Path, sheet: Path | None, saved: bool) -> bool:
    """Tell whether a run had begun; refuse to replace what it has not written."""
    so_far = is_marked(picture)
    if not saved and not so_far:
        return False
    if not so_far:
        check_own_picture(picture)
    if sheet is not None:
        check_own(sheet, "sheet of a run", is_marked)
    return True


def is_result(
    picture: Path,
    config: Mapping[str, Any],
    placement: Placement,
    inputs: Mapping[str, str | None],  # hashes
    max_memory: int | None = None,
) -> bool:
    """Tell whether this version made the picture, whole, of just these."""
    record = record_beside(picture)
    asked = {
        "version": __version__,
        "placement": placement.to_json(),
        "interrupted": False,
    }
    same = all(record.get(key) == _as_json(value) for key, value in asked.items())
    same = same and asked_for(record, max_memory) == _as_json(hide(dict(config)))
    digest = _sha256(picture)
    return (
        same
        and _hashes(record) == inputs
        and digest is not None
        and digest == record.get("output_sha256")
    )


def write_cutout(file: Path, cut: StoredImage, picture: Path, overwrite: bool = False) -> None:
    """Write a picture's cut-out unless it is there."""
    there, data = _sha256(file), sealed(cut)
    if there == hashlib.sha256(data).hexdigest():
        return
    check_output(file, overwrite)
    made_with = _hashes({"inputs": {}, **record_beside(picture)}).get("element")
    known = is_sealed(file) or there == made_with
    check_own(file, f"cut-out that was made for {picture.name}", lambda _: known)
    write_file(file, data, overwrite)


def asked_for(record: Mapping[str, Any], max_memory: int | None) -> Any:
    """Return the settings asked for; None: the limit differs."""
    config, fitted = record.get("config"), record.get("fitted")
    if fitted is None:
        return config
    if not (isinstance(config, dict) and isinstance(fitted, dict)):
        return None
    if fitted.get("max_memory") != max_memory:
        return None
    return {**config, "size": fitted.get("size"), "tile": fitted.get("tile")}


def hashes(files: Mapping[str, Path]) -> dict[str, str | None]:
    """Return role → SHA-256; None: unreadable."""
    return {role: _sha256(path) for role, path in files.items()}


def _sha256(path: Path) -> str | None:
    try:  # a pipe gives its bytes once
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    except OSError:
        return None


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _hashes(record: dict[str, Any]) -> dict[str, Any]:
    inputs = record["inputs"]
    entries = inputs.items() if isinstance(inputs, dict) else ()
    return {role: entry.get("sha256") for role, entry in entries if isinstance(entry, dict)}


def _json_of(path: Path) -> Any:
    with opened(path) as file:
        text = file.read(LARGEST_RECORD + 1)
    if len(text) > LARGEST_RECORD:
        raise ValueError(f"more than {LARGEST_RECORD} bytes")
    try:
        tree = json.loads(text)
    except RecursionError as error:
        raise ValueError("too deep") from error
    check_depth(tree)
    return hide(tree)


def _name_beside(value: Any) -> Any:
    if value is None or (value and Path(value).name == value and nameable(value)):
        return value
    raise ValueError(f"{value!r} is no file's name")


def _input(role: str, entry: dict[str, Any], record: Path) -> Path:
    where = f"record {record}: {role.replace('_', ' ')}"
    named = entry["path"]
    if named is None:
        raise InputError(f"{where} came without a file; {_mend(role)}")
    path = find_home(named)
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{where} {named}: not a file; {_mend(role)}")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise InputError(f"{where} {named}: {reason}; {_mend(role)}") from error
    if digest != entry["sha256"]:
        raise InputError(
            f"{where} {named} has changed since: SHA-256 {digest[:12]}…, in the record "
            f"{str(entry['sha256'])[:12]}…; {_mend(role)}"
        )
    return path


def _mend(role: str) -> str:
    return f"say with `{role}` which file to take"


# --- differences ----------------------------------------------------------------------------------


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (dotted key, value in `a`, in `b`) of what differs."""
    left, right = flat(a), flat(b)
    keys = [*left, *(key for key in right if key not in left)]
    rows = ((key, left.get(key, ABSENT), right.get(key, ABSENT)) for key in keys)
    return [row for row in rows if row[1] != row[2]]


def flat(tree: dict[str, Any]) -> dict[str, str]:
    """Return dotted key → value as text."""
    return dict(_flat_settings(json.loads(json.dumps(tree)), ""))


def _flat_settings(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict) and not all(map(is_number, value)):
            yield from _flat_settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _value_text(value)


def _value_text(value: Any) -> str:
    if isinstance(value, dict):  # a table by style level
        return "{" + ", ".join(f"{key}: {_value_text(item)}" for key, item in value.items()) + "}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- the home as `~/…`: whose it was is nobody's business ---------------------------------------


def hide(value: Any) -> Any:
    """Write `~` for the home in every path."""
    if isinstance(value, dict):
        return {key: hide(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(hide, value))
    return _hidden(value) if isinstance(value, str) else value


def find_home(path: str) -> Path:
    """Return the file of a path as `~/…`."""
    return Path(os.path.expanduser(path) if path.startswith(("~/", f"~{os.sep}")) else path)


def _hidden(path: str) -> str:
    for home in _homes():
        if path.startswith(home + os.sep):
            return "~" + path.removeprefix(home)
    return path


def _homes() -> set[str]:
    # As it is called, and without links; none where it is the root.
    home = os.path.normpath(os.path.expanduser("~"))
    return {name for name in (home, os.path.realpath(home)) if os.path.dirname(name) != name}
