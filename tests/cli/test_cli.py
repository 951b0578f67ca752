"""The command line with the computing left out."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Outcome, strokes
from PIL import Image

import harmonize
from harmonize.errors import StopRun, WeightsError
from harmonize.images.image import StoredImage
from harmonize.run.result import Result
from harmonize.scene.placement import Placement
from harmonize.scene.scene import load_scene
from harmonize.settings import load as config
from harmonize.settings.load import Settings
from harmonize.synthesis.network import weights

Command = Callable[..., Outcome]

ALIGNED = ("run", "--style", "painting.png", "--patch", "patch.png", "--mask", "mask.png")


class Engine:
    """Stands for `session`: remembers what it was asked, pastes, presses Ctrl-C."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.presses = 0

    def __call__(self, settings: Settings, cache: int) -> Engine:
        self.settings = settings
        return self

    def plan(
        self, painting: Path, element: Path, mask: Path | None = None, **asked: Any
    ) -> SimpleNamespace:
        self.asked = {
            "painting": painting, "element": element, "mask": mask, "config": self.settings, **asked
        }  # fmt: skip
        placed = {key: asked[key] for key in ("loose_mask", "placement") if key in asked}
        scene = load_scene(painting, element, mask, **placed)
        facts = {"device": "cpu", "weights": "oxford", "level": 5.0, "estimated": False, "size": 96}
        return SimpleNamespace(**facts, warnings=scene.warnings, scene=scene)

    def run(self, plan: SimpleNamespace, on_progress: Any, **asked: Any) -> Result:
        scene, interrupted = plan.scene, False
        try:
            for step in (1, 2):
                for _ in range(self.presses):
                    os.kill(os.getpid(), signal.SIGINT)
                losses = {"style": 0.25, "content": 1.5}
                on_progress(
                    SimpleNamespace(stage="refine", step=step, total=2, losses=losses, done=step)
                )
        except StopRun:
            interrupted = True
        inputs = {
            role: {"path": scene.paths[role], "sha256": scene.hashes[role]} for role in scene.paths
        }
        record = {
            "config": self.settings.model_dump(mode="json"),
            "inputs": inputs,
            "placement": self.asked["placement"].to_json(),
            "interrupted": interrupted,
            "passes": [],
        }
        return Result(StoredImage(scene.composite), record, scene)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    module = ModuleType("harmonize.run.session")
    module.Session = Engine()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "harmonize.run.session", module)
    return module.Session


# --- around the run -------------------------------------------------------------------------------


def test_version(command: Command) -> None:
    assert command("--version") == (0, f"harmonize {harmonize.__version__}\n", "")


def test_help_names_every_option_of_the_run(command: Command, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = command("run", "--help").out
    options = """
        --style --patch --mask --loose-mask --at --width --scale --config --set --size --strength
        --keep --weights --device --seed --output --sheet --report --save-every --frames --record
        --checkpoint --resume --overwrite
    """
    for option in options.split():
        assert option in text


def test_weights_list_and_download(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(weights, "cached_torchvision", lambda: tmp_path / "vgg19.pth")
    lines = command("weights", "list").out.splitlines()
    assert lines[0].startswith("oxford       ready")
    assert "harmonize weights download" in lines[1]
    (tmp_path / "vgg19.pth").write_text("")
    assert "torchvision  ready" in command("weights", "list").out

    monkeypatch.setattr(weights, "download", lambda progress: tmp_path / "vgg19.pth")
    assert command("weights", "download") == (0, f"{tmp_path / 'vgg19.pth'}\n", "")

    def offline(progress: bool) -> Path:
        raise WeightsError("offline\nand on two lines")

    monkeypatch.setattr(weights, "download", offline)
    failed = command("weights", "download")
    assert failed == (2, "", "harmonize: error: offline and on two lines\n")


# --- the run --------------------------------------------------------------------------------------


def test_a_run_writes_picture_and_record_and_says_where(
    command: Command, engine: Engine, files: Path
) -> None:
    done = command(*ALIGNED)
    assert done.code == 0
    assert done.out.startswith("painting-harmonized.png (")
    assert "device cpu, weights oxford, style level 5.0, size 96" in done.err
    assert "refine: 100%" in done.err
    assert "style 0.25 content 1.5" in done.err
    record = json.loads((files / "painting-harmonized.json").read_text())
    assert record["output"] == "painting-harmonized.png"
    with Image.open("painting-harmonized.png") as image:
        assert image.size == (96, 80)


def test_options_reach_the_library(command: Command, engine: Engine, files: Path) -> None:
    (files / "mine.yaml").write_text("keep: 2\nseed: 5\n")
    options = (
        "--patch cutout.png --at -3,40 --width 50 --config mine.yaml --set keep=3 --set seed=6 "
        "--size 64 --strength strong --weights no --device cuda:0 --seed 7 --output a.png"
    )
    assert command("run", "--style", "painting.png", *options.split()).code == 0
    asked = engine.asked
    assert asked["placement"] == Placement(at=(-3, 40), width=50)
    settings = asked["config"]
    assert (settings.keep, settings.seed, settings.size) == (3.0, 7, 64)
    assert (settings.strength, settings.weights, settings.device) == ("strong", "no", "cuda:0")
    assert command(*ALIGNED, "--scale", "2", "--at", "0,0", "--loose-mask", "mask.png").code == 0
    assert engine.asked["placement"] == Placement(at=(0, 0), scale=2)
    assert engine.asked["loose_mask"] == Path("mask.png")
    assert engine.asked["config"] == config.Settings.preset()


def test_a_sheet_shows_composite_and_result(command: Command, engine: Engine, files: Path) -> None:
    assert command(*ALIGNED, "--output", "a.png", "--sheet", "b.png").code == 0
    board = np.asarray(Image.open("b.png"))
    result = np.asarray(Image.open("a.png"))
    assert (board[:, :96] == engine_composite(files)).all()
    assert (board[:, -96:] == result).all()


def engine_composite(files: Path) -> np.ndarray:
    return load_scene(*(files / f"{name}.png" for name in ("painting", "patch", "mask"))).composite


def test_a_record_repeats_the_run_and_options_change_it(
    command: Command, engine: Engine, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ("run", "--style", "painting.png", "--patch", "cutout.png", "--at", "5,6")
    out = files / "out"
    out.mkdir()
    assert command(*place, "--width", "30", "--set", "keep=3", "--output", "out/a.png").code == 0
    first = {k: v for k, v in engine.asked.items() if not k.startswith("on_")}
    monkeypatch.chdir("/")
    refused = command("run", "--record", out / "a.json", "--output", out / "a.png", "--overwrite")
    assert refused.code == 2
    assert "a.png is the record's picture, which is never replaced" in refused.err
    monkeypatch.chdir(out)
    assert command("run", "--record", out / "a.json").code == 0
    assert (out / "a-again.png").exists()
    again = {k: v for k, v in engine.asked.items() if not k.startswith("on_")}
    assert again == {**first, "painting": files / "painting.png", "element": files / "cutout.png"}
    other = ("--seed", "9", "--at", "7,8", "--output", out / "b.png")
    assert command("run", "--record", out / "a.json", *other).code == 0
    assert engine.asked["placement"] == Placement(at=(7, 8), width=30)
    assert engine.asked["config"].seed == 9
    assert engine.asked["config"].keep == 3.0


def test_a_record_with_another_patch_takes_no_old_mask(
    command: Command, engine: Engine, files: Path
) -> None:
    assert command(*ALIGNED, "--output", "a.png").code == 0
    swapped = ("--patch", "cutout.png", "--at", "0,0", "--output", "b.png")
    assert command("run", "--record", "a.json", *swapped).code == 0
    assert engine.asked["mask"] is None


def test_ctrl_c_keeps_the_picture_so_far(command: Command, engine: Engine, files: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    engine.presses = 1
    done = command(*ALIGNED, "--output", "a.png")
    assert done.code == 130
    assert "interrupted: the picture so far" in done.out
    assert Path("a.png").exists()
    assert json.loads(Path("a.json").read_text())["interrupted"] is True
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_gives_up(command: Command, engine: Engine, files: Path) -> None:
    engine.presses = 2
    done = command(*ALIGNED, "--output", "a.png")
    assert done.code == 130
    assert "aborted, nothing written" in done.err
    assert not Path("a.png").exists()


# --- what is refused ------------------------------------------------------------------------------

CUTOUT = ("run", "--style", "painting.png", "--patch", "cutout.png")


@pytest.fixture
def bad_files(files: Path) -> Path:
    """Text, a truncated picture, odd masks and wrong settings."""
    (files / "text.png").write_text("not a picture")
    Image.fromarray(strokes(96, 80)).save("whole.jpg")
    (files / "cut.jpg").write_bytes((files / "whole.jpg").read_bytes()[:1500])
    Image.new("L", (90, 80), 255).save("small.png")
    Image.new("L", (96, 80), 0).save("black.png")
    Image.new("L", (96, 80), 255).save("white.png")
    (files / "wrong.yaml").write_text("size: 300\nsize: 400\n")
    (files / "weights.pth").write_text("no weights")
    return files


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--mask nowhere.png", "mask nowhere.png: No such file"),
        ("--style text.png", "painting text.png: not an image"),
        ("--patch cut.jpg", "element cut.jpg: damaged or truncated image"),
        ("--mask small.png", "90 x 80 pixels, but the element has 96 x 80"),
        ("--mask black.png", "the mask is empty"),
        ("--mask white.png", "white over the whole painting"),
        ("--at 96,0", "lies outside the painting"),
        ("--at here", "--at here: expected x,y"),
        ("--at 1,2,3", "expected x,y in pixels"),
        ("--at 0,0 --width 3 --scale 2", "--width and --scale: leave one"),
        ("--set siez=3", "siez: unknown key; did you mean size?"),
        ("--set size=big", "got 'big'"),
        ("--set keep=-1", "keep: expected a number from 1e-12 to 1e12; got -1"),
        ("--set keep", "expected key=value"),
        (
            "--size 12",
            "size: expected a whole number of pixels from 32 to 1000000, or native; got 12",
        ),
        ("--size [", "--size: '[': the value is not YAML"),
        ("--strength 11", "or a number from 1 to 10; got 11"),
        ("--keep 0", "keep: expected a number from 1e-12 to 1e12; got 0.0"),
        ("--seed -1", "seed: expected a whole number from 0 up, below 2^63; got -1"),
        ("--config nowhere", "nowhere: No such file"),
        ("--config wrong.yaml", "wrong.yaml: line 2: key 'size' is repeated"),
        ("--output patch.png", "patch.png is the element, which is never replaced"),
        ("--output small.png", "small.png: exists; use --overwrite"),
        ("--output /proc/nowhere/a.png", "/proc/nowhere/a.png: cannot write there"),
        ("--output text.png/a.png", "text.png/a.png: cannot write there"),
        ("--output a.xyz", "a.xyz: unknown picture format"),
        ("--output a", "unknown picture format"),
        ("--output a.png --sheet a.png", "--sheet: a.png is the file of --output too"),
        ("--output a.png --sheet small.png", "small.png: exists"),
        ("--record nowhere.json", "record nowhere.json: No such file"),
        ("--record text.png", "not a run record"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    command: Command, engine: Engine, bad_files: Path, arguments: str, said: str
) -> None:
    before = sorted(bad_files.iterdir())
    refused = command(*ALIGNED, *arguments.split())
    assert refused.code == 2
    assert refused.out == ""
    assert refused.err.startswith("harmonize: error: ")
    assert refused.err.count("\n") == 1
    assert said in refused.err
    assert sorted(bad_files.iterdir()) == before


def test_what_must_be_given(command: Command, engine: Engine, files: Path) -> None:
    assert "no painting given" in command("run", "--patch", "patch.png").err
    assert "run PAINTING ELEMENT, or --patch FILE" in command("run", "painting.png").err
    assert "give --mask" in command(*ALIGNED[:-2]).err


def test_an_existing_record_is_not_replaced_either(
    command: Command, engine: Engine, files: Path
) -> None:
    (files / "a.json").write_text('{"config": {}, "inputs": {}, "placement": {}}')
    assert "a.json: exists; use --overwrite" in command(*ALIGNED, "--output", "a.png").err
    assert command(*ALIGNED, "--output", "a.png", "--overwrite").code == 0
    assert json.loads((files / "a.json").read_text())["interrupted"] is False


def test_an_input_is_never_replaced(command: Command, engine: Engine, files: Path) -> None:
    before = (files / "painting.png").read_bytes()
    refused = command(*ALIGNED, "--output", "./painting.png", "--overwrite")
    assert refused.code == 2
    assert "is the painting, which is never replaced" in refused.err
    assert (files / "painting.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run --stile painting.png", "there is no option --stile; did you mean --style?"),
        ("run --scale wide", "Invalid value for '--scale'"),
        ("run --save-every 0", "Invalid value for '--save-every'"),
        ("run a.png b.png extra", "unexpected extra argument"),
        ("frames", "Missing argument"),
        ("paint", "there is no command 'paint'; valid: run, batch"),
        ("rnu", "there is no command 'rnu'; did you mean run?"),
    ],
)
def test_words_that_make_no_sense_are_one_line_too(
    command: Command, arguments: str, said: str
) -> None:
    refused = command(*arguments.split())
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("harmonize: error: ")
    assert refused.err.count("\n") == 1
    assert said in refused.err
    assert "--help" in refused.err


def test_no_words_at_all_bring_the_help(command: Command) -> None:
    asked = command()
    assert "Usage: harmonize" in asked.out
    assert asked.err == ""


@pytest.mark.parametrize(
    "role", ["--style", "--patch", "--mask", "--output", "--sheet", "--frames"]
)
def test_a_loop_of_links_is_one_line(
    command: Command, engine: Engine, files: Path, role: str
) -> None:
    os.symlink("loop.png", "loop.png")
    refused = command(*ALIGNED, role, "loop.png", "--overwrite")
    assert refused.code == 2
    assert refused.err.startswith("harmonize: error: ")
    assert refused.err.count("\n") == 1
    assert "loop.png" in refused.err


def test_an_output_without_a_name(command: Command, engine: Engine, files: Path) -> None:
    refused = command(*ALIGNED, "--output", "", "--report")
    assert refused.code == 2
    assert "unknown picture format" in refused.err
