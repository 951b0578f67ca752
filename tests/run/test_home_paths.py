"""Records name files in the user's home as `~/…`, and find them again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import ONE_PASS, Outcome
from hypothesis import given
from hypothesis import strategies as st

from harmonize import Placement, harmonize
from harmonize.run.record import find_home, hide
from harmonize.settings.load import load
from harmonize.synthesis.network import weights

Command = Callable[..., Outcome]

STEPS = [f"--set={setting}" for setting in ONE_PASS]
RUN = ("run", "--style=painting.png", "--patch=cutout.png", "--at=5,5", "--output")


@pytest.fixture
def home(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the pictures, made the user's home."""
    monkeypatch.setenv("HOME", str(files))
    shutil.copy(weights.BUNDLED, files / "mine.safetensors")
    return files


def record(name: str = "out.json") -> dict[str, object]:
    read: dict[str, object] = json.loads(Path(name).read_text())
    return read


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*map(str, value), *(text for item in value.values() for text in texts(item))]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in texts(item)]
    return [str(value)]


PARTS = st.lists(st.text("ab~. ", min_size=1).filter(lambda name: name.strip(".")), min_size=1)


@given(PARTS)
def test_what_is_hidden_is_found_again(parts: list[str]) -> None:
    path = str(Path.home().joinpath(*parts))
    assert hide(path).startswith("~" + os.sep)
    assert str(find_home(hide(path))) == path
    assert hide(hide(path)) == hide(path)


@pytest.mark.parametrize("path", ["/elsewhere/a", "a", "", "~", "~other/a", "/home", "./~/a"])
def test_other_paths_stay_as_they_are(home: Path, path: str) -> None:
    assert hide(path) == path
    assert find_home(path) == Path(path)
    assert hide(f"{home}s/a") == f"{home}s/a"
    assert hide(f"see {home}/a") == f"see {home}/a"


def test_the_roots_own_home_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert hide("/etc/a") == "/etc/a"


def test_a_home_behind_a_link_is_the_same_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HOME", f"{tmp_path}/link/")
    assert [hide(str(tmp_path / name / "a")) for name in ("real", "link")] == ["~/a", "~/a"]


def test_trees_are_gone_through_and_stay_what_they_were(home: Path) -> None:
    tree = {"a": [f"{home}/x", 1, None, (f"{home}/y", 2.5)], "b": {"c": True}}
    assert hide(tree) == {"a": ["~/x", 1, None, ("~/y", 2.5)], "b": {"c": True}}
    assert tree["a"][0] == f"{home}/x"


@pytest.mark.parametrize("how", ["harmonize", "run", "batch"])
def test_no_record_names_the_home(home: Path, command: Command, how: str) -> None:
    set_ = [*STEPS, f"--set=weights={home}/mine.safetensors"]
    pictures = {"style": f"{home}/painting.png", "patch": "cutout.png", "at": "5,5"}
    if how == "harmonize":
        config = load("default", [word.removeprefix("--set=") for word in set_])
        asked = {"placement": Placement(at=(5, 5)), "settings": config}
        told = harmonize(home / "painting.png", "cutout.png", **asked).record  # type: ignore
    elif how == "run":
        assert command(*RUN, "out.png", *set_).code == 0
        told = record()
    else:
        jobs = [{**pictures, "output": name} for name in ("a", "b")]
        Path("jobs.yaml").write_text(yaml.safe_dump({"jobs": jobs}))
        assert command("batch", "jobs.yaml", *set_).code == 0
        told = record("jobs-harmonized/a.json")
        assert "2 skipped" in command("batch", "jobs.yaml", *set_).out
    assert not [text for text in texts(told) if str(home) in text]
    assert told["inputs"]["painting"]["path"] == "~/painting.png"  # type: ignore[index]
    assert told["config"]["weights"] == "~/mine.safetensors"  # type: ignore[index]


def test_full_paths_are_there_if_asked_for(home: Path, command: Command) -> None:
    set_ = [*STEPS, f"--set=weights={home}/mine.safetensors", "--absolute-paths"]
    assert command(*RUN, "out.png", *set_).code == 0
    Path("jobs.yaml").write_text(
        yaml.safe_dump({"jobs": [{"style": "painting.png", "patch": "cutout.png", "at": "5,5"}]})
    )
    assert command("batch", "jobs.yaml", *set_).code == 0
    assert "1 skipped" in command("batch", "jobs.yaml", *set_).out
    for name in ("out.json", "jobs-harmonized/painting-cutout.json"):
        told = record(name)
        assert told["inputs"]["painting"]["path"] == f"{home}/painting.png"  # type: ignore[index]
        assert told["config"]["weights"] == f"{home}/mine.safetensors"  # type: ignore[index]


def test_a_record_with_a_home_in_it_is_made_again_and_compared(
    home: Path, command: Command
) -> None:
    set_ = [*STEPS, f"--set=weights={home}/mine.safetensors"]
    assert command(*RUN, "out.png", *set_, "--report").code == 0
    again = command("run", "--record", "out.json", "--output", "again.png", "--absolute-paths")
    assert again.code == 0
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()
    assert f"{home}/mine" not in Path("out.html").read_text()
    compared = command("compare", "out.json", "again.json")
    assert "Settings: the same\nInputs: the same" in compared.out
    assert "weights" not in compared.out
    Path("cutout.png").unlink()
    gone = command("run", "--record", "out.json", "--output", "third.png")
    assert gone.err == (
        "harmonize: error: record out.json: element ~/cutout.png: No such file or directory; "
        "say with --patch which file to take\n"
    )
