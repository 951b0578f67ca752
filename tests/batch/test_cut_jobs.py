"""Jobs that cut their element out first, as `run` does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ONE_PASS, Outcome, disc, strokes
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Command = Callable[..., Outcome]

QUICK = ["--size=64", *(f"--set={setting}" for setting in ONE_PASS)]
JOB = {"style": "painting.png", "patch": "photo.png", "at": "20,20"}
JOB |= {"size": 64, "set": list(ONE_PASS)}


@pytest.fixture(autouse=True)
def photo(files: Path) -> None:
    """A bright disc on a dark ground, and its mask with labels."""
    inside = disc(48, 40) > 0
    Image.fromarray(np.where(inside[..., None], strokes(48, 40) | 128, 20)).save("photo.png")
    labels = np.where(inside, 7, 0).astype(np.uint8)
    labels[:4] = 3
    Image.fromarray(labels).save("labels.png")
    Image.fromarray(255 - disc(48, 40)).save("outside.png")


def listed(*jobs: dict[str, Any]) -> None:
    Path("jobs.json").write_text(json.dumps([{**JOB, **job} for job in jobs]))


@pytest.mark.parametrize(
    ("job", "flags"),
    [
        ({"box": "5,4,38,32"}, ["--box=5,4,38,32"]),
        ({"box": [5, 4, "80%", 32]}, ["--box=5,4,80%,32"]),
        ({"mask": "labels.png", "mask_value": 7}, ["--mask=labels.png", "--mask-value=7"]),
        ({"mask": "outside.png", "invert_mask": True}, ["--mask=outside.png", "--invert-mask"]),
    ],
)
def test_a_job_makes_the_picture_that_run_makes(
    command: Command, job: dict[str, Any], flags: list[str]
) -> None:
    listed(job)
    done = command("batch", "jobs.json", "--output-dir=out")
    assert (done.code, "1 done" in done.out) == (0, True), done.err
    made = command(
        "run", "painting.png", "photo.png", "--at=20,20", "--output=one.png", *flags, *QUICK
    )
    assert made.code == 0, made.err
    assert Path("out/painting-photo.png").read_bytes() == Path("one.png").read_bytes()
    cut = Path("out/painting-photo-cutout.png").read_bytes()
    assert cut == Path("one-cutout.png").read_bytes()
    record = json.loads(Path("out/painting-photo.json").read_text())
    assert Path(record["inputs"]["element"]["path"]).name == "painting-photo-cutout.png"
    assert "mask" not in record["inputs"]


def test_a_job_that_is_done_is_not_cut_again(command: Command) -> None:
    listed({"box": "5,4,38,32"})
    assert command("batch", "jobs.json", "--dry-run").code == 0
    assert not Path("jobs-harmonized").exists()
    assert command("batch", "jobs.json").code == 0
    cut = Path("jobs-harmonized/painting-photo-cutout.png")
    before = cut.stat().st_mtime_ns
    assert "0 done, 1 skipped" in command("batch", "jobs.json").out
    assert cut.stat().st_mtime_ns == before
    listed({"mask": "labels.png", "mask_value": 7})
    assert "1 to do" in command("batch", "jobs.json", "--dry-run").out


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"box": 7}, "box: expected x,y,width,height; got 7"),
        ({"box": "1,2,3"}, "expected left, top, width and height"),
        ({"box": "5,4,38,32", "mask": "labels.png"}, "`box` cuts the element out, `mask` has"),
        (
            {"mask": "labels.png", "mask_value": 5},
            "nothing in it has the value 5; choose of 0, 3, 7",
        ),
        ({"mask": "labels.png", "mask_value": "7"}, "mask_value: expected a number"),
        ({"mask_value": 7}, "`mask_value` and `invert_mask` go with `mask`"),
        ({"mask": "outside.png", "invert_mask": 1}, "invert_mask: expected true or false"),
        ({"box": "5,4,38,32", "output": "x-cutout", "at": "30,20"}, "is the file of job"),
    ],
)
def test_what_cannot_be_cut_is_refused_and_the_rest_goes_on(
    command: Command, job: dict[str, Any], said: str
) -> None:
    listed({"box": "5,4,38,32", "output": "x"}, job)
    checked = command("batch", "jobs.json", "--dry-run")
    assert checked.code == 1
    assert said in checked.err
    assert "1 to do" in checked.out


def test_a_table_says_it_too(command: Command) -> None:
    rows = ["style,patch,mask,mask-value,invert mask,box", "painting.png,photo.png,labels.png,7,,"]
    rows += ["painting.png,photo.png,outside.png,,TRUE,", 'painting.png,photo.png,,,,"5,4,38,32"']
    Path("jobs.csv").write_text("\n".join(rows))
    checked = command("batch", "jobs.csv", "--dry-run")
    assert "1 to do" in checked.out and "is the file of job" in checked.err  # all have one name
    rows[0] += ",output"
    Path("jobs.csv").write_text("\n".join([rows[0], *(f"{r},{n}" for n, r in enumerate(rows[1:]))]))
    assert "3 to do" in command("batch", "jobs.csv", "--dry-run").out


def test_a_cut_out_that_a_killed_batch_left_gives_way_to_another_box(command: Command) -> None:
    cut, picture = (Path("jobs-harmonized", f"painting-photo{end}.png") for end in ("-cutout", ""))
    listed({"box": "5,4,38,32"})
    assert command("batch", "jobs.json").code == 0
    right = picture.read_bytes()
    listed({"mask": "labels.png", "mask_value": 3})
    assert command("batch", "jobs.json", "--restart").code == 0
    other = cut.read_bytes()
    # As a kill between cutting and painting leaves it: neither picture nor record.
    for file in (picture, picture.with_suffix(".json")):
        file.unlink()
    listed({"box": "5,4,38,32"})
    done = command("batch", "jobs.json")
    assert done.code == 0, done.err
    assert picture.read_bytes() == right
    assert cut.read_bytes() != other


@pytest.mark.parametrize("edited", [True, False])
def test_a_cut_out_that_was_edited_or_is_not_the_program_s_own_stays(
    command: Command, edited: bool
) -> None:
    cut = Path("jobs-harmonized/painting-photo-cutout.png")
    listed({"box": "5,4,38,32"})
    assert command("batch", "jobs.json").code == 0
    for file in (cut.with_name("painting-photo.png"), cut.with_name("painting-photo.json")):
        file.unlink()
    if edited:
        with Image.open(cut) as image:  # its texts are kept, as editors do
            texts = PngInfo()
            texts.add_text("Software", image.info["Software"])
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(cut, pnginfo=texts)
    else:
        Image.fromarray(strokes(20, 20)).save(cut)
    before = cut.read_bytes()
    listed({"mask": "labels.png", "mask_value": 3})
    done = command("batch", "jobs.json")
    assert (done.code, "is there and no cut-out that was made for" in done.err) == (1, True)
    assert cut.read_bytes() == before
