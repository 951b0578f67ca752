from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image

from harmonize.cli import app as cli
from harmonize.settings.load import Settings

# The same cases in every run, and no deadlines: machines differ.
settings.register_profile("harmonize", deadline=None, derandomize=True, max_examples=50)
settings.register_profile(
    "fuzz", deadline=None, max_examples=1250, suppress_health_check=list(HealthCheck)
)

settings.load_profile("harmonize")

# Two passes after the palette map and the underpainting, whatever the painting; the first at half
# the size.
TWO_PASSES = (
    "underpainting.fine=[0.99, 1.0]",
    "passes.coarse.start=underpainting",
    "passes.strokes=null",
    "passes.refine.start=previous",
)
PASSES = ("coarse", "refine")

# Tensors are tiny here: a second thread costs more than it saves.
torch.set_num_threads(1)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The command `harmonize` in this process: arguments in, exit code and output out."""

    def run(*args: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(arg) for arg in args])
        return Outcome(int(stopped.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """The command `harmonize` in a process of its own, which does not outlive the test.

    With as many threads as the tests have: bytes are compared.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started: list[subprocess.Popen[str]] = []

    def begin(*args: object, **more: Any) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "harmonize", *map(str, args)]
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment, **more}
        started.append(subprocess.Popen(words, text=True, **given))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def wait_for(reached: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def descendants(pid: int) -> dict[int, bytes]:
    """Process id → command line of all that a process started."""
    found: dict[int, bytes] = {}
    try:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found[int(child)] = Path(f"/proc/{child}/cmdline").read_bytes()
            found |= descendants(int(child))
    except OSError:  # one has ended meanwhile
        pass
    return found


def strokes(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A painting of a sort: soft colored diagonal strokes, uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    waves = [np.sin((x + y) / 4 + p) + np.cos((x - 2 * y) / 9 + p) for p in phase]
    return np.rint(128 + 50 * np.stack(waves, -1)).astype(np.uint8)


def disc(width: int, height: int) -> np.ndarray:
    """A mask: white disc in the middle, uint8 [H, W]."""
    y, x = np.mgrid[:height, :width]
    inside = ((x - width / 2) / width) ** 2 + ((y - height / 2) / height) ** 2 < 0.3**2
    return np.where(inside, 255, 0).astype(np.uint8)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, made the current one, with painting.png 96 x 80, patch.png, mask.png, cutout.png.

    The patch is as large as the painting; the cut-out is 40 x 32 with an alpha channel.
    """
    monkeypatch.chdir(tmp_path)
    Image.fromarray(strokes(96, 80)).save("painting.png")
    Image.fromarray(strokes(96, 80, seed=1)).save("patch.png")
    Image.fromarray(disc(96, 80)).save("mask.png")
    cutout = np.dstack([strokes(40, 32, seed=2), disc(40, 32)])
    Image.fromarray(cutout).save("cutout.png")
    return tmp_path


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two real runs of a few steps, a.png and b.png and their records.

    Not to be changed: `shutil.copytree` it.
    """
    folder = tmp_path_factory.mktemp("runs")
    Image.fromarray(strokes(96, 80)).save(folder / "painting.png")
    cutout = np.dstack([strokes(40, 32, seed=2), disc(40, 32)])
    Image.fromarray(cutout).save(folder / "cutout.png")
    steps = [f"--set=passes.{name}.steps=3" for name in Settings.preset().passes]
    pictures = ["--style", folder / "painting.png", "--patch", folder / "cutout.png"]
    for name, options in (("a", ["--strength=2"]), ("b", ["--strength=10", "--keep=2"])):
        place = ["--at=20,30", "--output", folder / f"{name}.png"]
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(arg) for arg in ("run", *pictures, *place, *steps, *options)])
        assert not stopped.value.code
    return folder
