"""What the command says of itself: help, nearest names, completion."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from conftest import Outcome

from harmonize import Settings

Command = Callable[..., Outcome]

SCREEN = 25  # lines; a terminal of 80 columns
COMMANDS = ("run", "batch", "compare", "frames", "doctor", "config show", "weights list")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_the_help_of_a_run_fits_two_screens(command: Command, narrow: None) -> None:
    lines = command("run", "--help").out.splitlines()
    assert len(lines) <= 2 * SCREEN
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("Example: harmonize run ") for line in lines) == 1
    options = [line for line in lines if line.startswith("  ")]
    for line in options:  # a line each, none broken in its sentence
        assert re.match(r"  (--[a-z-]+|[A-Z]+)( \S+)?  .*[.\]):]$", line), line
    assert [line for line in lines if line.endswith(":")][-1] == "For experts:"
    assert not re.search(r"--(overwrite|dry-run|report|resume) [A-Z]", "\n".join(lines))


def test_required_ones_are_marked(command: Command, narrow: None) -> None:
    text = command("run", "--help").out
    assert text.count("(required)") == 2


def test_defaults_in_the_help_are_the_presets(command: Command, narrow: None) -> None:
    text = command("run", "--help").out
    settings = Settings.preset()
    for name in ("strength", "keep", "keep_color", "size", "weights", "device", "seed"):
        shown = re.search(rf"--{name.replace('_', '-')} .*\[(.+)\]$", text, re.MULTILINE)
        assert shown is not None
        value = getattr(settings, name)
        assert shown[1] == (f"{value:g}" if isinstance(value, (int, float)) else value)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_is_short_and_whole(command: Command, narrow: None, words: str) -> None:
    done = command(*words.split(), "--help")
    assert done.code == 0
    assert len(done.out.splitlines()) <= 2 * SCREEN
    assert "..." not in done.out.replace("[ARGS]...", "").replace("FILE...", "")


def test_no_summary_of_a_command_is_cut(command: Command, narrow: None) -> None:
    listed = command("--help").out.partition("Commands:")[2].splitlines()
    assert len([line for line in listed if line.strip()]) >= 7
    assert not [line for line in listed if line.endswith("...")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("btach jobs.yaml", "there is no command 'btach'; did you mean batch?"),
        ("foo", "there is no command 'foo'; valid: run, batch, "),
        ("run a.png b.png --stregth 3", "there is no option --stregth; did you mean --strength?"),
        ("run a.png b.png --config quick", "presets (valid: default, fine, paper, preview)"),
        ("run a.png b.png --config previw", "presets (did you mean preview?)"),
        ("run a.png b.png --set passes.refin.steps=3", "did you mean refine?"),
        ("run a.png b.png --strength storng", "--strength: expected"),
    ],
)
def test_the_nearest_name_is_offered(command: Command, words: str, said: str) -> None:
    refused = command(*words.split())
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert said in refused.err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("harmonize ba", {"batch"}),
        ("harmonize run --config ", {"default", "preview", "fine", "paper"}),
        ("harmonize run --strength ", {"auto", "weak", "medium", "strong"}),
        ("harmonize run --device c", {"cpu", "cuda"}),
        ("harmonize run --weights o", {"oxford"}),
        ("harmonize run --set passes.refine.ste", {"passes.refine.steps="}),
        ("harmonize config show pre", {"preview"}),
        ("harmonize run --overw", {"--overwrite"}),
    ],
)
def test_the_tab_key_knows_values(
    command: Command, monkeypatch: pytest.MonkeyPatch, typed: str, offered: set[str]
) -> None:
    monkeypatch.setenv("_HARMONIZE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split(" ")) - 1))
    assert set(command().out.split()) == offered
