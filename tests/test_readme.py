"""Every `sh` command of README and docs/ is run, and every link leads somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome, disc, put_presets, strokes
from PIL import Image

from harmonize.run import memory_limit
from harmonize.settings import load as config

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}

# What is not run here, by how the line begins, and why.
NOT_RUN = {
    "harmonize batch jobs.yaml --engine ray": "needs a cluster",
    "ray ": "starts a cluster",
    "export ": "for the shell's next lines",
    "pip ": "needs a network",
    "python -m benchmarks": "takes minutes",
    ".venv/bin/python -m benchmarks": "takes minutes",
    "make ": "installs, and runs everything",
}


def command_lines(text: str) -> list[str]:
    """The commands in `sh` blocks, continued lines joined, comments left out."""
    found: list[str] = []
    for body in re.findall(r"^```(?:sh|bash)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        lines = re.sub(r"\\\n\s*", "", body).splitlines()
        found += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return found


SHOWN = sorted({line for text in TEXTS.values() for line in command_lines(text)})
RUN = [line for line in SHOWN if not line.startswith(tuple(NOT_RUN))]


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("presets") / "quick"
    put_presets(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, runs: Path) -> Path:
    """A folder with everything that the pages' commands name."""
    folder = tmp_path_factory.mktemp("readme")
    Image.fromarray(strokes(800, 600)).save(folder / "painting.jpg")
    photo = np.full((400, 500, 3), 90, np.uint8)
    photo[60:280, 150:390] = (200, 60, 40)
    Image.fromarray(photo).save(folder / "photo.jpg")
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
    monkeypatch.setattr(memory_limit, "_held_bytes", lambda: 5 * 10**8)
    return folder


def arguments(line: str) -> list[str]:
    """What `harmonize` is given by a line, with overwriting."""
    line = re.sub(
        r"^cat (\S+) \| (harmonize .*) --patch - .*$", r"\2 --patch \1 --output x.png", line
    )
    program, *words = shlex.split(line, comments=True)
    assert program in ("harmonize", ".venv/bin/harmonize"), f"not known here: {line}"
    replaces = words[0] in ("run", "cutout") and "--dry-run" not in words
    return [*words, "--overwrite"] if replaces and "--overwrite" not in words else words


@pytest.mark.parametrize("line", RUN)
def test_a_command_line_does_what_it_should(
    line: str, workplace: Path, command: Callable[..., Outcome]
) -> None:
    done = command(*arguments(line))
    assert done.code == (2 if "wrong" in line else 0), done.err
    words = arguments(line)
    for option in ("--output", "--sheet", "--preview"):
        if option not in words:
            continue
        target = workplace / words[words.index(option) + 1]
        if option == "--output" and "--dry-run" in words:
            assert not target.exists()
        else:
            assert target.stat().st_size > 0


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", TEXTS[page], flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith(("http://", "https://", "#")):
            assert ((ROOT / page).parent / target.split("#")[0]).exists(), f"{page}: {target}"


def test_every_page_is_reached_from_the_readme() -> None:
    for page in TEXTS:
        assert page == "README.md" or f"({page})" in TEXTS["README.md"]


MENTIONED = sorted(
    {words for text in TEXTS.values() for words in re.findall(r"`harmonize ([a-z]+)(?= |`)", text)}
)


@pytest.mark.parametrize("words", MENTIONED)
def test_a_command_named_in_a_sentence_is_there(
    words: str, command: Callable[..., Outcome]
) -> None:
    assert command(*words.split(), "--help").code == 0


def test_the_readme_is_short() -> None:
    assert 4_000 < len(TEXTS["README.md"].encode()) < 10_000


def test_commands_are_found() -> None:
    text = (
        "Words.\n\n```sh\nharmonize one\n# no\nharmonize two \\\n  --more\n```\n```text\nno\n```\n"
    )
    assert command_lines(text) == ["harmonize one", "harmonize two --more"]
    with pytest.raises(AssertionError, match="not known here: frobnicate x"):
        arguments("frobnicate x")
    assert len(RUN) >= 12
