from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import strokes

from harmonize.errors import OutputError
from harmonize.images.image import StoredImage
from harmonize.run.result import Result, write_both


def test_a_record_is_json(tmp_path: Path) -> None:
    write_both(tmp_path / "a.png", b"picture", {"ü": [1, 2.5, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"ü": [1, 2.5, None]}
    assert "ü" in text


def test_a_record_is_not_replaced_unless_asked_for(tmp_path: Path) -> None:
    record = {"config": {}, "inputs": {}, "placement": {}}
    write_both(tmp_path / "a.png", b"picture", record)
    before = (tmp_path / "a.json").read_bytes()
    (tmp_path / "a.png").unlink()
    with pytest.raises(OutputError, match="a.json: exists; use `overwrite`"):
        write_both(tmp_path / "a.png", b"other", {})
    assert (tmp_path / "a.json").read_bytes() == before
    assert not (tmp_path / "a.png").exists()
    write_both(tmp_path / "a.png", b"other", {}, overwrite=True)
    assert (tmp_path / "a.json").read_text() == "{}\n"


@pytest.mark.parametrize(
    ("path", "said"), [("painting.png", "path: .* is the painting"), ("list.png", "is the mask")]
)
def test_what_a_picture_was_made_from_is_never_replaced(
    tmp_path: Path, path: str, said: str
) -> None:
    scene: Any = SimpleNamespace(
        paths={
            "painting": str(tmp_path / "painting.png"),
            "element": None,
            "mask": str(tmp_path / "list.json"),
        }
    )
    for name in ("painting.png", "list.json"):
        (tmp_path / name).write_text("precious")
    result = Result(StoredImage(strokes(8, 6)), {}, scene)
    with pytest.raises(OutputError, match=said):
        result.save(tmp_path / path, overwrite=True)
    assert sorted(item.read_text() for item in tmp_path.iterdir()) == ["precious"] * 2
    result.save(tmp_path / "result.png")
