"""Whatever a command is told to write, no file that it reads is changed, by whatever name."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Outcome, disc
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harmonize import Settings
from harmonize.cli.app import main

READ = {
    "run": ["painting.png", "cutout.png", "mask.png", "mine.json"],
    "record": ["painting.png", "cutout.png", "a.json"],
    "batch": ["painting.png", "cutout.png", "mine.json", "jobs.json"],
    "compare": ["a.json", "a.png", "b.json", "b.png"],
    "frames": ["frames/frame-0001.png", "frames/frame-0002.png"],
}
NAMES: list[Callable[[str], str]] = [
    lambda name: name,
    lambda name: f"./frames/../{name}",
    lambda name: os.path.abspath(name),
    lambda name: f"link-{name.replace('/', '-')}",
    lambda name: f"hard-{name.replace('/', '-')}",
    lambda name: f"itself/{name}",
    lambda name: os.path.splitext(name)[0] + ".png",  # its record or page is the input
    lambda name: f"fresh-{os.path.basename(name)}",
]


@contextmanager
def workplace(runs: Path) -> Iterator[None]:
    """A folder with inputs of every kind, and links to each; the current one meanwhile."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(runs, folder, dirs_exist_ok=True)
        os.chdir(folder)
        try:
            Image.fromarray(disc(40, 32)).save("mask.png")
            steps = {name: {"steps": 1} for name in Settings.preset("preview").passes}
            mine = {"extends": "preview", "size": 64, "passes": steps}
            Path("mine.json").write_text(json.dumps(mine))
            job = {"style": "painting.png", "patch": "cutout.png", "at": "20,30"}
            Path("jobs.json").write_text(json.dumps({"jobs": [{**job, "config": "mine.json"}]}))
            os.mkdir("frames")
            for number in (1, 2):
                shutil.copy("painting.png", f"frames/frame-000{number}.png")
            os.symlink(".", "itself")
            for name in {name for names in READ.values() for name in names}:
                flat = name.replace("/", "-")
                os.symlink(name, f"link-{flat}")
                os.link(name, f"hard-{flat}")
            yield
        finally:
            os.chdir(before)


@st.composite
def commands(draw: st.DrawFn) -> tuple[str, list[str]]:
    """What kind of command, and its words; names of what it writes are drawn from what it reads."""
    kind = draw(st.sampled_from(list(READ)))

    def name() -> str:
        return draw(st.sampled_from(NAMES))(draw(st.sampled_from(READ[kind])))

    def some(*flags: str) -> list[str]:
        chosen = draw(st.lists(st.sampled_from(flags), unique=True))
        return [word for flag in chosen for word in (flag, name())]

    overwrite = draw(st.sampled_from([[], ["--overwrite"], ["--overwrite"]]))
    more = ["--set=passes.coarse.steps=1", "--set=passes.refine.steps=1", "--size=64"]
    if kind == "run":
        words = ["run", "painting.png", "cutout.png", "--mask=mask.png", "--at=20,30"]
        words += ["--config=mine.json", "--output", name(), *overwrite]
        words += some("--sheet", "--checkpoint", "--frames")
        words += draw(st.sampled_from([[], ["--resume"], ["--report"], ["--save-every=1"]]))
    elif kind == "record":
        words = ["run", "--record", "a.json", *more, *overwrite, *some("--output", "--sheet")]
    elif kind == "batch":
        words = ["batch", "jobs.json", *some("--log-json", "--output-dir")]
        words += draw(st.sampled_from([[], ["--restart"], ["--report"]]))
        words += draw(st.sampled_from([[], ["--output-dir=."]]))
    elif kind == "compare":
        words = ["compare", "a.json", "b.json", *some("--output"), *overwrite]
    else:
        words = ["frames", "frames", name(), *overwrite]
    return kind, words


@settings(max_examples=30)
@given(commands())
def test_no_input_is_ever_changed(runs: Path, drawn: tuple[str, list[str]]) -> None:
    kind, words = drawn
    with workplace(runs):
        before = {name: Path(name).read_bytes() for name in READ[kind]}
        with pytest.raises(SystemExit):
            main(words)
        for name, data in before.items():
            assert Path(name).read_bytes() == data, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run painting.png cutout.png --config mine.json --output mine.png", "the settings"),
        ("run painting.png cutout.png --output a.png --checkpoint hard-cutout.png", "the element"),
        ("run --record a.json --output itself/a.png", "a.json is the record"),
        ("run painting.png cutout.png --weights w.bin --checkpoint w.bin", "the weights"),
        ("run painting.png cutout.png --frames frames --style frames/frame-0002.png", "painting"),
        ("compare a.json b.json --output itself/b.png", "a picture"),
        ("frames frames link-frames-frame-0002.png", "is a frame"),
    ],
)
def test_what_is_refused_says_which_input_it_is(
    command: Callable[..., Outcome], runs: Path, words: str, said: str
) -> None:
    with workplace(runs):
        Path("w.bin").write_text("weights")
        refused = command(*words.split(), *([] if "frames frames" in words else ["--overwrite"]))
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err
        assert Path("w.bin").read_text() == "weights"
