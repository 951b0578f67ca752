"""Folders → drafts: what belongs together by its name."""

from __future__ import annotations

import itertools
import os
import unicodedata
from pathlib import Path

import pytest
from conftest import disc, strokes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from harmonize.batch.jobs import Draft, Job, Refused, check_jobs, lines
from harmonize.batch.lists.job_folder import read_folder
from harmonize.errors import JobsError


def names(found: list[Job]) -> list[str]:
    return [job.name for job in found]


def folder_jobs(folder: Path) -> list[Job]:
    items = read_folder(folder, lambda path: path.name == "skipped")
    found = check_jobs(items, Path("out"))
    if found.refused:
        raise JobsError(*lines(found.refused))
    return found.jobs


def put(path: str, seed: int | None = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = disc(96, 80) if seed is None else strokes(96, 80, seed)
    Image.fromarray(pixels).save(path)


def test_files_pair_by_stem_and_subfolders_are_kept(files: Path) -> None:
    for stem in ("in/lake", "in/deep/er/v1.5 final"):
        put(f"{stem}.painting.jpg")
        put(f"{stem}.patch.png", 1)
        put(f"{stem}.mask.png", None)
    put("in/lake.loose.png", None)
    put("in/notes.png")
    put("in/skipped/x.patch.png")
    found = {job.name: job for job in folder_jobs(Path("in"))}
    assert set(found) == {"lake.jpg", "deep/er/v1.5 final.jpg"}
    assert found["lake.jpg"].inputs == {
        "painting": Path("in/lake.painting.jpg"),
        "element": Path("in/lake.patch.png"),
        "mask": Path("in/lake.mask.png"),
        "loose_mask": Path("in/lake.loose.png"),
    }
    assert found["deep/er/v1.5 final.jpg"].output == Path("out/deep/er/v1.5 final.jpg")


def test_one_painting_takes_all_patches_of_its_folder(files: Path) -> None:
    put("in/painting.png")
    for stem in ("duck", "owl"):
        put(f"in/{stem}.patch.png", 1)
        put(f"in/{stem}.mask.png", None)
    assert names(folder_jobs(Path("in"))) == ["duck.png", "owl.png"]


def test_files_without_a_place_are_said_at_once(files: Path) -> None:
    put("in/a.painting.png")
    put("in/b.painting.png")
    put("in/c.patch.png")
    put("in/d.mask.png", None)
    put("in/a.patch.png")
    put("in/a.patch.jpg")
    with pytest.raises(JobsError) as caught:
        folder_jobs(Path("in"))
    text = "\n".join(caught.value.lines)
    for words in (
        "c.patch.png: has no painting",
        "d.mask.png: a mask without a patch",
        "b.painting.png: a painting without a patch",
        "a.patch.png: stands for the same as a.patch.jpg",
    ):
        assert words in text
    put("empty/x.png")
    with pytest.raises(JobsError, match=r"such as x\.patch\.png"):
        folder_jobs(Path("empty"))


def test_names_of_several_lines_and_of_dots_only(files: Path) -> None:
    put("in/a\nb.painting.png")
    put("in/a\nb.patch.png", 1)
    put("in/a\nb.mask.png", None)
    put("in/..patch.png")
    assert names(folder_jobs(Path("in"))) == ["a\nb.png"]


# --- names ----------------------------------------------------------------------------------------

STEMS = st.lists(
    st.text("aéßÅñ한 .-_1", min_size=1, max_size=6)
    .map(str.strip)
    .filter(lambda s: s.strip(". ") and not s.endswith(".")),
    min_size=1,
    max_size=4,
    unique_by=lambda stem: unicodedata.normalize("NFC", stem.casefold()),
)
SPELLINGS = st.lists(
    st.tuples(st.sampled_from(["lower", "upper", "title"]), st.sampled_from(["NFC", "NFD"])),
    min_size=12,
    max_size=12,
)
counter = itertools.count()


def spelled(name: str, how: tuple[str, str]) -> str:
    case, form = how
    return unicodedata.normalize(form, getattr(name, case)())


@given(STEMS, SPELLINGS, st.sampled_from(["jpg", "PNG", "Tif"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_of_names_pair_in_any_case_and_unicode_form(
    tmp_path: Path, stems: list[str], spellings: list[tuple[str, str]], extension: str
) -> None:
    folder = tmp_path / str(next(counter))
    folder.mkdir()
    wanted = set()
    for index, stem in enumerate(stem for stem in stems if not stem.startswith(".")):
        files = {}
        for role, how in zip(("painting", "patch", "mask"), spellings[3 * index :], strict=False):
            path = folder / spelled(f"{stem}.{role}.{extension}", how)
            path.touch()
            (folder / f"._{path.name}").touch()
            files["element" if role == "patch" else role] = path
        wanted.add(tuple(sorted(files.items())))
    if wanted:
        found = read_folder(folder, lambda path: False)
        assert {tuple(sorted(draft.inputs.items())) for draft in found} == wanted  # type: ignore[union-attr]


def test_what_is_no_file_or_lies_beside_pictures_is_left_alone(files: Path) -> None:
    put("in/a.painting.png")
    put("in/a.patch.png", 1)
    os.mkfifo("in/b.patch.png")
    os.mkfifo("in/a.mask.png")
    put("in/.hidden/c.patch.png")
    put("in/._a.patch.png")
    for name in ("a.painting.xmp", "a.patch.JSON", "a.mask.txt", "a.patch.png~", "a.patch.bak"):
        Path("in", name).write_text("beside")
    [draft] = read_folder(Path("in"), lambda path: False)
    assert isinstance(draft, Draft)
    assert set(draft.inputs) == {"painting", "element"}


def test_doubt_stops_only_the_job_in_doubt(files: Path) -> None:
    for name in ("a.painting.png", "a.patch.png", "a.patch.jpg", "b.painting.png", "b.patch.png"):
        put(f"in/{name}")
    doubt, draft = read_folder(Path("in"), lambda path: False)
    assert isinstance(doubt, Refused)
    assert isinstance(draft, Draft)
    assert draft.name == "b"
