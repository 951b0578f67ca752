from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome
from PIL import Image

from harmonize.errors import InputError, MemoryLimitError
from harmonize.run import memory_limit
from harmonize.run.prepare import Extent, canvas_of
from harmonize.scene.placement import Placement
from harmonize.scene.scene import load_scene
from harmonize.settings.load import Settings, load
from harmonize.synthesis.image_ops.crops import Canvas
from harmonize.synthesis.image_ops.tiled_image import Raster
from harmonize.synthesis.image_ops.windows import Window

PICTURES = ("--style=painting.png", "--patch=cutout.png", "--at=20,20")
GIGA = 10**9


def canvas(long: int = 1400, patch: int = 700) -> Canvas:
    """A canvas that takes no memory: its pixels are all the same one."""
    pixels = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (long * 3 // 4, long, 3))
    loose = np.zeros(pixels.shape[:2], np.uint8)
    Window(100, 100, 100 + patch // 2, 100 + patch).crop_pixels(loose)[:] = 1
    return Canvas(Raster(pixels), Raster(pixels), loose, Raster(pixels[..., :1]))


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that holds 500 MB."""
    monkeypatch.setattr(memory_limit, "_held_bytes", lambda: GIGA // 2)


def native(*more: str) -> Settings:
    return load("default", ["size=native", *more])


def test_more_to_do_takes_more() -> None:
    needs = [
        memory_limit.estimate_memory(canvas(patch=side), native(), 5.0)
        for side in (100, 300, 700, 1200)
    ]
    assert needs == sorted(needs)
    assert needs[-1] > 1.5 * needs[0]
    sizes = [
        memory_limit.estimate_memory(canvas(), load("default", [f"size={size}"]), 5.0)
        for size in (128, 500, 1400)
    ]
    assert sizes == sorted(set(sizes))


def test_a_large_painting_takes_no_more_than_its_tiles_do() -> None:
    small, large = (
        memory_limit.estimate_memory(canvas(long, 200), native(), 5.0) for long in (4000, 8000)
    )
    pixels = 8000 * 6000 - 4000 * 3000
    # A copy of it at half the size, in 32-bit numbers; no activations of all.
    assert large - small < 4 * pixels


def test_passes_that_are_skipped_take_nothing() -> None:
    whole = native()
    without = native("passes.strokes.steps=0", "passes.refine.steps=0")
    assert memory_limit.estimate_memory(canvas(), without, 5.0) < memory_limit.estimate_memory(
        canvas(), whole, 5.0
    )


def test_without_a_limit_nothing_changes() -> None:
    config = native()
    found = memory_limit.fit(canvas(), config, 5.0)
    assert found == (config, memory_limit.estimate_memory(canvas(), config, 5.0))
    assert memory_limit.fit(canvas(), config, 5.0, 100 * GIGA) == found


@pytest.mark.parametrize("limit", [1.0, 1.2, 1.6, 2.0])
def test_a_limit_leads_to_the_largest_size_that_fits(limit: float) -> None:
    config = native()
    found, need = memory_limit.fit(canvas(), config, 5.0, int(limit * GIGA))
    assert need <= memory_limit.SAFETY * limit * GIGA
    size = found.size
    assert isinstance(size, int)
    assert memory_limit.SMALLEST <= size < 1400
    larger = found.model_copy(update={"size": size + memory_limit.STEPS})
    assert memory_limit.estimate_memory(canvas(), larger, 5.0) > memory_limit.SAFETY * limit * GIGA


def test_smaller_tiles_come_before_a_smaller_size() -> None:
    big = canvas(3000, 150)
    config = native()
    need = memory_limit.estimate_memory(big, config, 5.0)
    found, _ = memory_limit.fit(big, config, 5.0, int(0.99 * need / memory_limit.SAFETY))
    assert found.size == "native"
    assert found.tile < config.tile


def test_what_fits_nowhere_is_an_error_that_names_the_least() -> None:
    with pytest.raises(MemoryLimitError, match=r"max_memory=100MB` is too little.*or more") as no:
        memory_limit.fit(canvas(), native(), 5.0, 10**8)
    least = re.search(r"give ([\d.]+[MG]B) or more", str(no.value))
    assert least
    # A little more, for the rounding of the words, and it fits.
    enough = 1.01 * (memory_limit.parse(least[1]) or 0)
    assert memory_limit.fit(canvas(), native(), 5.0, int(enough))


def test_a_run_that_would_be_killed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limit, "ceiling", lambda: 2 * GIGA)
    assert memory_limit.memory_warning(GIGA) is None
    with pytest.raises(MemoryLimitError, match=r"about 3GB.*may hold 2GB.*max_memory=2GB"):
        memory_limit.memory_warning(3 * GIGA)
    monkeypatch.setattr(memory_limit, "ceiling", lambda: None)
    assert "max_memory" in str(memory_limit.memory_warning(10**16))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_memory_that_is_refused_is_one_line(error: Exception) -> None:
    told = r"out of memory .*3GB.*max_memory"
    with pytest.raises(MemoryLimitError, match=told), memory_limit.refused(3 * GIGA):
        raise error


def test_other_errors_stay_what_they_are() -> None:
    for error in (RuntimeError("shapes do not fit"), OSError("gone"), InputError("no")):
        with pytest.raises(type(error), match=str(error)), memory_limit.refused():
            raise error


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2GB", 2 * GIGA),
        ("1.5gb", 3 * GIGA // 2),
        ("800 MB", 8 * 10**8),
        ("1GiB", 1 << 30),
        ("2G", 2 * GIGA),
        ("12345", 12345),
        (12345, 12345),
    ],
)
def test_sizes_are_read(text: str | int, count: int) -> None:
    assert memory_limit.parse(text) == count


@pytest.mark.parametrize("text", ["", "two", "-1GB", "1.2.3GB", "0", "5 XB", "nan", "1e99e"])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(InputError, match="max_memory"):
        memory_limit.parse(text)


def test_a_dry_run_tells_and_writes_nothing(files: Path, command: Callable[..., Outcome]) -> None:
    before = sorted(path.name for path in files.iterdir())
    smooth = "--set=underpainting.fine=[0.99, 1.0]"
    code, out, err = command("run", *PICTURES, smooth, "--dry-run")
    assert code == 0
    assert re.search(
        r"about [\d.]+[MG]B of memory at the peak; \d+ coarse \+ \d+ strokes steps", out
    )
    assert "style level" in err
    assert sorted(path.name for path in files.iterdir()) == before


def test_a_limit_is_told_and_recorded(files: Path, command: Callable[..., Outcome]) -> None:
    code, _, err = command("run", *PICTURES, "--max-memory=1MB", "--output=out.png")
    assert code == 2
    assert err.count("harmonize: error: --max-memory 1MB is too little") == 1
    assert not (files / "out.png").exists()


# A limit on addresses stands for a machine that has no more; set where the run begins, since the
# libraries themselves reserve more than they use.
STARVED = """
import resource, sys
import torch
torch.set_num_threads(1)
from harmonize.cli import app
from harmonize.synthesis import painter
whole = painter.Painter.paint
def starved(self, *args):
    for line in open("/proc/self/status"):
        if line.startswith("VmSize:"):
            limit = int(line.split()[1]) * 1024 + (24 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return whole(self, *args)
painter.Painter.paint = starved
app.main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits on addresses are Linux's")
def test_a_machine_without_memory_ends_in_one_line(files: Path) -> None:
    Image.open("painting.png").resize((600, 500)).save("large.png")
    arguments = ["run", "--style=large.png", "--patch=cutout.png", "--at=50,50", "--width=450"]
    done = subprocess.run(
        [sys.executable, "-c", STARVED, *arguments, "--size=600", "--output=out.png"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("harmonize: error")]
    assert len(lines) == 1
    assert "out of memory" in lines[0]
    assert "--max-memory" in lines[0]
    assert "Traceback" not in done.stderr
    assert not list(files.glob("out.*")) + list(files.glob("*.part")) + list(files.glob(".*.part"))


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("setting", ["size=native", "strength=3", "region=canvas"])
def test_what_is_told_without_the_pixels_is_what_a_run_is_told(
    files: Path, setting: str, large: bool
) -> None:
    if large:
        Image.fromarray(np.zeros((1500, 2000, 3), np.uint8)).save("painting.png")
    scene = load_scene("painting.png", "cutout.png", placement=Placement(at=(20, 20)))
    extent, whole, config = Extent.of(scene), canvas_of(scene), load("default", [setting])
    arrays = (scene.painting, scene.composite, scene.tight, scene.loose)
    assert extent.held == sum(array.nbytes for array in arrays)
    level = 3.0 if "strength" in setting else extent.level
    for limit in range(2 * 10**8, 4 * GIGA, 3 * 10**8):
        told = []
        for ask in (
            lambda: memory_limit.fit(whole, config, level, limit, GIGA + extent.held),  # noqa: B023
            lambda: extent.check_memory(config, limit, GIGA),  # noqa: B023
        ):
            try:
                ask()
                told.append("")
            except MemoryLimitError as error:
                told.append(str(error))
        assert bool(told[0]) == bool(told[1])
        assert bool(told[0]) == (limit < 1.5 * GIGA), limit
