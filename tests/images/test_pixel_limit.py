"""How many pixels a file may have."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

from harmonize.studio.guard import Limits

NAME = "HARMONIZE_MAX_PIXELS"
Command = Callable[..., Outcome]

RUN = ["run", "painting.png", "cutout.png", "--dry-run", "--size=64"]
BATCH = ["batch", "jobs.json", "--dry-run"]
CUTOUT = ["cutout", "patch.png", "--mask=mask.png", "--overwrite"]


@pytest.fixture(autouse=True)
def jobs(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    Path("jobs.json").write_text('[{"style": "painting.png", "patch": "cutout.png"}]')


@pytest.mark.parametrize("words", [RUN, BATCH, CUTOUT])
def test_the_flag_is_the_limit_and_is_named(
    command: Command, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (None, "1G"):
        if variable:
            monkeypatch.setenv(NAME, variable)
        refused = command(*words, "--max-pixels", 96 * 80 - 1)
        assert refused.code in (1, 2)
        said = refused.err + refused.out
        assert "96 x 80 pixels, more than the limit of 7,679; make it smaller, or raise" in said
        assert "--max-pixels" in said and NAME in said
        assert os.environ.get(NAME) == variable


@pytest.mark.parametrize("words", [RUN, BATCH, CUTOUT])
def test_the_flag_wins_over_the_variable(
    command: Command, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, "100")
    assert command(*words).code
    assert command(*words, "--max-pixels=0.00001G").code == 0
    assert os.environ[NAME] == "100"


@pytest.mark.parametrize("words", [RUN, BATCH, CUTOUT, ["studio", "--no-browser"]])
def test_what_is_no_number_is_told_in_flags(command: Command, words: list[str]) -> None:
    refused = command(*words, "--max-pixels=many")
    told = "--max-pixels: 'many', expected a number such as 250000000 or 250M"
    assert (refused.code, refused.err) == (2, f"harmonize: error: {told}\n")


def test_the_studio_takes_in_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Limits().pixels == 178_956_970
    monkeypatch.setenv(NAME, "400M")
    assert Limits().pixels == 400_000_000
