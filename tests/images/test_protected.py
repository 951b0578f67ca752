"""No file that is read is written, by whatever name."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from harmonize.errors import OutputError
from harmonize.images.protected import clashes, files_under, protect


def linked(folder: Path) -> Path:
    (folder / "other.png").symlink_to("painting.png")
    return folder / "other.png"


def hard_linked(folder: Path) -> Path:
    os.link(folder / "painting.png", folder / "other.png")
    return folder / "other.png"


def through_a_folder(folder: Path) -> Path:
    (folder / "elsewhere").symlink_to(".", target_is_directory=True)
    return folder / "elsewhere" / ".." / folder.name / "painting.png"


NAMES: list[Callable[[Path], Path]] = [
    linked,
    hard_linked,
    through_a_folder,
    lambda folder: Path("painting.png"),
    lambda folder: folder / "x" / ".." / "painting.png",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_input_is_known_by_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Callable[[Path], Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("painting.png").write_text("painting")
    Path("x").mkdir()
    output = name(tmp_path)
    with pytest.raises(OutputError, match=r"--output: .* is the painting.*never replaced"):
        protect([("the painting", tmp_path / "painting.png")], [("--output", output)])


def test_a_file_system_that_ignores_case_is_asked_and_not_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Café.png").write_text("painting")
    other = tmp_path / unicodedata.normalize("NFD", "CAFÉ.png")
    given = [("the painting", tmp_path / "Café.png")], [("--output", other)]
    stat = os.stat

    def one_for_all_cases(path: os.PathLike[str] | str, **more: object) -> os.stat_result:
        return stat(tmp_path / "Café.png" if str(path) == str(other) else path, **more)  # type: ignore[arg-type]

    assert not list(clashes(*given))
    monkeypatch.setattr(os, "stat", one_for_all_cases)
    assert list(clashes(*given))


@pytest.mark.parametrize("other", ["a.png", "./a.png", "A.PNG", "x/../a.png"])
def test_two_outputs_need_two_files(tmp_path: Path, other: str) -> None:
    (tmp_path / "x").mkdir()
    ((name, problem),) = clashes(
        [], [("--output", tmp_path / "a.png"), ("--sheet", f"{tmp_path}/{other}")]
    )
    assert name == "--sheet"
    assert "is the file of --output too" in problem


def test_what_is_apart_is_let_through(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "x.json"):
        (tmp_path / name).write_text(name)
    outputs = [("--output", tmp_path / "b.png"), ("--record", tmp_path / "new" / "a.png")]
    inputs = [("the painting", tmp_path / "a.png"), ("the mask", tmp_path / "gone.png")]
    protect(inputs, outputs)
    protect([("odd", "a\0b")], [("--output", "a\0b.png"), ("--sheet", "x" * 5000)])
    assert sorted(path.name for path in files_under(tmp_path)) == ["a.png", "b.png", "x.json"]
    assert not list(files_under(tmp_path / "nowhere"))
