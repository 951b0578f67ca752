"""Files of lists: YAML, JSON and tables of any spreadsheet hold the same jobs."""

from __future__ import annotations

import csv
import io
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harmonize.batch.lists.list_file import read_entries
from harmonize.errors import ConfigError, JobsError

NAMES = st.text("aZé ;,\"'\t{}-_.#1", min_size=1, max_size=12).filter(
    lambda text: text.strip() == text and not text.startswith("#")
)
NUMBERS = st.integers(1, 10**6) | st.floats(0.01, 1000).map(lambda number: round(number, 3))
ROWS = st.lists(
    st.fixed_dictionaries(
        {"style": NAMES, "patch": NAMES},
        optional={"mask": NAMES, "output": NAMES, "scale": NUMBERS, "keep": NUMBERS},
    ),
    min_size=1,
    max_size=5,
)
counter = count()


def tabulated(rows: list[dict[str, Any]], separator: str, comma: bool, header: list[str]) -> str:
    text = io.StringIO()
    table = csv.writer(text, delimiter=separator, lineterminator="\r\n")
    table.writerow(header)
    for row in rows:
        cells = [str(row.get(key, "")) for key in header]
        if comma:  # as spreadsheets in Europe write numbers
            cells = [
                cell.replace(".", ",") if isinstance(row.get(key), float) else cell
                for key, cell in zip(header, cells, strict=True)
            ]
        table.writerow([*cells, *[""] * (len(rows) % 3)])
        table.writerow([])
    return text.getvalue()


@given(
    ROWS,
    st.sampled_from([(",", ".csv"), (";", ".csv"), ("\t", ".tsv"), ("\t", ".csv")]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_a_table_has_the_rows_that_were_put_in(
    tmp_path: Path,
    rows: list[dict[str, Any]],
    kind: tuple[str, str],
    comma: bool,
    encoding: str,
    told: bool,
) -> None:
    separator, extension = kind
    header = ["style", "patch", *sorted({key for row in rows for key in row} - {"style", "patch"})]
    text = tabulated(rows, separator, comma and separator != ",", header)
    if told:
        text = f"sep={separator}\r\n{text}"
    path = tmp_path / f"{next(counter)}{extension.upper()}"
    path.write_bytes(text.encode(encoding))
    defaults, entries = read_entries(path)
    assert defaults == {}
    assert [entry.options for entry in entries] == rows
    first = 3 if told else 2
    wanted = [f"{path}: row {first + 2 * index}" for index in range(len(rows))]
    assert [entry.where for entry in entries] == wanted


def test_columns_as_people_name_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "\n Painting;ELEMENT;Loose Mask;--width;settings.passes.refine.steps;finish.grain;#notes;\n"
        "p.jpg;e.png;l.png;25,5%;9;0,5;mine;\n;;;;;;;\n",
        encoding="utf-8",
    )
    _, [entry] = read_entries(path)
    assert entry.options == {
        "style": "p.jpg",
        "patch": "e.png",
        "loose_mask": "l.png",
        "width": "25.5%",
        "settings": {"passes": {"refine": {"steps": 9}}, "finish": {"grain": 0.5}},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty; name the columns"),
        ("a.jpg,b.png\n", "first row: expected columns such as style"),
        ("style,patch,style\n", "two columns are called style"),
        ("style,patch\n\0,b\n", ""),
        ('style,patch\n"a,b\n', ""),
        ("style,patch\n" + "x" * 200_000, "field larger than field limit"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    try:
        read_entries(path)
    except JobsError as error:
        assert said in str(error)
        assert str(error).isprintable()
    else:
        assert not said


def test_a_row_of_more_cells_than_columns_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    for name, text, cure in (
        ("a.csv", "style,patch,at\na,b,30,20\nc,d,1%\n", 'a cell that has "," in it in quotes'),
        ("a.tsv", "style\tpatch\na\tb\t20\nc\td\t\n", "leave no tab within a cell"),
    ):
        (tmp_path / name).write_text(text)
        _, (wrong, right) = read_entries(tmp_path / name)
        assert "more cells than columns, from '20' on; " in wrong.wrong
        assert cure in wrong.wrong
        assert not right.wrong
        assert right.options["style"] == "c"


def test_a_table_by_another_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("style,patch\na,b\n")
    with pytest.raises(JobsError, match=r"a table's name ends in \.csv"):
        read_entries(tmp_path / "a.txt")


TREES = st.fixed_dictionaries(
    {"jobs": st.lists(st.dictionaries(NAMES, NUMBERS | NAMES | st.none()), min_size=1)},
    optional={"defaults": st.dictionaries(NAMES, NUMBERS, min_size=1)},
)


@given(TREES, st.sampled_from(["\t", 2, None]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_of_any_indent_and_yaml_hold_the_same(
    tmp_path: Path, tree: dict[str, Any], indent: str | int | None, encoding: str
) -> None:
    here = tmp_path / str(next(counter))
    here.mkdir()
    (here / "a.json").write_bytes(json.dumps(tree, indent=indent).encode(encoding))
    (here / "a.yaml").write_bytes(yaml.safe_dump(tree, allow_unicode=True).encode(encoding))
    (here / "b.yaml").write_bytes(yaml.safe_dump(tree["jobs"], allow_unicode=True).encode(encoding))
    for name in ("a.json", "a.yaml"):
        defaults, entries = read_entries(here / name)
        assert defaults == tree.get("defaults", {})
        assert [entry.options for entry in entries] == tree["jobs"]
    assert [entry.options for entry in read_entries(here / "b.yaml")[1]] == tree["jobs"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"jobs": [{}],}', "line 1: expected JSON"),
        ('{"jobs": [  // mine\n{}]}', "JSON has no comments"),
        ('{"jobs": [{"a": 1, "a": 2}]}', "key 'a' is repeated"),
        ("[" * 100_000, "too deep"),
        ("3", "expected a list of jobs"),
        ('{"style": 1}\n{"style": 2}\n', "put all jobs into one list"),
        ("PK\3\4 of a spreadsheet", "export it as CSV"),
        ('{"job": []}', "'job': unknown key"),
        ("\xff\xfe\x00", "not a text file"),
    ],
)
def test_what_is_no_json(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(JobsError, match=said) as caught:
        read_entries(path)
    assert len(caught.value.lines) == 1


@pytest.mark.parametrize(
    "text",
    [
        "jobs:\n  - output: {painting}-{patch}\n",
        "jobs:\n  - mask: {patch}.png\n    style: a\n",
        "jobs:\n  - {style: a, mask: {patch}-mask.png}\n",
        "defaults:\n  output: {index} x\njobs: []\n",
    ],
)
def test_braces_without_quotes_are_explained(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r'in quotes: "\{\w+\}'):
        read_entries(path)


def test_merge_keys_and_many_aliases(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    jobs = "".join(f"  - {{<<: *base, size: {size}}}\n" for size in range(100, 400))
    path.write_text(f"defaults: &base {{style: a.jpg, patch: b.png}}\njobs:\n{jobs}")
    _, entries = read_entries(path)
    assert [entry.options["size"] for entry in entries] == list(range(100, 400))
    assert {entry.options["style"] for entry in entries} == {"a.jpg"}
