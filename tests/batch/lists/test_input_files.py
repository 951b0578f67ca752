"""Names and patterns → files: any case, any Unicode form, nothing hidden."""

from __future__ import annotations

import fnmatch
import os
import unicodedata
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from harmonize.batch.lists.input_files import actual, folded, matching, own_files, visible
from harmonize.images.image import StoredImage
from harmonize.images.read import open_picture
from harmonize.images.write import write_picture

NAMES = st.text("aAbBéÉåñÑ.-_[1", min_size=1, max_size=5).filter(lambda name: name.strip("."))
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=6)
PATTERNS = st.lists(
    st.one_of(st.just("**"), NAMES, NAMES.map(lambda name: f"*{name[1:]}"), st.just("*"),
              st.just("?*"), st.just("[ab]*")),
    min_size=1, max_size=3,
)  # fmt: skip
FORMS = st.sampled_from(["NFC", "NFD"])
counter = count()


def plant(folder: Path, paths: list[list[str]], form: str) -> list[Path]:
    """Make files at these paths, unless one is in another's way."""
    for parts in paths:
        path = folder.joinpath(*(unicodedata.normalize(form, part) for part in parts))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
    return [path for path in folder.rglob("*") if path.is_file()]


def naive(parts: list[str], pattern: list[str]) -> bool:
    """Whether a path's parts match a pattern's."""
    if not pattern:
        return not parts
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        if naive(parts, rest):
            return True
        return bool(parts) and not parts[0].startswith(".") and naive(parts[1:], pattern)
    if not parts:
        return False
    magic = any(character in first for character in "*?[")
    if not magic:
        fits = folded(parts[0]) == folded(first)
    else:
        fits = fnmatch.fnmatchcase(folded(parts[0]), folded(first))
        fits = fits and (not parts[0].startswith(".") or first.startswith("."))
    return fits and naive(parts[1:], rest)


@given(PATHS, PATTERNS, FORMS, FORMS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_a_glob_finds_what_a_naive_comparison_finds(
    tmp_path: Path, paths: list[list[str]], pattern: list[str], planted: str, asked: str
) -> None:
    folder = tmp_path / str(next(counter))
    folder.mkdir()
    there = plant(folder, paths, planted)
    text = unicodedata.normalize(asked, "/".join(pattern))
    parts = [*text.split("/"), *(["*"] if pattern[-1] == "**" else [])]
    wanted = {path for path in there if naive(list(path.relative_to(folder).parts), parts)}
    found = set(matching(text, folder))
    # A name that is there as it was written is that file alone; other spellings need not be.
    assert found <= wanted
    assert {folded(str(path)) for path in found} == {folded(str(path)) for path in wanted}


@given(st.lists(NAMES, min_size=1, max_size=3), FORMS, st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_name_means_the_file_of_any_case_and_form(
    tmp_path: Path, parts: list[str], form: str, upper: bool
) -> None:
    folder = tmp_path / str(next(counter))
    folder.mkdir()
    [path] = plant(folder, [parts], "NFC")
    said = unicodedata.normalize(form, "/".join(parts))
    said = said.upper() if upper else said.lower()
    assert actual(folder / said) == path
    assert actual(path) == path


def test_a_name_of_two_files_means_neither(tmp_path: Path) -> None:
    for name in ("a.PNG", "A.png"):
        (tmp_path / name).touch()
    assert actual(tmp_path / "a.png") == tmp_path / "a.png"
    assert actual(tmp_path / "A.png") == tmp_path / "A.png"
    assert actual(tmp_path / "no" / "a.png") == tmp_path / "no" / "a.png"


def test_links_in_circles_and_pipes_are_passed_by(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "deep" / "a.png").touch()
    os.mkfifo(tmp_path / "deep" / "pipe.png")
    assert matching("**/*.png", tmp_path) == [tmp_path / "deep" / "a.png"]
    assert [files for _, files in visible(tmp_path, lambda path: False)] == [
        [],
        [tmp_path / "deep" / "a.png"],
    ]


@pytest.mark.parametrize("pattern", ["*.png", "**/*", "*/*.PNG"])
def test_hidden_files_stay_hidden(tmp_path: Path, pattern: str) -> None:
    (tmp_path / ".deep").mkdir()
    for name in ("._a.png", ".deep/a.png"):
        (tmp_path / name).touch()
    assert matching(pattern, tmp_path) == []
    assert matching("._*.png", tmp_path) == [tmp_path / "._a.png"]


def test_what_other_programs_leave_is_no_picture(tmp_path: Path) -> None:
    for name in ("a.png", "Thumbs.db", "desktop.ini", "a.MOV", "r.checkpoint", "a.png~", "Icon\r"):
        (tmp_path / name).touch()
    assert matching("*", tmp_path) == [tmp_path / "a.png"]


def test_backslashes_separate_folders_where_there_is_no_such_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").touch()
    assert actual(Path(f"{tmp_path}/in\\A.png")) == tmp_path / "in" / "a.png"
    (tmp_path / "in\\A.png").touch()
    assert actual(Path(f"{tmp_path}/in\\A.png")) == tmp_path / "in\\A.png"
    assert actual(Path("no\\such.png")) == Path("no/such.png")


def test_results_are_those_of_the_output_folder_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    skip = own_files(tmp_path / "out")
    assert skip(tmp_path / "link" / "a.png")
    assert skip(tmp_path / "out")
    assert not skip(tmp_path / "a.png")


def test_magic_in_the_lists_own_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "[ab]").mkdir()
    (tmp_path / "[ab]" / "x.png").touch()
    assert matching("*.png", tmp_path / "[ab]") == [tmp_path / "[ab]" / "x.png"]
    assert matching(f"{tmp_path}/?ab?/*.png", Path("elsewhere")) == [tmp_path / "[ab]" / "x.png"]


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.tif", "a.webp", "a.bmp"])
@pytest.mark.parametrize("bits", [8, 16])
def test_sheets_and_frames_are_known_anywhere_and_stay_pictures(
    tmp_path: Path, name: str, bits: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 1 << bits, (20, 30, 3))
    picture = StoredImage(pixels.astype(np.uint8 if bits == 8 else np.uint16))
    path = tmp_path / name
    write_picture(path, picture)
    plain = open_picture("painting", path).stored
    assert not own_files(tmp_path / "out")(path)
    write_picture(path, picture, overwrite=True, mark=True)
    assert own_files(tmp_path / "out")(path)
    assert np.array_equal(open_picture("painting", path).stored.pixels, plain.pixels)
    with Image.open(path) as image:
        image.load()
