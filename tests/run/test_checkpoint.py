"""Runs that are killed, stopped and resumed."""

from __future__ import annotations

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PASSES, TWO_PASSES, Outcome, disc, shallow, strokes, wait_for
from PIL import Image

from harmonize import Session
from harmonize.cli.app import main
from harmonize.errors import InputError
from harmonize.images.atomic_file import _temporary_start
from harmonize.images.image import StoredImage
from harmonize.images.write import MARK, write_picture
from harmonize.run import checkpoint, memory_limit
from harmonize.run.checkpoint import Checkpoint
from harmonize.run.session import Progress
from harmonize.settings.load import load

Command = Callable[..., Outcome]

STEPS = 4
STAGES = 3  # steps told before the passes: the palette map, and two scales of the underpainting
SETTINGS = [
    *TWO_PASSES,
    *(f"passes.{name}.{key}" for name in PASSES for key in (f"steps={STEPS}", "refresh=2")),
    *(setting for name in PASSES for setting in shallow(name)),
]
BARE = ["palette=null", "underpainting=null", "passes.coarse.start=composite"]  # passes alone
ALIGNED = ("run", "--style=painting.png", "--patch=patch.png", "--mask=mask.png")
QUICK = (*ALIGNED, *(f"--set={item}" for item in (*SETTINGS, *BARE)))
WHOLE = (*ALIGNED, *(f"--set={item}" for item in SETTINGS))
SAVED = ("--output=a.png", "--checkpoint=run.ckpt")


class Killed(Exception):
    """Stands for a kill in this process."""


def put_pictures(folder: Path) -> None:
    Image.fromarray(strokes(48, 40)).save(folder / "painting.png")
    Image.fromarray(strokes(48, 40, seed=1)).save(folder / "patch.png")
    Image.fromarray(disc(48, 40)).save(folder / "mask.png")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with small pictures."""
    monkeypatch.chdir(tmp_path)
    put_pictures(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def kept() -> Session:
    return Session()


def paint(kept: Session, settings: list[str], *, max_memory: int | None = None, **more: Any) -> Any:
    session = kept.using(load("default", settings))
    plan = session.plan("painting.png", "patch.png", "mask.png", max_memory=max_memory)
    return session.run(plan, **more)


def kill_at(number: int) -> Callable[..., None]:
    left = iter(range(number - 1, -1, -1))

    def tell(*_: object) -> None:
        if next(left) == 0:
            raise Killed

    return tell


# --- every step -----------------------------------------------------------------------------------

LBFGS = [
    *BARE,
    "passes.refine.optimizer=lbfgs",
    "passes.refine.rate=0.1",
    "passes.refine.variables=pixels",
]
EXPLODES = [*BARE, "passes.refine.rate=1e6"]


class Album(Checkpoint):
    def save(self, *asked: Any) -> None:
        super().save(*asked)
        shutil.copy(self.path, f"{len(list(Path().glob('*.kept')))}.kept")


@pytest.mark.parametrize("more", [[], LBFGS, EXPLODES], ids=["adam", "lbfgs", "explodes"])
def test_resumed_from_anywhere_it_ends_the_same(
    files: Path, kept: Session, more: list[str]
) -> None:
    settings = [*SETTINGS, *more]
    whole = paint(kept, settings, checkpoint=Album(Path("run.ckpt"), pause=0))
    logs = [{**log, "seconds": 0} for log in whole.record["passes"]]
    told = []
    for path in Path().glob("*.kept"):
        seen: list[Progress] = []
        point = Checkpoint(path, pause=1000)
        again = paint(kept, settings, checkpoint=point, on_progress=seen.append)
        assert again.image.tobytes() == whole.image.tobytes()
        assert [{**log, "seconds": 0} for log in again.record["passes"]] == logs
        assert again.record["resumed"] is True
        told.append(seen[0].done - (seen[0].stage != "finish"))
    # Before, within and after each pass; the one that explodes has told of a step more.
    extra = int(more is EXPLODES)
    steps = [0, 2, 4, 4, 6 + extra, 8 + extra, 8 + extra]
    assert sorted(told) == [(0 if more else STAGES) + step for step in steps]


def test_a_run_killed_again_and_again_gets_to_its_end(files: Path, kept: Session) -> None:
    whole = paint(kept, SETTINGS)
    point = Checkpoint(Path("run.ckpt"), pause=0)
    # What lies before the passes is computed again, and told once.
    for number in (STAGES + 3, 3, 3):
        with pytest.raises(Killed):
            paint(kept, SETTINGS, checkpoint=point, on_progress=kill_at(number))
    assert paint(kept, SETTINGS, checkpoint=point).image.tobytes() == whole.image.tobytes()


def test_when_it_is_saved_changes_nothing(files: Path, kept: Session) -> None:
    pictures = [
        paint(kept, SETTINGS, checkpoint=Checkpoint(Path(f"{pause}"), pause=pause)).image
        for pause in (0.0, 1000.0)
    ]
    plain = paint(kept, SETTINGS).image
    assert [picture.tobytes() for picture in pictures] == [plain.tobytes()] * 2


def test_what_it_was_fitted_to_stays(
    files: Path, kept: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*SETTINGS, *BARE, "size=native", "tile=512"]
    Image.open("painting.png").resize((160, 136)).save("painting.png")
    Image.open("patch.png").resize((160, 136)).save("patch.png")
    Image.open("mask.png").resize((160, 136)).save("mask.png")
    limit = 967_000_000
    monkeypatch.setattr(memory_limit, "_held_bytes", lambda: 450_000_000)
    whole = paint(kept, settings, max_memory=limit)
    assert whole.record["fitted"] == {"max_memory": limit, "size": "native", "tile": 512}
    asked: dict[str, Any] = {
        "max_memory": limit,
        "checkpoint": Checkpoint(Path("a"), pause=0),
    }
    with pytest.raises(Killed):
        paint(kept, settings, **asked, on_progress=kill_at(5))
    monkeypatch.setattr(memory_limit, "_held_bytes", lambda: 400_000_000)
    session = kept.using(load("default", settings))
    roomier = session.plan("painting.png", "patch.png", "mask.png", max_memory=limit)
    assert roomier.size > whole.record["size"]
    again = paint(kept, settings, **asked)
    assert again.record["size"] == whole.record["size"]
    assert again.image.tobytes() == whole.image.tobytes()
    other = {**asked, "max_memory": 2 * limit}
    with pytest.raises(InputError, match="of another run"):
        paint(kept, settings, **other)


def test_pictures_so_far_are_counted_on(files: Path, kept: Session) -> None:
    def numbers(**more: Any) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []

        def on_progress(progress: Progress) -> None:
            if progress.stage != "finish" and progress.done % 3 == 0:
                seen.append((progress.stage, progress.step))

        paint(kept, SETTINGS, on_progress=on_progress, **more)
        return seen

    whole = numbers()
    point = Checkpoint(Path("run.ckpt"), pause=0)
    with pytest.raises(Killed):
        paint(kept, SETTINGS, checkpoint=point, on_progress=kill_at(STAGES + 5))
    assert whole == [("underpainting", 2), ("coarse", 3), ("refine", 2)]
    assert numbers(checkpoint=point) == whole[2:]


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "PAUSE", 0.0)


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int, presses: int = 1) -> None:
    """Press Ctrl-C before the `at`-th step is shown."""
    from harmonize.cli.progress import Bars

    shown = Bars.show
    told = iter(range(1, 1000))

    def show(self: Bars, step: Any) -> None:
        if next(told) == at:
            for _ in range(presses):
                os.kill(os.getpid(), signal.SIGINT)
        shown(self, step)

    monkeypatch.setattr(Bars, "show", show)


def test_ctrl_c_keeps_picture_and_checkpoint_and_resume_finishes(
    command: Command, files: Path, eager: None
) -> None:
    assert command(*QUICK, "--output=whole.png").code == 0
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, at=6)
        stopped = command(*QUICK, *SAVED, "--sheet=sheet.png", "--report")
    assert stopped.code == 130
    assert json.loads(Path("a.json").read_text())["interrupted"] is True
    assert Path("run.ckpt").exists()
    done = command(*QUICK, *SAVED, "--sheet=sheet.png", "--report", "--resume")
    assert done.code == 0, done.err
    assert "resumed after 4 steps" in done.err
    assert Path("a.png").read_bytes() == Path("whole.png").read_bytes()
    assert json.loads(Path("a.json").read_text())["interrupted"] is False
    assert not Path("run.ckpt").exists()


def test_a_second_ctrl_c_leaves_the_checkpoint_alone(
    command: Command, files: Path, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, at=6, presses=2)
    stopped = command(*QUICK, *SAVED)
    assert stopped.code == 130
    assert "nothing written" in stopped.err
    assert Path("run.ckpt").exists()
    assert not Path("a.png").exists()


def test_without_a_checkpoint_it_begins_and_after_the_end_it_is_done(
    command: Command, files: Path
) -> None:
    first = command(*QUICK, *SAVED, "--resume")
    assert first.code == 0
    assert not Path("run.ckpt").exists()
    before = Path("a.png").stat().st_mtime_ns
    assert command(*QUICK, *SAVED, "--resume") == (0, "a.png (done already)\n", "")
    assert Path("a.png").stat().st_mtime_ns == before
    other = command(*QUICK, *SAVED, "--resume", "--seed=3")
    assert other.code == 2
    assert "a.png: exists" in other.err


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The folder of a stopped run, and its checkpoint."""
    folder = tmp_path_factory.mktemp("stopped")
    put_pictures(folder)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.chdir(folder)
        interrupt(patch, at=3, presses=2)
        main([*QUICK, *SAVED])
    assert ended.value.code == 130
    return folder, (folder / "run.ckpt").read_bytes()


@pytest.fixture
def left(stopped: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """That checkpoint, with nothing but inputs beside it."""
    folder, saved = stopped
    for path in folder.iterdir():
        path.unlink()
    put_pictures(folder)
    monkeypatch.chdir(folder)
    Path("run.ckpt").write_bytes(saved)
    return Path("run.ckpt")


def test_killed_between_picture_and_record_it_may_replace_its_own(
    command: Command, left: Path
) -> None:
    assert command(*QUICK, "--output=whole.png").code == 0
    Path("a.png").write_bytes(b"picture so far" + MARK)
    for name in ("a.png", "run.ckpt"):
        Path(f"{_temporary_start(Path(name))}{2**22 + 1}.part").write_bytes(b"half of it")
    assert "a.png: exists" in command(*QUICK, "--output=a.png").err
    assert command(*QUICK, *SAVED, "--resume").code == 0
    assert Path("a.png").read_bytes() == Path("whole.png").read_bytes()
    assert not list(Path().glob(".*.part"))


def test_a_picture_so_far_without_a_checkpoint_is_begun_anew(command: Command, left: Path) -> None:
    left.unlink()
    assert command(*QUICK, "--output=whole.png").code == 0
    write_picture(Path("a.png"), StoredImage(strokes(48, 40)), mark=True)
    assert "a.png: exists" in command(*QUICK, *SAVED).err
    assert command(*QUICK, *SAVED, "--resume").code == 0
    assert Path("a.png").read_bytes() == Path("whole.png").read_bytes()


@pytest.mark.parametrize("name", ["a.png", "sheet.png"])
def test_what_came_there_meanwhile_is_not_replaced(command: Command, left: Path, name: str) -> None:
    sheet = () if name == "a.png" else ("--sheet=sheet.png",)
    if sheet:
        left.unlink()
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, at=3, presses=2)
            assert command(*QUICK, *SAVED, *sheet).code == 130
    Path(name).write_bytes(b"mine")
    refused = command(*QUICK, *SAVED, *sheet, "--resume")
    assert refused.code == 2
    assert f"{name}: is there" in refused.err
    assert Path(name).read_bytes() == b"mine"
    assert command(*QUICK, *SAVED, *sheet, "--resume", "--overwrite").code == 0
    assert Path(name).read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--seed 3", "config.seed was 0, is 3"),
        ("--keep 2", "config.keep was 1.0, is 2.0"),
        ("--patch painting.png", "inputs.element was "),
        ("--at 3,4", "placement.at was null, is [3, 4]"),
        ("--output b.png", "outputs was "),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(
    command: Command, left: Path, arguments: str, said: str
) -> None:
    assert_refused(command(*QUICK, *SAVED, "--resume", *arguments.split()), left, said)


def test_other_threads_and_versions_are_another_run(
    command: Command, left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 64)
        assert_refused(command(*QUICK, *SAVED, "--resume"), left, "threads was 1, is 64")
    monkeypatch.setattr("harmonize.run.prepare.__version__", "0.0.7")
    assert_refused(command(*QUICK, *SAVED, "--resume"), left, "version was")


def assert_refused(done: Outcome, left: Path, said: str) -> None:
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("harmonize: error: checkpoint run.ckpt: ")
    assert done.err.count("harmonize: error") == 1
    assert said in done.err
    assert left.exists()
    assert not Path("a.png").exists()


@pytest.mark.parametrize("length", [0, 5, 500, -1])
def test_a_cut_checkpoint_is_said_to_be_damaged(command: Command, left: Path, length: int) -> None:
    left.write_bytes(left.read_bytes()[:length])
    assert_refused(command(*QUICK, *SAVED, "--resume"), left, "damaged, or not a checkpoint")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.999])
def test_a_checkpoint_with_one_wrong_byte_is_damaged(
    command: Command, left: Path, share: float
) -> None:
    data = bytearray(left.read_bytes())
    data[int(share * len(data))] ^= 1
    left.write_bytes(data)
    assert_refused(command(*QUICK, *SAVED, "--resume"), left, "damaged, or not a checkpoint")


def test_what_is_no_checkpoint(command: Command, files: Path) -> None:
    Path("run.ckpt").write_bytes(Path("mask.png").read_bytes())
    refused = command(*QUICK, *SAVED, "--resume")
    assert refused.code == 2
    assert "not a checkpoint" in refused.err
    with pytest.raises(InputError, match="cannot be read|Permission|Is a directory"):
        Checkpoint(files).load({}, torch.device("cpu"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "--checkpoint there",
            "there: exists; give --resume to go on, or --overwrite to begin anew",
        ),
        ("--checkpoint mask.png --overwrite", "mask.png is the mask, which is never replaced"),
        ("--checkpoint a.png", "a.png is the file of --output too"),
        ("--checkpoint a.json", "a.json is the file of the record of --output too"),
        ("--checkpoint there/run.ckpt", "there/run.ckpt: cannot write there"),
        ("--checkpoint .", "is a folder"),
    ],
)
def test_where_no_checkpoint_can_be(
    command: Command, files: Path, arguments: str, said: str
) -> None:
    Path("there").write_text("precious")
    refused = command(*QUICK, "--output=a.png", *arguments.split())
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert said in refused.err
    assert Path("there").read_text() == "precious"
    assert not Path("a.png").exists()


def test_resume_alone_saves_beside_the_output(
    command: Command, files: Path, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = Path("a.checkpoint")
    write, seen = Checkpoint.save, []

    def save(self: Checkpoint, *more: Any) -> None:
        write(self, *more)
        seen.append(saved.exists())

    monkeypatch.setattr(Checkpoint, "save", save)
    assert command(*QUICK, "--output=a.png", "--resume").code == 0
    assert any(seen)
    assert not saved.exists()
    assert "done already" in command(*QUICK, "--output=a.png", "--resume").out


def test_overwrite_begins_anew(command: Command, left: Path) -> None:
    assert command(*QUICK, *SAVED, "--overwrite", "--seed=3").code == 0
    assert not left.exists()


def test_frames_go_on_where_they_were(
    command: Command, files: Path, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(*QUICK, "--output=whole.png", "--frames=whole").code == 0
    with monkeypatch.context() as patch:
        interrupt(patch, at=6, presses=2)
        assert command(*QUICK, *SAVED, "--frames=frames").code == 130
    assert command(*QUICK, *SAVED, "--frames=frames", "--resume").code == 0
    names = sorted(path.name for path in Path("whole").iterdir())
    assert sorted(path.name for path in Path("frames").iterdir()) == names
    for name in names:
        assert (Path("frames") / name).read_bytes() == (Path("whole") / name).read_bytes()


# --- killed ---------------------------------------------------------------------------------------

EAGER = (
    "from harmonize.cli import app; from harmonize.run import checkpoint; "
    "checkpoint.PAUSE = 0.0; app.main()"
)


def begin(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own that saves at every chance."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", EAGER, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(process: subprocess.Popen[str], moment: Callable[[], object]) -> None:
    try:
        moment()
    finally:
        process.kill()
        process.communicate()


def finish(folder: Path, words: tuple[str, ...]) -> str:
    """Resume what was killed; expect the bytes of whole.png."""
    mine = re.compile(r"\.?(a\.|run\.)")
    there = sorted(path.name for path in folder.iterdir() if mine.match(path.name))
    out, err = (resumed := begin(folder, *words, *SAVED, "--resume")).communicate()
    assert resumed.returncode == 0, err
    assert (folder / "a.png").read_bytes() == (folder / "whole.png").read_bytes()
    assert json.loads((folder / "a.json").read_text())["interrupted"] is False
    assert {path.name for path in folder.iterdir() if mine.match(path.name)} == {"a.png", "a.json"}
    steps = err.partition("resumed after ")[2].partition(" ")[0]
    how = "done already" if "done already" in out else f"resumed after {steps or 0} steps"
    return f"{' '.join(there) or 'nothing'}: {how}"


def test_killed_and_resumed_it_ends_the_same(command: Command, files: Path) -> None:
    assert command(*WHOLE, "--output=whole.png").code == 0
    kill(begin(files, *WHOLE, *SAVED), lambda: wait_for((files / "run.ckpt").exists))
    assert command(*WHOLE, *SAVED, "--resume").code == 0
    assert Path("a.png").read_bytes() == Path("whole.png").read_bytes()
    names = {path.name for path in files.iterdir() if path.name.startswith((".", "a.", "run."))}
    assert names == {"a.png", "a.json"}


def work(process: subprocess.Popen[str], limit: float = math.inf) -> tuple[float, bool]:
    """Kill after so many CPU seconds, a measure that a busy machine does not change."""
    spent, ticks = 0.0, os.sysconf("SC_CLK_TCK")
    while process.poll() is None and spent < limit:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
        spent = max(spent, (int(fields[11]) + int(fields[12])) / ticks)
        time.sleep(0.002)
    process.kill()
    process.communicate()
    return spent, process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_at_30_random_moments_it_always_ends_the_same(command: Command, files: Path) -> None:
    words = (*ALIGNED, *(f"--set={item.replace(f'={STEPS}', '=16')}" for item in SETTINGS))
    assert command(*words, "--output=whole.png").code == 0
    whole, _ = work(begin(files, *words, "--output=b.png"))
    share = random.Random(5)
    for number in range(1, 31):
        killed = False
        while not killed:  # one that was done before its moment is no test
            for name in ("a.png", "a.json"):
                (files / name).unlink(missing_ok=True)
            spent, killed = work(begin(files, *words, *SAVED), share.uniform(0, whole))
        print(f"{number:2} killed after {spent:5.2f} of {whole:.2f} s; {finish(files, words)}")
