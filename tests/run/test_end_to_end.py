"""The installed command on tiny pictures, with the real bundled network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from conftest import PASSES, TWO_PASSES, Outcome, disc, shallow, strokes
from PIL import Image

import harmonize
from harmonize import Settings
from harmonize.errors import NumbersError
from harmonize.settings.load import load
from harmonize.synthesis.image_ops.crops import Painted, View
from harmonize.synthesis.network.weights import BUNDLED_SHA256

HARMONIZE = Path(sysconfig.get_path("scripts")) / "harmonize"
WIDTH, HEIGHT = 96, 80


class Run(NamedTuple):
    folder: Path
    record: dict
    err: str


DEEP = [*TWO_PASSES, *(f"passes.{name}.steps=2" for name in PASSES)]


def few_steps() -> list[str]:
    return [*DEEP, *(setting for name in PASSES for setting in shallow(name))]


def set_(settings: list[str]) -> list[str]:
    return [f"--set={item}" for item in settings]


def execute(folder: Path, *args: object) -> subprocess.CompletedProcess[str]:
    words = [str(HARMONIZE), "run", *map(str, args)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def loose_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:-10, 12:-12] = 255
    return mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    Image.fromarray(strokes(WIDTH, HEIGHT)).save(path / "painting.png")
    patch = np.full((HEIGHT, WIDTH, 3), (200, 60, 40), np.uint8)
    Image.fromarray(patch).save(path / "patch.png")
    Image.fromarray(disc(WIDTH, HEIGHT)).save(path / "mask.png")
    Image.fromarray(loose_mask()).save(path / "loose.png")
    cutout = np.dstack([strokes(48, 40, seed=2), disc(48, 40)])
    Image.fromarray(cutout).save(path / "cutout.png")
    Image.fromarray(strokes(2 * WIDTH, 2 * HEIGHT)).save(path / "large.png")
    return path


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    pictures = "--style painting.png --patch patch.png --mask mask.png --loose-mask loose.png"
    done = execute(folder, *pictures.split(), *set_(DEEP), "--seed=3", "--output=out.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("out.png (")
    return Run(folder, json.loads((folder / "out.json").read_text()), done.stderr)


def test_the_result_is_the_painting_outside_the_loose_mask_and_new_inside(run: Run) -> None:
    result, painting = pixels(run.folder / "out.png"), pixels(run.folder / "painting.png")
    outside = loose_mask() == 0
    assert (result[outside] == painting[outside]).all()
    inside = disc(WIDTH, HEIGHT) > 0
    assert (result[inside] != painting[inside]).any(-1).mean() > 0.9
    assert (result[inside] != pixels(run.folder / "patch.png")[inside]).any(-1).mean() > 0.9


def test_device_and_weights_are_named_and_every_pass_has_its_bar(run: Run) -> None:
    assert "device " in run.err
    assert "weights oxford" in run.err
    for name in PASSES:
        assert f"{name}: 100%" in run.err


def test_the_record_says_what_was_done(run: Run) -> None:
    record = run.record
    assert record["version"] == record["versions"]["harmonize"] == harmonize.__version__
    assert record["weights"] == {"name": "oxford", "sha256": BUNDLED_SHA256}
    assert set(record["inputs"]) == {"painting", "element", "mask", "loose_mask"}
    assert record["placement"] == harmonize.Placement().to_json()
    assert (record["seed"], record["interrupted"]) == (3, False)
    assert 1 <= record["strength"]["level"] <= 10
    assert record["strength"]["estimated"] is True
    assert [item["name"] for item in record["passes"]] == list(PASSES)
    assert {item["steps"] for item in record["passes"]} == {2}
    assert all(item["losses"] for item in record["passes"])
    assert all(item["seconds"] >= 0 for item in [record, *record["passes"]])


def test_the_record_makes_the_same_picture_again_in_another_process(
    run: Run, command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.folder)
    done = command("run", "--record", "out.json", "--output", "again.png")
    assert done.code == 0, done.err
    assert (run.folder / "again.png").read_bytes() == (run.folder / "out.png").read_bytes()
    again = json.loads((run.folder / "again.json").read_text())
    for key in ("config", "inputs", "placement", "weights", "strength"):
        assert again[key] == run.record[key]
    losses = [[item["losses"] for item in record["passes"]] for record in (again, run.record)]
    assert losses[0] == losses[1]


def test_other_threads_change_rounding_only(folder: Path) -> None:
    def picture(threads: int) -> np.ndarray:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            pictures = (folder / name for name in ("painting.png", "patch.png", "mask.png"))
            return np.asarray(
                harmonize.harmonize(*pictures, settings=load("default", few_steps())).image
            )
        finally:
            torch.set_num_threads(before)

    apart = np.abs(picture(1).astype(int) - picture(2))
    assert apart.mean() <= 0.1
    assert (apart > 2).mean() <= 0.01


@pytest.mark.parametrize(
    "settings",
    [
        ["passes.refine.rate=1e6"],
        ["passes.refine.optimizer=lbfgs", "passes.refine.rate=1000"],
        ["passes.coarse.rate=1e12", "passes.refine.rate=1e12"],
    ],
)
def test_a_pass_that_goes_wrong_is_mended_and_told(
    folder: Path,
    command: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    settings: list[str],
) -> None:
    monkeypatch.chdir(folder)
    pictures = "run --style painting.png --patch patch.png --mask mask.png --output bad.png"
    wrong = [f"--set={item}" for item in settings]
    done = command(*pictures.split(), "--overwrite", *set_(few_steps()), *wrong)
    assert done.code == 0
    record = json.loads((folder / "bad.json").read_text(), parse_constant=pytest.fail)
    mended = {item.split(".")[1] for item in settings}
    assert {log["name"] for log in record["passes"] if log["trouble"]} == mended
    troubles = [said for said in record["warnings"] if said.startswith("pass ")]
    for name, said in zip(sorted(mended), troubles, strict=True):
        assert said.startswith(f"pass {name}: ")
        assert "; again from the best image so far, adam at 0.01" in said
        assert f"harmonize: warning: {said}\n" in done.err
    inside = disc(WIDTH, HEIGHT) > 0
    apart = np.abs(pixels(folder / "bad.png") - pixels(folder / "patch.png"))[inside]
    assert apart.mean() < 30


def test_what_is_no_picture_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def paint(_: object, __: object, view: View, ___: object) -> Any:
        picture = view.composite.clone()
        picture[0, picture.shape[1] // 2, picture.shape[2] // 2] = float("nan")
        return Painted(view, picture), [], False

    monkeypatch.setattr("harmonize.synthesis.painter.Painter.paint", paint)
    pictures = (folder / name for name in ("painting.png", "patch.png", "mask.png"))
    with pytest.raises(NumbersError, match="values that are not finite"):
        harmonize.harmonize(*pictures)


def test_a_small_working_size_gives_the_paintings_own_size_back(
    folder: Path, command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    arguments = "--style large.png --patch cutout.png --at 60,50 --width 90 --size 96"
    outputs = ("--output", "small.png", "--sheet", "sheet.png")
    done = command("run", *arguments.split(), *set_(few_steps()), *outputs)
    assert done.code == 0, done.err
    result, painting = pixels(folder / "small.png"), pixels(folder / "large.png")
    assert result.shape == painting.shape
    changed = Image.fromarray((result != painting).any(-1)).getbbox()
    assert changed is not None
    assert changed[0] > 40
    assert changed[1] > 30
    assert changed[2] < 170
    assert changed[3] < 145
    assert pixels(folder / "sheet.png").shape[1] > 2 * painting.shape[1]


def test_from_python_it_neither_prints_nor_exits_and_a_callback_may_end_it(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[harmonize.Progress] = []

    def stop_in_the_last_pass(progress: harmonize.Progress) -> None:
        seen.append(progress)
        if progress.stage == "refine":
            raise harmonize.StopRun

    with Image.open(folder / "painting.png") as painting, Image.open(folder / "cutout.png") as cut:
        result = harmonize.harmonize(
            painting,
            np.asarray(cut),
            placement=harmonize.Placement(at=(20, 20)),
            settings=load("default", few_steps()),
            on_progress=stop_in_the_last_pass,
        )
    assert capfd.readouterr() == ("", "")
    told = [(progress.stage, progress.step, progress.total) for progress in seen]
    begun = [("palette", 1, 1), *(("underpainting", index, 2) for index in (1, 2))]
    ended = [("refine", 1, 2), ("finish", 0, 1)]
    assert told == [*begun, ("coarse", 1, 2), ("coarse", 2, 2), *ended]
    assert all(progress.losses for progress in seen[len(begun) : -1])
    assert result.image.size == (WIDTH, HEIGHT)
    assert result.record["interrupted"] is True
    assert result.record["inputs"]["element"]["path"] is None
    assert json.dumps(result.record)
    box = Image.fromarray((np.asarray(result.image) != pixels(folder / "painting.png")).any(-1))
    assert box.getbbox() is not None


def test_every_step_can_show_the_picture_so_far(folder: Path) -> None:
    seen: list[tuple[str, int]] = []
    pictures: list[np.ndarray] = []

    def keep(progress: harmonize.Progress) -> None:
        if progress.step == 2:
            seen.append((progress.stage, progress.step))
            pictures.append(np.asarray(progress.preview()))

    with Image.open(folder / "cutout.png") as cut:
        result = harmonize.harmonize(
            folder / "painting.png",
            cut,
            placement=harmonize.Placement(at=(20, 20)),
            settings=load("default", few_steps()),
            on_progress=keep,
        )
    assert seen == [("underpainting", 2), ("coarse", 2), ("refine", 2)]
    painting = pixels(folder / "painting.png")
    untouched = (np.asarray(result.image) == painting).all(-1)
    for picture in pictures:
        assert picture.shape == painting.shape
        changed = (picture != painting).any(-1)
        assert changed.any()
        box = Image.fromarray(~untouched).getbbox()
        assert box is not None
        outside = changed.copy()
        outside[box[1] - 3 : box[3] + 3, box[0] - 3 : box[2] + 3] = False
        assert not outside.any()
    assert (pictures[0] != pictures[1]).any()


@pytest.mark.slow
def test_ctrl_c_saves_the_picture_so_far(folder: Path) -> None:
    endless = [f"--set=passes.{name}.steps=1000000" for name in Settings.preset().passes]
    pictures = "--style painting.png --patch patch.png --mask mask.png --output stopped.png"
    words = [str(HARMONIZE), "run", *pictures.split(), *endless]
    process = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        said = ""
        while "step" not in said:  # the first bar: the passes have begun
            said += (letter := process.stderr.read(1))
            assert letter, said
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted: the picture so far" in out
    assert json.loads((folder / "stopped.json").read_text())["interrupted"] is True
    assert pixels(folder / "stopped.png").shape == (HEIGHT, WIDTH, 3)


PICTURES = "--style painting.png --patch patch.png --mask mask.png --output refused.png"


def test_the_installed_command_refuses_in_one_line(folder: Path) -> None:
    done = execute(folder, *PICTURES.split(), "--set", "siez=3")
    said = "siez: unknown key; did you mean size?"
    assert_refused(folder, Outcome(done.returncode, done.stdout, done.stderr), said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--mask nowhere.png", "mask nowhere.png: No such file"),
        ("--style mask.txt", "painting mask.txt: not an image"),
        ("--mask black.png", "the mask is empty"),
        ("--at 500,0", "lies outside the painting"),
        ("--weights nowhere.pth", "weights nowhere.pth: No such file"),
        ("--weights mask.pth", "not a file of plain PyTorch tensors"),
        ("--device cuda:99", "device 'cuda:99'"),
        ("--device gpu", "expected auto, cpu, cuda, cuda:N or mps"),
    ],
)
def test_the_library_behind_the_command_refuses_in_one_line(
    folder: Path,
    command: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    said: str,
) -> None:
    monkeypatch.chdir(folder)
    Image.new("L", (WIDTH, HEIGHT)).save("black.png")
    for name in ("mask.txt", "mask.pth"):
        (folder / name).write_text("neither picture nor weights")
    assert_refused(folder, command("run", *PICTURES.split(), *arguments.split()), said)


def assert_refused(folder: Path, done: Outcome, said: str) -> None:
    assert done.code == 2
    assert done.err.startswith("harmonize: error: ")
    assert done.err.count("\n") == 1
    assert said in done.err
    assert not (folder / "refused.png").exists()
    assert not (folder / "refused.json").exists()


def test_a_pass_whose_terms_weigh_nothing_leaves_its_start(folder: Path) -> None:
    nothing = (
        "terms={content: null, histogram: null, tv: null, style: {weight: 0, taps: [relu1_1]}}"
    )
    config = load("default", [*few_steps(), f"passes.coarse.{nothing}"])
    pictures = (folder / name for name in ("painting.png", "patch.png", "mask.png"))
    found = harmonize.harmonize(*pictures, settings=config)
    assert [log["steps"] for log in found.record["passes"]] == [0, 2]


@pytest.mark.parametrize("shape", [(2, 1), (5, 4), (3, 500), (2000, 3), (31, 33)])
def test_pictures_of_any_shape(shape: tuple[int, int]) -> None:
    painting = strokes(shape[1], shape[0])
    patch = strokes(shape[1], shape[0], seed=1)
    mask = np.zeros(shape, np.uint8)
    mask[shape[0] // 2, shape[1] // 2] = 255
    found = harmonize.harmonize(painting, patch, mask, settings=load("default", few_steps()))
    pixels = np.asarray(found.image)
    assert pixels.shape == painting.shape
    changed = (pixels != painting).any(-1)
    assert changed[mask > 0].all()
    assert not changed.all() or changed.size < 1000
