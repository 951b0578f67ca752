"""`harmonize cutout`, and the options of `run` that cut out."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ONE_PASS, Outcome, disc, strokes
from PIL import Image

from harmonize.cli import options
from harmonize.cli.app import main

Command = Callable[..., Outcome]

WIDTH, HEIGHT = 160, 120
TRUE = disc(WIDTH, HEIGHT)
BOX = "--box=20,15,120,90"


@pytest.fixture
def photo(files: Path) -> Path:
    ground, thing = strokes(WIDTH, HEIGHT), strokes(WIDTH, HEIGHT, seed=3)
    ground[..., 0] //= 4
    thing[..., 1:] //= 4
    Image.fromarray(np.where(TRUE[..., None] > 0, thing, ground)).save("photo.png")
    Image.fromarray(TRUE).save("true.png")
    return files / "photo.png"


def alpha(name: str) -> np.ndarray:
    with Image.open(name) as image:
        assert image.mode == "RGBA"
        return np.asarray(image)[..., 3]


def test_a_box_gives_a_cut_out(command: Command, photo: Path) -> None:
    done = command("cutout", "photo.png", BOX, "-o", "cut.png", "--preview", "look.png")
    assert done.code == 0, done.err
    assert done.out == "cut.png (160 x 120, 28% of it shows)\n"
    assert done.err == ""
    assert ((alpha("cut.png") > 127) != (TRUE > 127)).mean() < 0.02
    corner = np.asarray(Image.open("look.png"))[:32, :32]
    assert set(np.unique(corner)) == {153, 204}


def test_a_large_photo_is_told_step_by_step(
    command: Command, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harmonize.cli.cutout.SLOW", 160 * 120 - 1)
    told = command("cutout", "photo.png", BOX, "-o", "cut.png")
    assert told.code == 0
    steps = told.err.splitlines()
    assert steps[0] == "finding the outline …"
    assert steps[-1] == "writing cut.png …"
    assert told.out.startswith("cut.png (")


def test_nothing_is_replaced_unless_asked(command: Command, photo: Path) -> None:
    Path("cut.png").write_bytes(b"mine")
    again = ("cutout", "photo.png", BOX, "-o", "cut.png")
    refused = command(*again)
    assert (refused.code, Path("cut.png").read_bytes()) == (2, b"mine")
    assert "exists" in refused.err
    before = photo.read_bytes()
    assert command("cutout", "photo.png", BOX, "-o", "photo.png", "--overwrite").code == 2
    assert photo.read_bytes() == before
    assert command(*again, "--overwrite").code == 0


def test_cropped_to_what_shows(command: Command, photo: Path) -> None:
    assert command("cutout", "photo.png", BOX, "--crop").code == 0
    found = alpha("photo-cutout.png")
    for edge in (found[0], found[-1], found[:, 0], found[:, -1]):
        assert edge.any()


def test_masks_are_used_as_they_are(command: Command, photo: Path) -> None:
    labels = np.where(TRUE > 0, 2, 0).astype(np.uint8)
    labels[:5] = 1
    Image.fromarray(labels).save("labels.png")
    Image.fromarray(255 - TRUE).save("inverted.png")
    exact = [
        ["--mask=true.png"],
        ["--mask=labels.png", "--mask-value=2"],
        ["--mask=inverted.png", "--invert-mask"],
    ]
    for number, words in enumerate(exact):
        done = command("cutout", "photo.png", *words, "-o", f"{number}.png")
        assert done.code == 0, done.err
        assert (alpha(f"{number}.png") == TRUE).all()
    several = command("cutout", "photo.png", "--mask=labels.png", "-o", "no.png")
    assert several.code == 2
    assert "--mask-value" in several.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-o cut.jpg", "holds no transparency"),
        ("--box 1,2,3", "--box 1,2,3: expected left, top, width and height"),
        ("--box 500,2,3,4", "lies outside the photo of 160 x 120"),
        ("--foreground 900,5", "point 900,5: lies outside"),
        ("--mask-value 3", "go with --mask"),
        ("--with magic", "expected rembg"),
        ("--rough painting.png", "has many colors"),
    ],
)
def test_what_cannot_be(command: Command, photo: Path, words: str, said: str) -> None:
    refused = command("cutout", "photo.png", *words.split())
    assert refused.code == 2
    assert said in refused.err
    assert refused.err.count("\n") == 1
    assert not Path("photo-cutout.png").exists()


def test_it_goes_from_pipe_to_pipe(
    command: Command, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("cutout", "photo.png", BOX, "-o", "cut.png").code == 0
    os.mkfifo("pipe")
    monkeypatch.setattr(options, "STDIN", Path("pipe"))
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(photo.read_bytes()))
    writer.start()
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        wrapped = io.TextIOWrapper(out := io.BytesIO())
        patch.setattr(sys, "stdout", wrapped)
        main(["cutout", "-", BOX, "-o", "-"])
    writer.join()
    assert not stopped.value.code
    assert out.getvalue() == Path("cut.png").read_bytes()
    twice = command("cutout", "-", "--mask=-")
    assert (twice.code, "a pipe can be read once" in twice.err) == (2, True)


def test_rembg_finds_it(command: Command, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rembg.py").write_text(
        "from PIL import Image\n"
        "def remove(data, only_mask):\n"
        "    return Image.open('true.png').convert('L')\n"
    )
    monkeypatch.syspath_prepend(photo.parent)
    monkeypatch.setitem(sys.modules, "rembg", None)
    del sys.modules["rembg"]
    done = command("cutout", "photo.png", "--with=rembg", "--output=cut.png")
    assert (done.code, done.err) == (0, "")
    assert (alpha("cut.png") == TRUE).all()


def test_a_mask_that_looks_inverted_is_told(command: Command, photo: Path) -> None:
    Image.fromarray(255 - TRUE).save("outside.png")
    told = "white at the border and black in the middle; white marks the element"
    assert told in command("cutout", "photo.png", "--mask=outside.png").err
    turned = command("cutout", "photo.png", "--mask=outside.png", "--invert-mask", "--overwrite")
    assert (turned.code, turned.err) == (0, "")


def test_without_a_hint_it_says_what_it_takes_for_background(command: Command, photo: Path) -> None:
    done = command("cutout", "photo.png")
    assert done.code == 0
    assert "along the photo's edge is taken for background" in done.err
    pointed = command("cutout", "photo.png", "--foreground", "80,60 90,70", "--overwrite")
    assert (pointed.code, pointed.err) == (0, "")


def test_run_cuts_out_and_paints_at_once(command: Command, photo: Path) -> None:
    few = ("--size=64", *(f"--set={setting}" for setting in ONE_PASS))
    asked = ("run", "painting.png", "photo.png", BOX, *few, "--output=out.png")
    looked = command(*asked, "--dry-run", "--sheet=sheet.png")
    assert looked.code == 0, looked.err
    assert Path("sheet.png").exists()
    assert not Path("out-cutout.png").exists()
    done = command(*asked)
    assert done.code == 0, done.err
    record = json.loads(Path("out.json").read_text())
    assert Path(record["inputs"]["element"]["path"]).name == "out-cutout.png"
    again = command("run", "--record=out.json", "--output=again.png")
    assert again.code == 0, again.err
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()
    both = command(*asked, "--mask=true.png", "--overwrite")
    assert both.code == 2
    assert "leave one" in both.err
