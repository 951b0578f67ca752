from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import studio_client
import torch
import typer.main
from hypothesis import HealthCheck, settings
from PIL import Image
from torch import Tensor

from harmonize.cli import app as cli
from harmonize.run import prepare
from harmonize.settings import load as settings_files
from harmonize.settings.load import Settings, load, presets
from harmonize.studio import painting
from harmonize.synthesis.network import weights
from harmonize.synthesis.network.vgg19 import VGG19

# The same cases in every run, and no deadlines: machines differ.
settings.register_profile("harmonize", deadline=None, derandomize=True, max_examples=50)
settings.register_profile(
    "fuzz", deadline=None, max_examples=1250, suppress_health_check=list(HealthCheck)
)

settings.load_profile("harmonize")

# Two passes after the palette map and the underpainting, whatever the painting; the first at half
# the size. One search and vote a scale: whatever more there are, they are the same. The palette map
# looks through three convolutions: half the time before the passes is its.
TWO_PASSES = (
    "palette.field.taps=[relu2_1]",
    "underpainting.steps=[1, 1]",
    "underpainting.fine=[0.99, 1.0]",
    "underpainting.lead=1",
    "passes.coarse.start=underpainting",
    "passes.strokes=null",
    "passes.refine.start=previous",
)
PASSES = ("coarse", "refine")


def shallow(name: str) -> tuple[str, ...]:
    """Let a pass look through three convolutions only: a step takes a tenth of the time."""
    parts = {
        "field": "[relu2_1]",
        "terms.content": "[relu2_1]",
        "terms.style": "[relu1_1,relu2_1]",
        "terms.histogram": "[relu1_1,relu2_1]",
    }
    return tuple(f"passes.{name}.{part}.taps={taps}" for part, taps in parts.items())


# One pass from the composite, of a single step: where it does not matter what is painted.
ONE_PASS = (
    "palette=null",
    "underpainting=null",
    "passes.coarse=null",
    "passes.strokes=null",
    "passes.refine.start=composite",
    "passes.refine.steps=1",
    *shallow("refine"),
)

# Tensors are tiny here: a second thread costs more than it saves.
torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """Compute on the CPU, also where there are GPUs, but in the tests that are about them."""
    if "gpu" not in config.option.markexpr.replace("not gpu", ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def _weights_read_once() -> Iterator[None]:
    """Read the bundled weights once a process, not for each command."""
    read = weights._load_bundled
    once = lru_cache(lambda path, digest: read())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            weights, "_load_bundled", lambda: once(weights.BUNDLED, weights.BUNDLED_SHA256)
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def _networks_built_once(_weights_read_once: None) -> Iterator[None]:
    """Build the network of the bundled weights once a process: more than half of a small run."""
    build, known = prepare.VGG19, {}

    def once(state: Any, **how: Any) -> Any:
        if state is not weights._load_bundled().state:
            return build(state, **how)
        key = tuple(sorted((name, str(value)) for name, value in how.items()))
        if key not in known:
            known[key] = build(state, **how)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "VGG19", once)
        yield


@pytest.fixture(scope="session")
def network(_networks_built_once: None) -> VGG19:
    """The network that runs on the CPU use."""
    how = {"device": torch.device("cpu"), "precision": torch.float32, "padding": "replicate"}
    return prepare.VGG19(weights.load_weights("oxford").state, **how)


@pytest.fixture(scope="session", autouse=True)
def _commands_built_once() -> Iterator[None]:
    """Build the command's options once a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", lru_cache(typer.main.get_command))
        yield


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command in this process; return exit code and output."""

    def run(*args: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(arg) for arg in args])
        return Outcome(int(stopped.value.code or 0), *capsys.readouterr())

    return run


# The command, with other presets, which a folder holds.
WITH_PRESETS = """
import sys
from pathlib import Path
from harmonize.cli.app import main
from harmonize.settings import load
folder = Path(sys.argv.pop(1))
load._preset_folder = lambda: folder
main()
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command in a process of its own, with the tests' threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started: list[subprocess.Popen[str]] = []

    def begin(*args: object, presets: Path | None = None, **more: Any) -> subprocess.Popen[str]:
        program = ["-m", "harmonize"] if presets is None else ["-c", WITH_PRESETS, presets]
        words = [sys.executable, *map(str, (*program, *args))]
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment, **more}
        started.append(subprocess.Popen(words, text=True, **given))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def wait_for(reached: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def descendants(pid: int) -> dict[int, bytes]:
    """Map the process ids of all that a process started to command lines."""
    found: dict[int, bytes] = {}
    try:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found[int(child)] = Path(f"/proc/{child}/cmdline").read_bytes()
            found |= descendants(int(child))
    except OSError:  # one has ended meanwhile
        pass
    return found


def strokes(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Paint soft colored diagonal strokes, uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    waves = [np.sin((x + y) / 4 + p) + np.cos((x - 2 * y) / 9 + p) for p in phase]
    return np.rint(128 + 50 * np.stack(waves, -1)).astype(np.uint8)


def put_presets(folder: Path, *more: str) -> None:
    """Write presets under the real names, all of one small step, unless `more` settings differ."""
    folder.mkdir()
    quick = load("default", [*ONE_PASS, "size=64", *more]).model_dump(mode="json")
    for name in presets():
        text = json.dumps({"extends": None, **quick})
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def use_presets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take presets from a folder; those that a studio has read are as before afterwards."""
    monkeypatch.setattr(settings_files, "_preset_folder", lambda: folder)
    monkeypatch.setattr(painting, "_preset_settings", Settings.preset)


def disc(width: int, height: int) -> np.ndarray:
    """Draw a white disc in the middle, uint8 [H, W]."""
    y, x = np.mgrid[:height, :width]
    inside = ((x - width / 2) / width) ** 2 + ((y - height / 2) / height) ** 2 < 0.3**2
    return np.where(inside, 255, 0).astype(np.uint8)


def put_pictures(folder: Path) -> None:
    """Write painting.png and patch.png 96 x 80, mask.png, and cutout.png 40 x 32 with alpha."""
    Image.fromarray(strokes(96, 80)).save(folder / "painting.png")
    Image.fromarray(strokes(96, 80, seed=1)).save(folder / "patch.png")
    Image.fromarray(disc(96, 80)).save(folder / "mask.png")
    cutout = np.dstack([strokes(40, 32, seed=2), disc(40, 32)])
    Image.fromarray(cutout).save(folder / "cutout.png")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    put_pictures(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two real runs and their records; copy it, do not change it."""
    folder = tmp_path_factory.mktemp("runs")
    put_pictures(folder)
    passes = Settings.preset().passes
    steps = [f"--set=passes.{name}.steps=3" for name in passes]
    steps += [f"--set={setting}" for name in passes for setting in shallow(name)]
    steps += ["--set=underpainting.steps=[1, 1]"]
    pictures = ["--style", folder / "painting.png", "--patch", folder / "cutout.png"]
    for name, options in (("a", ["--strength=2"]), ("b", ["--strength=10", "--keep=2"])):
        place = ["--at=20,30", "--output", folder / f"{name}.png"]
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(arg) for arg in ("run", *pictures, *place, *steps, *options)])
        assert not stopped.value.code
    return folder


@pytest.fixture
def serve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., studio_client.Client]]:
    """Start a studio in the test's folder and open its page."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ExitStack() as stack:

        def start(*pictures: Path, enter: bool = True, **more: Any) -> studio_client.Client:
            client = stack.enter_context(studio_client.running(*pictures, **more))
            if enter:
                client.open()
            return client

        yield start
    assert not list(tmp_path.glob("harmonize-studio-*"))


FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
AXE = Path(__file__).parent.parent / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no Chromium: install it, or set CHROMIUM to its path"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield chromium
        chromium.close()


@pytest.fixture
def violations() -> Callable[[Any], list[str]]:
    """List what axe-core finds on a page against WCAG A and AA."""
    source = Path(os.environ.get("AXE", AXE))
    if not source.is_file():
        pytest.skip("axe-core is not there: `make browser` installs it, where npm is")

    def look(page: Any) -> list[str]:
        page.evaluate(source.read_text(encoding="utf-8"))
        tags = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']"
        found = page.evaluate(f"axe.run({{runOnly: {{type: 'tag', values: {tags}}}}})")
        return [
            f"{rule['id']}: {node['html']} {node['failureSummary']}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    return look


def drawn_on_brushwork() -> tuple[Tensor, Tensor]:
    """An outlined element, its texture weaker than the painting's brushwork."""
    noise = torch.randn(1, 96, 120, generator=torch.Generator().manual_seed(0))
    flat = torch.zeros(2, 96, 120)
    luma = 50 + noise.flip(2)
    luma[:, 48:50] = 5
    return torch.cat((luma, flat)), torch.cat((50 + 3 * noise, flat))
