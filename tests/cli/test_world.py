"""The world around a run: lost streams, missing folders, moved files."""

from __future__ import annotations

import io
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ONE_PASS, Outcome
from PIL import Image

from harmonize.cli.app import is_heard, main
from harmonize.images import read
from harmonize.settings import text_file

Command = Callable[..., Outcome]
Start = Callable[..., "subprocess.Popen[str]"]

STEPS = [f"--set={setting}" for setting in ONE_PASS]
QUICK = ("run", "painting.png", "cutout.png", "--at=20,20", "--size=64", *STEPS)


# --- talk never ends a run ------------------------------------------------------------------------


CUT = ("cutout", "painting.png", "--mask=mask.png")  # writes a picture, and needs no torch


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (QUICK, "<&- >&- 2>/dev/full"),
        (CUT, "<&- >&- 2>&-"),
        (CUT, ">/dev/full 2>/dev/full"),
    ],
)
def test_streams_that_are_gone_cost_no_picture(
    files: Path, words: tuple[str, ...], gone: str
) -> None:
    program = shlex.join([sys.executable, "-m", "harmonize", *words, "--output=a.png"])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run(["sh", "-c", f"exec {program} {gone}"], env=environment).returncode == 0
    Image.open("a.png").verify()


def test_a_terminal_that_hangs_up_costs_no_picture(files: Path, start: Start) -> None:
    ours, theirs = pty.openpty()
    at_it = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    process = start(*QUICK, "--output=a.png", **at_it)
    os.close(theirs)
    seen = b""
    while b"device cpu" not in seen:
        seen += os.read(ours, 1000)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 0
    Image.open("a.png").verify()


def test_what_only_talks_says_that_it_could_not() -> None:
    program = f"{sys.executable} -m harmonize config show"
    done = subprocess.run(f"{program} > /dev/full", shell=True, capture_output=True, text=True)
    assert done.returncode == 1
    said = "harmonize: error: standard output: cannot be written (No space left on device)\n"
    assert done.stderr == said
    done = subprocess.run(f"{program} | head -n 1", shell=True, capture_output=True, text=True)
    assert (done.stderr, done.stdout.count("\n")) == ("", 1)


# --- where results go -----------------------------------------------------------------------------


def test_missing_folders_are_made_and_go_again_with_a_failure(
    command: Command, files: Path
) -> None:
    assert command(*QUICK, "--output=new/deep/a.png", "--sheet=new/b.png").code == 0
    assert sorted(path.name for path in Path("new").rglob("*.*")) == ["a.json", "a.png", "b.png"]
    Path("broken.png").write_text("no picture")
    assert command(*QUICK, "--patch=broken.png", "--output=x/a.png").code == 2
    assert command("run", "painting.png", "broken.png", "--output=x/y/a.png").code == 2
    assert command(*QUICK, "--dry-run", "--output=x/y/a.png").code == 0
    assert not Path("x").exists()


def test_the_home_after_an_equals_sign(
    command: Command, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(files))
    place = files / "elsewhere"
    place.mkdir()
    monkeypatch.chdir(place)
    words = ("run", "--style=~/painting.png", "--patch=~/cutout.png", "--at=20,20", "--size=64")
    assert command(*words, *STEPS, "--output=~/a.png").code == 0
    assert (files / "a.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "x" * 252 + ".png"], "File name too long"),
        (["--output", f"new/{'x' * 252}.png"], "File name too long"),
        (["--output", "a.png", "--sheet", "x" * 256 + ".png"], "File name too long"),
        (["--output", "a.png", "--frames", "x" * 256], "File name too long"),
        (["--output", "a.png", "--checkpoint", "x" * 256], "File name too long"),
        (["--output", "/proc/a.png"], "cannot write there"),
        (["--output", "a.png", "--format", "gif"], "--format gif: expected one of png, jpg"),
        (["--output", "a.png", "--format", "png"], "--format goes with --output -"),
        (["--output", "-", "--report"], "--report needs a file: give --output FILE"),
    ],
)
def test_what_cannot_be_written_is_found_before_the_painting(
    command: Command, files: Path, words: list[str], said: str
) -> None:
    before = sorted(path.name for path in files.iterdir())
    refused = command(*QUICK, *words)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert said in refused.err
    assert sorted(path.name for path in files.iterdir()) == before


def test_a_sheet_too_wide_is_found_before_the_painting(command: Command, files: Path) -> None:
    Image.new("L", (9000, 40), 128).save("wide.png")
    words = ("run", "wide.png", "cutout.png", "--at=30,-5", "--size=64", *STEPS)
    refused = command(*words, "--output=a.png", "--sheet=s.webp")
    assert refused.code == 2
    assert "s.webp: WEBP holds pictures of up to 16383 pixels a side, not 18012 x 40" in refused.err
    assert "step" not in refused.err
    assert not Path("a.png").exists()
    refused = command(*words, "--dry-run", "--output=a.png", "--sheet=s.webp")
    assert "not 18012 x 40" in refused.err


def test_a_dry_run_shows_the_pasted_picture(command: Command, files: Path) -> None:
    done = command(*QUICK, "--dry-run", "--sheet=new/s.png", "--output=a.png")
    assert done.code == 0
    with Image.open("new/s.png") as sheet, Image.open("painting.png") as painting:
        assert sheet.size == (2 * painting.width + 12, painting.height)
        assert sheet.crop((0, 0, *painting.size)).tobytes() == painting.tobytes()
    assert not Path("a.png").exists()


def test_the_picture_on_standard_output_is_the_file(
    command: Command, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(*QUICK, "--output=a.png").code == 0
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        wrapped = io.TextIOWrapper(out := io.BytesIO())
        patch.setattr(sys, "stdout", wrapped)
        main([*QUICK, "--output=-", "--format=png"])
    assert not stopped.value.code
    assert out.getvalue() == Path("a.png").read_bytes()
    assert is_heard(["run", "--output", "-"])
    assert is_heard(["run", "--output=-"])
    assert not is_heard(["run", "--patch", "-", "--output", "a.png"])


def test_pictures_from_pipes(command: Command, files: Path) -> None:
    words = [word for word in QUICK if word != "cutout.png"]
    theirs, ours = os.pipe()
    os.write(ours, Path("cutout.png").read_bytes())  # less than a pipe holds
    os.close(ours)
    before = os.dup(0)
    os.dup2(theirs, 0)
    try:
        done = command(*words, "--patch=-", "--output=a.png")
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(theirs)
    assert done.code == 0, done.err
    Image.open("a.png").verify()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("- -", "/dev/stdin: a pipe can be read once; give a file for one of the two"),
        ("pipe.png pipe.png", "pipe.png: a pipe can be read once; give a file"),
        (
            "painting.png pipe.png --resume",
            "pipe.png: a pipe can be read once; give files to --resume",
        ),
        ("painting.png /dev/zero", "element /dev/zero: neither a file nor a pipe"),
    ],
)
def test_what_no_pipe_can_do_is_said_at_once(
    command: Command, files: Path, words: str, said: str
) -> None:
    os.mkfifo("pipe.png")
    refused = command("run", *words.split(), "--at=20,20")
    assert refused.code == 2
    assert said in refused.err


@pytest.mark.parametrize(
    "words",
    [
        "run painting.png cutout.png --config pipe --dry-run",
        "run --record pipe --dry-run",
        "batch pipe --dry-run",
        "report pipe",
        "config check pipe",
    ],
)
def test_a_pipe_that_nobody_writes_into_is_told(
    command: Command, files: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "PATIENCE", 0.01)
    os.mkfifo("pipe")
    refused = command(*words.split())
    assert refused.code == 2
    assert "pipe: a pipe through which nothing came" in refused.err + refused.out


@pytest.mark.parametrize("begun", [b"", b"extends: prev"])
def test_a_pipe_whose_writer_falls_silent_is_told(
    command: Command, files: Path, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "PATIENCE", 0.01)
    monkeypatch.setattr(read, "PIPE_WAIT", 0.01)
    os.mkfifo("pipe")
    writer = os.open("pipe", os.O_RDWR)
    os.write(writer, begun)
    for words in ("config check pipe", "run painting.png pipe --dry-run", "run --record pipe"):
        refused = command(*words.split())
        assert refused.code == 2
        assert "a pipe through which nothing came" in refused.err + refused.out
        os.write(writer, begun)
    os.close(writer)


def test_a_log_into_a_pipe_that_nobody_reads_is_refused(command: Command, files: Path) -> None:
    os.mkfifo("pipe")
    Path("jobs.yaml").write_text("[{style: painting.png, patch: cutout.png}]")
    refused = command("batch", "jobs.yaml", "--log-json=pipe")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "--log-json pipe: cannot be written (No such device or address)" in refused.err


def test_settings_may_come_through_a_pipe(command: Command, files: Path) -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text("extends: preview\nkeep: 3\n"))
    writer.start()
    shown = command("config", "show", "pipe")
    writer.join()
    assert shown.code == 0
    assert "keep: 3" in shown.out


# --- records whose inputs moved -------------------------------------------------------------------


@pytest.fixture
def moved(command: Command, files: Path) -> Path:
    """A run with a mask, whose inputs have moved to `moved/`."""
    words = ("run", "painting.png", "patch.png", "--mask=mask.png", "--size=64", *STEPS)
    assert command(*words, "--output=a.png").code == 0
    Path("moved").mkdir()
    for name in ("painting.png", "patch.png", "mask.png"):
        shutil.move(name, "moved")
    return files


def test_a_record_whose_inputs_moved_is_mended(command: Command, moved: Path) -> None:
    refused = command("run", "--record=a.json")
    assert "painting.png: No such file or directory; say with --style which file" in refused.err
    refused = command("run", "--record=a.json", "--style=moved/painting.png")
    assert "say with --patch which file to take" in refused.err
    words = ("run", "--record=a.json", "moved/painting.png", "moved/patch.png")
    refused = command(*words)
    assert "mask.png: No such file or directory; say with --mask" in refused.err
    done = command(*words, "--mask=moved/mask.png")
    assert (done.code, "is not the file of the record" in done.err) == (0, False)
    assert Path("a-again.png").read_bytes() == Path("a.png").read_bytes()


def test_it_says_which_hash_differs(command: Command, moved: Path) -> None:
    words = ("run", "--record=a.json", "moved/painting.png", "moved/patch.png")
    with Image.open("moved/mask.png") as mask:
        mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save("other.png")
    done = command(*words, "--mask=other.png")
    assert done.code == 0
    assert "warning: mask other.png is not the file of the record: SHA-256 " in done.err
    shutil.copy("moved/painting.png", "painting.png")
    refused = command(*words, "--mask=other.png", "--output=painting.png", "--overwrite")
    assert "--output: painting.png is the record's painting" in refused.err
    shutil.copy("other.png", "mask.png")
    refused = command(*words)
    assert refused.code == 2
    assert "mask.png has changed since: SHA-256" in refused.err
