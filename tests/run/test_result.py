from __future__ import annotations

import json
from pathlib import Path

import pytest

from harmonize.errors import OutputError
from harmonize.run.result import write_record


def test_a_record_is_json(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", {"ü": [1, 2.5, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"ü": [1, 2.5, None]}
    assert "ü" in text


def test_a_record_is_not_replaced_unless_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("precious")
    with pytest.raises(OutputError, match="exists; use --overwrite"):
        write_record(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").read_text() == "precious"
