from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from harmonize.errors import InputError
from harmonize.run.record import read_record, record_beside
from harmonize.scene.placement import Placement


@pytest.fixture
def tree(files: Path) -> dict[str, Any]:
    inputs = {
        role: {
            "path": str(files / f"{role}.png"),
            "sha256": hashlib.sha256((files / f"{role}.png").read_bytes()).hexdigest(),
        }
        for role in ("painting", "patch", "mask")
    }
    placement = {"at": [3, -4], "width": 40, "scale": None}
    return {"inputs": inputs, "placement": placement, "config": {"size": 64}, "output": "a.png"}


def message(tree: object) -> str:
    Path("out.json").write_text(json.dumps(tree))
    with pytest.raises(InputError) as caught:
        read_record(Path("out.json"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_record_is_read_back(tree: dict[str, Any], files: Path) -> None:
    Path("out.json").write_text(json.dumps(tree))
    record = read_record(Path("out.json"))
    assert record.inputs == {
        "painting": files / "painting.png",
        "element": files / "patch.png",
        "mask": files / "mask.png",
    }
    assert record.placement == Placement(at=(3, -4), width=40, box="whole")
    assert (record.config, record.output) == ({"size": 64}, "a.png")


def test_inputs_that_changed_or_went(tree: dict[str, Any], files: Path) -> None:
    (files / "mask.png").write_bytes(b"other")
    assert "mask.png has changed since" in message(tree)
    (files / "mask.png").unlink()
    assert "mask.png: No such file" in message(tree)
    tree["inputs"]["mask"]["path"] = None
    assert "mask came without a file" in message(tree)


@pytest.mark.parametrize("wrong", [[], {}, 3, {"placement": {}}, {"placement": {"at": 3}}])
def test_what_is_no_record(files: Path, wrong: object) -> None:
    assert "not a run record" in message(wrong)


@pytest.mark.parametrize("name", ["a\0.png", "\ud800.png", "a/b.png"])
def test_an_output_that_is_no_name(tree: dict[str, Any], files: Path, name: str) -> None:
    assert "not a run record" in message({**tree, "output": name})


def test_what_is_no_file(files: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_record(Path("nowhere.json"))
    with pytest.raises(InputError, match="not JSON"):
        read_record(Path("mask.png"))


DEEP: list[Any] = []
for _ in range(60):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "change",
    [
        {"output": "../a.png"},
        {"output": "/a.png"},
        {"output": ""},
        {"output": 3},
        {"placement": {"at": [1], "width": None, "scale": None}},
        {"placement": {"at": [1e400, 1], "width": None, "scale": None}},
        {"placement": {"at": None, "width": "wide", "scale": None}},
        {"placement": {"at": None, "width": True, "scale": None}},
        {"placement": {"at": None, "width": None, "scale": [2]}},
        {"inputs": {}},
        {"inputs": {"painting": 3}},
        {"inputs": {"painting": {"path": 3, "sha256": ""}}},
        {"inputs": {"painting": {"path": "a\0b", "sha256": ""}}},
        {"config": {"size": DEEP}},
    ],
)
def test_odd_records_are_one_line(tree: dict[str, Any], change: dict[str, Any]) -> None:
    assert "not a run record" in message({**tree, **change})


def test_a_record_has_limits(tree: dict[str, Any], files: Path) -> None:
    Path("deep.json").write_text("[" * 100_000)
    Path("huge.json").touch()
    os.truncate("huge.json", 1 << 40)
    for name in ("deep", "huge"):
        with pytest.raises(InputError, match="not a run record"):
            read_record(Path(f"{name}.json"))
        assert record_beside(Path(f"{name}.png")) == {}


def test_an_input_must_be_a_file(tree: dict[str, Any], files: Path) -> None:
    os.mkfifo("pipe")
    tree["inputs"]["mask"]["path"] = str(files / "pipe")
    assert "pipe: not a file" in message(tree)


def test_other_roles_are_not_read(tree: dict[str, Any], files: Path) -> None:
    tree["inputs"]["friend"] = {"path": "/etc/passwd", "sha256": ""}
    Path("out.json").write_text(json.dumps(tree))
    assert set(read_record(Path("out.json")).inputs) == {"painting", "element", "mask"}
