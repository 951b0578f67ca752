from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from harmonize.errors import InputError
from harmonize.record import read_record


@pytest.fixture
def tree(files: Path) -> dict[str, Any]:
    """What a run record says, as far as it is read back."""
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
    assert record.inputs == {r: files / f"{r}.png" for r in ("painting", "patch", "mask")}
    assert (record.at, record.width, record.scale) == ((3, -4), 40, None)
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


def test_what_is_no_file(files: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_record(Path("nowhere.json"))
    with pytest.raises(InputError, match="not JSON"):
        read_record(Path("mask.png"))
