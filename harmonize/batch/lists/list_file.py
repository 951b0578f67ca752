"""A list's file → its entries."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmonize.errors import ConfigError, JobsError
from harmonize.settings.messages import describe
from harmonize.settings.text_file import opened
from harmonize.settings.yaml_reader import (
    LONGEST_LIST,
    Layer,
    Tree,
    check_depth,
    printable,
    read_value,
    show,
)

LARGEST_LIST = 20_000_000  # bytes of a table or of JSON
TABLES = {".csv": "", ".tsv": "\t", ".tab": "\t"}  # extension → what separates its columns
IN_JSON = (".json", ".jsonl", ".ndjson")
SPREADSHEETS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")  # how files of spreadsheets' own begin
TEXT_KEYS = {"style", "patch", "mask", "loose_mask", "config", "output", "weights", "device", "at"}
COLUMNS = {"painting": "style", "element": "patch", "loose": "loose_mask"}  # other names of options
BRACES = re.compile(r"(?:^|[\s:\-])(\{\w[\w.]*\}[^\s,}]*)")


@dataclass(frozen=True)
class ListedJob:
    """A job as a list has it."""

    where: str
    options: Any
    wrong: str = ""  # what is, whatever the options are


def read_entries(path: Path) -> tuple[Tree, list[ListedJob]]:
    """Return a list's defaults and entries."""
    kind = path.suffix.lower()
    text = _list_text(path, kind in TABLES)
    if kind in TABLES:
        return {}, list(_rows(path, text, TABLES[kind]))
    tree = _json(path, text) if kind in IN_JSON else _yaml(path, text)
    if isinstance(tree, list):
        tree = {"jobs": tree}
    if not isinstance(tree, dict):
        cure = "; a table's name ends in .csv or .tsv" if isinstance(tree, str) else ""
        raise JobsError(f"{path}: expected a list of jobs, got {show(tree)}{cure}")
    unknown = sorted(map(str, set(tree) - {"defaults", "jobs"}))
    if unknown:
        name = printable(unknown[0])
        raise JobsError(f"{path}: {show(name)}: unknown key; valid: defaults, jobs")
    jobs = tree.get("jobs")
    if not isinstance(jobs, list) or not jobs:
        raise JobsError(f"{path}: jobs: expected a list such as `- {{style: a.jpg, patch: b.png}}`")
    entries = [ListedJob(f"{path}: job {number}", job) for number, job in enumerate(jobs, 1)]
    return tree.get("defaults") or {}, entries


def _list_text(path: Path, table: bool) -> str:
    try:
        with opened(path) as file:
            data = file.read(LARGEST_LIST + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or "cannot be read"
        raise JobsError(f"{path}: {reason}; expected a list of jobs, or a folder") from error
    if len(data) > LARGEST_LIST:
        raise JobsError(f"{path}: more than {LARGEST_LIST // 10**6} MB; use several lists")
    if data.startswith(SPREADSHEETS):
        raise JobsError(f"{path}: a spreadsheet's own file, or an archive; export it as CSV")
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if table and not wide:  # as spreadsheets on Windows save it
            return data.decode("cp1252", "replace")
        raise JobsError(f"{path}: not a text file in UTF-8; save it as one") from error


# --- YAML and JSON --------------------------------------------------------------------------------


def _yaml(path: Path, text: str) -> Any:
    value, problems = read_value(text, LONGEST_LIST)
    if problems:
        lines = text.split("\n")
        said = describe([Layer(printable(path), {}, problems=problems)])
        numbers = sorted(line for _, line, _ in problems)
        pairs = zip(said, numbers, strict=True)
        raise ConfigError("\n".join(line + _quoting(lines, number) for line, number in pairs))
    return value


def _quoting(lines: Sequence[str], number: int) -> str:
    for line in lines[max(number - 2, 0) : number]:
        found = BRACES.search(line.partition("#")[0])
        if found:
            return f'; put a name that has braces in quotes: "{found[1]}"'
    return ""


def _json(path: Path, text: str) -> Any:
    try:
        tree = json.loads(text, object_pairs_hook=_once)
        check_depth(tree)
    except json.JSONDecodeError as error:
        note = text[error.pos :].lstrip().startswith(("//", "/*", "#"))
        cure = "; JSON has no comments: leave them out, or make it YAML" if note else ""
        if error.msg == "Extra data":
            cure = "; put all jobs into one list: [{…}, {…}]"
        raise JobsError(
            f"{path}: line {error.lineno}: expected JSON ({error.msg}){cure}"
        ) from error
    except (ValueError, RecursionError) as error:
        deep = "too deep; use lists of fewer levels"
        reason = deep if isinstance(error, RecursionError) else f"{error}; leave one"
        raise JobsError(f"{path}: {reason}") from error
    return tree


def _once(pairs: Sequence[tuple[str, Any]]) -> Tree:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        names = [key for key, _ in pairs]
        repeated = next(key for key in names if names.count(key) > 1)
        raise ValueError(f"key {show(repeated)} is repeated")
    return tree


# --- tables ---------------------------------------------------------------------------------------


def _rows(path: Path, text: str, separator: str) -> Iterator[ListedJob]:
    first, _, rest = text.partition("\n")
    told = re.fullmatch(r'"?sep=(.)"?\s*', first)  # Excel's own word for it
    if told:
        text = rest
    separator = (told and told[1]) or separator or _separator(text)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header: list[str] | None = None
    try:
        for number, row in enumerate(table, 2 if told else 1):
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if header is None:
                header = [_column(cell) for cell in cells]
                _check_header(path, header)
            else:
                where, extra = f"{path}: row {number}", cells[len(header) :]
                wrong = _more_cells(extra, separator) if any(extra) else ""
                yield ListedJob(where, _options(header, cells, separator), wrong)
    except csv.Error as error:
        raise JobsError(f"{path}: line {table.line_num}: {error}; export it again") from error
    if header is None:
        raise JobsError(f"{path}: empty; name the columns in the first row, such as style, patch")


def _more_cells(extra: Sequence[str], separator: str) -> str:
    cure = f'put a cell that has "{separator}" in it in quotes' if separator != "\t" else ""
    cure = cure or "leave no tab within a cell"
    return f"more cells than columns, from {show(next(filter(None, extra)))} on; {cure}"


def _separator(text: str) -> str:
    row = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", row)
    return max(",;\t", key=bare.count)


def _column(cell: str) -> str:
    name = re.sub(r"[\s\-]+", "_", cell.strip().lower().removeprefix("--"))
    return COLUMNS.get(name, name)


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not {"style", "patch"} & set(header):
        raise JobsError(
            f"{path}: first row: expected columns such as style, patch, at, width, output; "
            f"got {show(', '.join(header))}"
        )
    named = [name for name in header if name]
    repeated = next((name for name in named if named.count(name) > 1), None)
    if repeated:
        raise JobsError(f"{path}: two columns are called {printable(repeated)}; rename one")


def _options(header: Sequence[str], cells: Sequence[str], separator: str) -> Tree | str:
    options: Tree = {}
    for name, cell in zip(header, cells, strict=False):
        if not cell or name.startswith("#"):
            continue
        if not name:
            return cell  # refused where options are checked
        value: Any = cell if name in TEXT_KEYS else _value(cell, separator)
        if name == "set":
            value = cell.split("\n")
        parts = name.removeprefix("settings.").split(".")
        if len(parts) == 1 and not name.startswith("settings."):
            options[name] = value
            continue
        tree = options.setdefault("settings", {})
        for part in parts[:-1]:
            tree[part] = tree = dict(inner) if isinstance(inner := tree.get(part), dict) else {}
        tree[parts[-1]] = value
    return options


def _value(cell: str, separator: str) -> Any:
    plain = cell
    if separator != "," and re.fullmatch(r"[-+]?\d+,\d+\s*%?", cell):
        plain = cell.replace(",", ".")
    if re.fullmatch(r"[-+]?\d{1,18}", plain):
        return int(plain)
    if re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?", plain):
        return float(plain)
    return {"true": True, "false": False}.get(cell.lower(), plain)
