"""Frames on disk, and animations of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from conftest import PASSES, TWO_PASSES, Outcome, shallow, strokes
from PIL import Image

from harmonize.cli.progress import Interrupt
from harmonize.errors import OutputError
from harmonize.images.image import StoredImage
from harmonize.images.write import write_picture
from harmonize.run import snapshots as module
from harmonize.run.snapshots import Keeper, animate, frames_in

Command = Callable[..., Outcome]

RUN = (
    "run", "--style", "painting.png", "--patch", "cutout.png", "--at", "20,20", "--output", "a.png",
    "--set=size=64", *(f"--set={item}" for item in TWO_PASSES),
    *(f"--set=passes.{name}.steps=2" for name in PASSES),
    *(f"--set={item}" for name in PASSES for item in shallow(name)),
)  # fmt: skip


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    folder.mkdir()
    for index in range(1, 13):
        Image.fromarray(strokes(48, 40, seed=index)).save(folder / f"frame-{index:04}.png")
    Image.fromarray(strokes(48, 40)).save(folder / "no-frame.png")
    return folder


def test_the_picture_so_far_is_written_under_the_outputs_name(
    command: Command, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    write = module.write_picture

    def watch(path: Path, *rest: object, **more: object) -> None:
        write(path, *rest, **more)  # type: ignore[arg-type]
        seen.append((path, Path("a.json").exists(), pixels(path)))

    monkeypatch.setattr(module, "write_picture", watch)
    assert command(*RUN, "--save-every", "2").code == 0
    # Of 3 steps before the passes and 4 in them.
    assert [(path, record) for path, record, _ in seen] == [(Path("a.png"), False)] * 3
    assert (seen[0][2] != seen[1][2]).any()
    assert json.loads(Path("a.json").read_text())["interrupted"] is False
    assert sorted(path.name for path in files.glob("a*")) == ["a.json", "a.png"]


@pytest.mark.parametrize(
    ("kept", "said"), [(1, "the last picture saved stays"), (0, "nothing written")]
)
def test_giving_up_says_what_is_left(
    kept: int, said: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = Keeper(Path("a.png"), None, Path("a.json"), overwrite=False)
    with pytest.raises(typer.Exit) as stopped, Interrupt(keeper.left):
        for _ in range(kept):
            keeper.keep(StoredImage(strokes(96, 80)))
        raise KeyboardInterrupt
    assert stopped.value.exit_code == 130
    assert capsys.readouterr().err == f"harmonize: aborted, {said}\n"


def test_an_old_record_goes_with_its_picture(files: Path) -> None:
    (files / "a.json").write_text("of the old picture")
    Image.new("RGB", (8, 8)).save("a.png")
    keeper = Keeper(Path("a.png"), None, Path("a.json"), overwrite=True)
    keeper.keep(StoredImage(strokes(96, 80)))
    assert not Path("a.json").exists()
    assert (pixels("a.png") == strokes(96, 80)).all()


def test_frames_are_the_pictures_in_their_order_and_the_last_is_the_result(
    command: Command, files: Path
) -> None:
    assert command(*RUN, "--frames", "new/kept").code == 0
    Path("new/kept").rename("kept")
    names = [path.name for path in frames_in(Path("kept"))]
    assert names == [f"frame-{n:04}.png" for n in range(1, 9)]
    assert (pixels("kept/frame-0008.png") == pixels("a.png")).all()
    assert (pixels("kept/frame-0001.png") != pixels("kept/frame-0007.png")).any()

    refused = command(*RUN, "--frames", "kept", "--set", "seed=1")
    assert refused.code == 2
    again = command(*RUN, "--frames", "kept", "--save-every", "4", "--overwrite")
    assert again.code == 0
    names = [path.name for path in frames_in(Path("kept"))]
    assert names == ["frame-0001.png", "frame-0002.png"]


def test_what_a_run_with_frames_refuses(command: Command, files: Path) -> None:
    (files / "kept").mkdir()
    write_picture(Path("kept/frame-0001.png"), StoredImage(strokes(96, 80)), mark=True)
    before = (files / "kept/frame-0001.png").read_bytes()
    for folder, said, options in (
        ("kept", "kept: holds frames already; use --overwrite", ()),
        ("mask.png", "mask.png: is a file; give a folder for the frames", ()),
        ("/proc/no/where", "cannot write there", ()),
        ("x" * 300, "File name too long", ()),
        ("a.json", "a.json: is meant for a file and for frames", ()),
        ("b.png", "b.png: is meant for a file and for frames", ("--sheet=b.png",)),
        (
            "kept",
            "frame-0001.png is the painting, which is never replaced",
            ("--style=kept/frame-0001.png",),
        ),
    ):
        refused = command(*RUN, "--frames", folder, *options, *(["--overwrite"] if options else []))
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err
    assert command(*RUN, "--save-every", "0").code == 2
    assert (files / "kept/frame-0001.png").read_bytes() == before
    assert not Path("a.png").exists()


def test_profile_resolution_and_alpha_of_a_picture_so_far_are_kept(tmp_path: Path) -> None:
    picture = StoredImage(
        strokes(48, 40), icc=b"profile", alpha=strokes(48, 40)[..., 0], dpi=(300.0, 300.0)
    )
    Keeper(tmp_path / "a.png", None, tmp_path / "a.json", False).keep(picture)
    with Image.open(tmp_path / "a.png") as written:
        assert written.info["icc_profile"] == b"profile"
        assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert (np.asarray(written) == np.asarray(picture.image)).all()


@pytest.mark.parametrize("name", ["a.gif", "A.WEBP"])
def test_an_animation_has_every_frame_in_order(
    command: Command, kept: Path, tmp_path: Path, name: str
) -> None:
    done = command("frames", kept, tmp_path / name, "--fps", "20")
    assert done == (0, f"{tmp_path / name} (12 frames)\n", "")
    with Image.open(tmp_path / name) as animation:
        assert (animation.size, animation.n_frames, animation.info["loop"]) == ((48, 40), 12, 0)
        for index in (1, 10, 12):
            animation.seek(index - 1)
            shown = np.asarray(animation.convert("RGB")).astype(int)
            distance = [np.abs(shown - strokes(48, 40, seed=seed)).mean() for seed in range(1, 13)]
            assert int(np.argmin(distance)) + 1 == index


def test_an_animations_width(kept: Path, tmp_path: Path) -> None:
    assert animate(kept, tmp_path / "a.gif", fps=5, width=24) == 12
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.size == (24, 20)
        assert animation.info["duration"] == 200


def test_what_an_animation_refuses(command: Command, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "there.gif").write_text("precious")
    (tmp_path / "empty").mkdir()
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "frame-0001.png").write_text("no picture")
    for folder, target, said in (
        (kept, "a.mp4", "a.mp4: unknown kind of animation; use .gif or .webp"),
        (kept, "there.gif", "there.gif: exists; use --overwrite"),
        (kept, "there.gif/a.gif", "cannot write there"),
        (tmp_path / "nowhere", "a.gif", "nowhere: no such folder"),
        (tmp_path / "empty", "a.gif", "empty: no frames"),
        (kept, "a.webp --width=16384", "larger than 16383 pixels a side"),
        (kept, f"a.webp --width={'9' * 400}", "larger than 16383 pixels a side"),
        (bad, "a.gif", "frame-0001.png: not an image"),
    ):
        name, *options = target.split()
        refused = command("frames", folder, tmp_path / name, *options)
        assert refused.code == 2
        assert said in refused.err
        assert refused.err.count("\n") == 1
    assert (tmp_path / "there.gif").read_text() == "precious"
    assert command("frames", kept, tmp_path / "there.gif", "--overwrite").code == 0


def test_frames_stop_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        Keeper(None, tmp_path / "file" / "kept", tmp_path / "a.json", False).keep(
            Image.new("RGB", (8, 8))
        )
