"""Every command line that the README shows is run, on tiny pictures and with few steps.

A code block that is indented, or fenced as `sh`, `bash` or nothing, holds commands and nothing
else; one in which a line begins with `$ ` holds commands there and output elsewhere. Blocks fenced
as anything else (`text`, `yaml`, `python`) are not commands.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome, disc, strokes
from PIL import Image

from harmonize.run import memory_limit
from harmonize.settings import load as config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What is not run here, by how the line begins, and why. A target of `make` must exist.
NOT_RUN = {
    "make ": "installs, and runs everything",
    "python3 -m venv": "makes an environment",
    ".venv/bin/python -m pip": "needs a network",
    "ray start": "starts a cluster",
    "harmonize batch jobs.yaml --engine ray": "needs a cluster",
    ".venv/bin/python -m benchmarks": "takes minutes, and needs a folder of cases",
}
PICTURES = "--style painting.jpg --patch cutout.png --at 690,480 --width 330"  # of `run ...`


def blocks(text: str) -> Iterator[list[str]]:
    """The code blocks of Markdown that may hold commands."""
    fenced = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for language, body in fenced.findall(text):
        if language in ("", "sh", "bash"):
            yield body.splitlines()
    indented = re.compile(r"(?:(?<=\n\n)|\A)(?:    .*\n|\n(?=    ))+")
    for block in indented.findall(fenced.sub("", text)):
        yield [line.removeprefix("    ") for line in block.splitlines()]


def command_lines(text: str) -> list[str]:
    found = []
    for block in blocks(text):
        lines = re.sub(r"\\\n\s*", "", "\n".join(block)).splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        found += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return found


LINES = command_lines(README)
RUN = [line for line in LINES if not line.startswith(tuple(NOT_RUN))]


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The presets with one step a pass, at a tiny working size."""
    folder = tmp_path_factory.mktemp("presets")
    for path in (ROOT / "configs").glob("*.yaml"):
        text = re.sub(r"\bsteps: *\d+", "steps: 1", path.read_text(encoding="utf-8"))
        text = re.sub(r"^size: *\S+", "size: 64", text, flags=re.MULTILINE)
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, runs: Path) -> Path:
    """A folder with everything that the README's commands name."""
    folder = tmp_path_factory.mktemp("readme")
    Image.fromarray(strokes(800, 600)).save(folder / "painting.jpg")
    cutout = np.dstack([strokes(40, 32, seed=2), disc(40, 32)])
    Image.fromarray(cutout).save(folder / "cutout.png")
    Image.fromarray(disc(40, 32)).save(folder / "mask.png")
    (folder / "mine.yaml").write_text("strength: medium\n")
    (folder / "wrong.yaml").write_text("sise: 500\n")
    for name, run in (("out", "a"), ("soft", "a"), ("bold", "b")):
        text = (runs / f"{run}.json").read_text(encoding="utf-8")
        (folder / f"{name}.json").write_text(text.replace(f'"{run}.png"', f'"{name}.png"'))
        shutil.copy(runs / f"{run}.png", folder / f"{name}.png")
    jobs = "jobs: [{style: painting.jpg, patch: cutout.png, at: '9,9', settings: {keep: [1, 2]}}]\n"
    (folder / "jobs.yaml").write_text(jobs)
    (folder / "steps").mkdir()
    for index in (1, 2):
        Image.fromarray(strokes(48, 40, seed=index)).save(folder / f"steps/frame-000{index}.png")
    return folder


@pytest.fixture
def workplace(
    presets: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    folder = tmp_path / "workplace"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(config, "_preset_folder", lambda: presets)
    # A command has a process of its own; this one may hold much of other tests.
    monkeypatch.setattr(memory_limit, "_held", lambda: 5 * 10**8)
    return folder


def arguments(line: str) -> list[str]:
    """What `harmonize` is given by a line."""
    line = line.replace("run ...", f"run {PICTURES}").split(" | ")[0]
    program, *words = shlex.split(line, comments=True)
    assert program in ("harmonize", ".venv/bin/harmonize"), f"README: not known here: {line}"
    if "--frames" in words:  # elsewhere in the README they are there already
        words.append("--overwrite")
    return words


@pytest.mark.parametrize("line", RUN)
def test_a_command_line_does_what_it_should(
    line: str, workplace: Path, command: Callable[..., Outcome]
) -> None:
    done = command(*arguments(line))
    assert done.code == (2 if "wrong" in line else 0), done.err
    for option in ("--output", "--sheet"):
        if option in line:
            assert (workplace / line.split(f"{option} ")[1].split()[0]).stat().st_size > 0


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_a_target_of_make_is_there(line: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(shlex.split(line)[1])}:", makefile, re.MULTILINE)


MENTIONED = sorted(set(re.findall(r"`harmonize ([a-z]+(?: [a-z]+)?)(?= |`)", README)))


@pytest.mark.parametrize("words", MENTIONED)
def test_a_command_named_in_a_sentence_is_there(
    words: str, command: Callable[..., Outcome]
) -> None:
    assert command(*words.split(), "--help").code == 0


def test_commands_are_found_in_every_kind_of_block() -> None:
    text = """
Words.

    harmonize one    # a comment
    # only a comment

    harmonize two \\
      --more

- a list
    that goes on

```sh
harmonize three
```

```text
harmonize output
```

    $ harmonize four
    output
"""
    assert command_lines(text) == [
        "harmonize three",
        "harmonize one    # a comment",
        "harmonize two --more",
        "harmonize four",
    ]
    with pytest.raises(AssertionError, match="not known here: frobnicate x"):
        arguments("frobnicate x")
    assert len(RUN) >= 8
