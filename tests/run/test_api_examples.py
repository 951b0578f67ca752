"""Every example of docs/api.md is run on tiny pictures."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import disc, put_presets, strokes
from PIL import Image

from harmonize.settings import load as config

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.M | re.S
)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples' pictures, and presets of one step."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(strokes(800, 600)).save("painting.jpg")
    cutout = Image.fromarray(np.dstack([strokes(40, 32, seed=2), disc(40, 32)]))
    cutout.save("cutout.png")
    Path("cutouts").mkdir()
    cutout.save("cutouts/a.png")
    Image.fromarray(strokes(40, 32, seed=1)).save("photo.png")
    Image.fromarray(disc(40, 32)).save("mask.png")
    presets = tmp_path / "presets"
    put_presets(presets)
    monkeypatch.setattr(config, "_preset_folder", lambda: presets)
    notebook = ModuleType("IPython.display")
    notebook.display = lambda *_: None  # type: ignore[attr-defined]
    notebook.clear_output = lambda **_: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    return tmp_path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n")[0])
def test_an_example_runs(example: str, workplace: Path) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    quick = example.replace("size=400", "size=64")
    exec(compile(quick, "docs/api.md", "exec"), names)
    if ".save(" in example:
        assert list(workplace.glob("*.json"))
        assert np.asarray(Image.open(next(workplace.glob("*.json")).with_suffix(".png"))).any()
    if "result" in names:
        assert names["result"].image.size == (800, 600)


def test_the_examples_are_found() -> None:
    assert len(EXAMPLES) >= 5
