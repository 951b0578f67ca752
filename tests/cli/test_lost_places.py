"""Places that go while a run is writing to them."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ONE_PASS, Outcome

from harmonize import Session
from harmonize.batch.runner import Event
from harmonize.cli.progress import Bars, BatchBars

Command = Callable[..., Outcome]

STEPS = [f"--set={setting}" for setting in (*ONE_PASS, "passes.refine.steps=9")]
QUICK = ("run", "--style=painting.png", "--patch=cutout.png", "--at=20,20", "--size=64", *STEPS)


@contextmanager
def happens(monkeypatch: pytest.MonkeyPatch, what: Callable[[], object], at: int) -> Iterator[None]:
    """Within, `what` happens before the `at`-th step is shown."""
    shown, told = Bars.show, iter(range(1, 100))

    def show(self: Bars, step: Any) -> None:
        if next(told) == at:
            what()
        shown(self, step)

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        patch.setattr(Bars, "show", show)
        yield
    # At once: the tests' own output may go to a file that is larger already.
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def full() -> Iterator[Callable[[], None]]:
    """A full disk: no file can grow over 100 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def assert_one_line(done: Outcome, said: str) -> None:
    assert done.code == 2
    errors = [line for line in done.err.splitlines() if "harmonize: error: " in line]
    assert len(errors) == 1
    assert said in errors[0]
    assert done.err.endswith(f"{errors[0]}\n")
    assert "Traceback" not in done.err


SIDE = [
    ("--frames=out", "out/frame-0004.png"),
    ("--frames=out --save-every=2", "out/frame-0002.png"),
    ("--checkpoint=out/c", "out/c"),
]


def lost_places(done: Outcome) -> list[str]:
    """What the warnings say of places that a run goes on without."""
    end = "; choose another place; the run goes on and saves no more of these"
    told = [line.partition("harmonize: warning: ")[2] for line in done.err.splitlines()]
    return [line.removesuffix(end) for line in told if line.endswith(end)]


@pytest.mark.parametrize(("arguments", "place"), SIDE)
def test_a_run_goes_on_where_a_folder_is_removed(
    command: Command, files: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, place: str
) -> None:
    monkeypatch.setattr("harmonize.run.checkpoint.PAUSE", 0.0)
    Path("out").mkdir()
    with happens(monkeypatch, lambda: shutil.rmtree("out"), at=3):
        done = command(*QUICK, "--output=a.png", *arguments.split())
    assert done.code == 0, done.err
    assert lost_places(done) == [f"{place}: cannot write there (No such file or directory)"]
    assert not Path("out").exists()
    assert command(*QUICK, "--output=b.png").code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize(("arguments", "place"), SIDE)
def test_a_run_goes_on_where_a_disk_is_full_for_a_while(
    command: Command,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    full: Callable[[], None],
    arguments: str,
    place: str,
) -> None:
    monkeypatch.setattr("harmonize.run.checkpoint.PAUSE", 0.0)
    Path("out").mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = partial(resource.setrlimit, resource.RLIMIT_FSIZE, before)
    with happens(monkeypatch, room, at=8), happens(monkeypatch, full, at=3):
        done = command(*QUICK, "--output=a.png", *arguments.split())
    assert done.code == 0, done.err
    assert lost_places(done) == [f"{place}: cannot be written (File too large)"]
    assert not [*Path().rglob(".*")]
    assert command(*QUICK, "--output=b.png").code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_a_sheet_whose_folder_is_removed(
    command: Command, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("out").mkdir()
    with happens(monkeypatch, lambda: shutil.rmtree("out"), at=3):
        done = command(*QUICK, "--output=a.png", "--sheet=out/b.png")
    assert_one_line(done, "out/b.png: cannot write there")
    assert not Path("out").exists()
    assert Path("a.png").exists() and Path("a.json").exists()


@pytest.mark.parametrize("more", [(), ("--save-every=1",), ("--resume",)])
def test_a_picture_whose_folder_is_gone_is_kept_elsewhere(
    command: Command, files: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.setattr("harmonize.run.checkpoint.PAUSE", 0.0)
    (files / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(files / "temporary"))
    Path("out").mkdir()
    with happens(monkeypatch, lambda: shutil.rmtree("out"), at=3):
        lost = command(*QUICK, "--output=out/a.png", *more)
    assert_one_line(lost, "out/a.png: cannot write there (No such file or directory)")
    assert len(lost_places(lost)) == len(more)
    assert not Path("out").exists()
    (kept,) = files.glob("temporary/*/a.png")
    assert lost.err.endswith(f"; the picture is kept as {kept}; move it from there\n")
    assert kept.with_suffix(".json").is_file()
    assert command(*QUICK, "--output=b.png").code == 0
    assert kept.read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize("more", ["", "--save-every=4", "--checkpoint=c"])
def test_a_disk_that_is_full_costs_no_earlier_result(
    command: Command,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    full: Callable[[], None],
    more: str,
) -> None:
    monkeypatch.setattr("harmonize.run.checkpoint.PAUSE", 0.0)
    (files / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(files / "temporary"))
    assert command(*QUICK, "--output=a.png").code == 0
    before = Path("a.png").read_bytes()
    with happens(monkeypatch, full, at=3):
        done = command(*QUICK, "--output=a.png", "--overwrite", "--seed=1", *more.split())
    assert_one_line(done, "cannot be written (File too large)")
    assert Path("a.png").read_bytes() == before
    assert not [*Path().glob(".*"), *Path().glob("temporary/*")]


def test_the_checkpoint_before_the_disk_was_full_goes_on(
    command: Command, files: Path, monkeypatch: pytest.MonkeyPatch, full: Callable[[], None]
) -> None:
    monkeypatch.setattr("harmonize.run.checkpoint.PAUSE", 1000.0)  # it is saved once
    monkeypatch.setattr(tempfile, "tempdir", str(files))
    words = (*QUICK, "--output=a.png", "--checkpoint=c")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with happens(monkeypatch, full, at=6):  # after the stages before the passes
        assert_one_line(command(*words), "a.json: cannot be written (File too large)")
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert command(*words, "--resume").code == 0
    assert command(*QUICK, "--output=b.png").code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@contextmanager
def after_the_first(monkeypatch: pytest.MonkeyPatch, what: Callable[[], object]) -> Iterator[None]:
    """Within, `what` happens after a batch's first job."""
    shown, left = BatchBars.show, [what]

    def show(self: BatchBars, event: Event) -> None:
        if event.kind == "done" and left:
            left.pop()()
        shown(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(BatchBars, "show", show)
        yield


@pytest.mark.parametrize(
    ("happening", "said"), [("read only", "Read-only file system"), ("a file", "Not a directory")]
)
def test_a_batch_goes_on_where_a_folder_is_lost(
    files: Path, command: Command, monkeypatch: pytest.MonkeyPatch, happening: str, said: str
) -> None:
    names = ("lost/1", "lost/2", "lost/deep/3", "kept/4")
    common = {"style": "painting.png", "patch": "cutout.png", "set": ["size=64", *ONE_PASS]}
    jobs = [{"at": [5 + 9 * n, 9], "output": name} for n, name in enumerate(names)]
    Path("jobs.yaml").write_text(yaml.safe_dump({"defaults": common, "jobs": jobs}))
    painted: list[str] = []
    begin = Session.plan
    monkeypatch.setattr(Session, "plan", lambda *a, **k: painted.append("") or begin(*a, **k))

    def read_only(*_: object, dir: Path, **more: Any) -> Any:
        if Path("out/lost").absolute() in (dir, *dir.parents):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return temporary(dir=dir, **more)

    def lose() -> None:
        if happening == "a file":
            shutil.rmtree("out/lost")
            Path("out/lost").write_text("no folder")
        else:
            monkeypatch.setattr(tempfile, "TemporaryFile", read_only)

    temporary = tempfile.TemporaryFile
    with after_the_first(monkeypatch, lose):
        ended = command("batch", "jobs.yaml", "--output-dir=out")
    assert ended.code == 1, ended.err
    for name in names[1:3]:
        assert ended.err.count(f"{name}.png failed: out/{name}.png: cannot write there ({said})")
    assert ended.out.endswith("2 done, 0 skipped, 2 failed\n")
    assert len(painted) == 2, "nothing is painted that can't be written"
    there = {str(path.relative_to("out")) for path in Path("out").rglob("*.*")}
    first = set() if happening == "a file" else {"lost/1.png", "lost/1.json"}
    assert there == first | {"kept/4.png", "kept/4.json"}


def test_a_picture_of_a_batch_whose_folder_is_lost_is_kept_elsewhere(
    files: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(files / "temporary"))
    common = {"style": "painting.png", "patch": "cutout.png", "set": ["size=64", *ONE_PASS]}
    jobs = [{"at": [5, 9], "output": "lost/1"}, {"at": [14, 9], "output": "kept/2"}]
    Path("jobs.yaml").write_text(yaml.safe_dump({"defaults": common, "jobs": jobs}))
    shown = BatchBars.show

    def show(self: BatchBars, event: Event) -> None:
        if event.kind == "step" and not Path("out/lost").exists():
            Path("out/lost").write_text("no folder")
        shown(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(BatchBars, "show", show)
        ended = command("batch", "jobs.yaml", "--output-dir=out")
    (kept,) = files.glob("temporary/*/1.png")
    assert ended.code == 1
    assert ended.out.endswith("1 done, 0 skipped, 1 failed\n")
    told = " ".join(ended.out.split())
    assert "out/lost/1.png: cannot write there (Not a directory); choose another place; " in told
    assert f"; the picture is kept as {kept}; move it from there" in told
    assert kept.with_suffix(".json").is_file()
    Path("out/lost").unlink()
    again = command("batch", "jobs.yaml", "--output-dir=out")
    assert again.code == 0 and again.out.endswith("1 done, 1 skipped, 0 failed\n")
    assert Path("out/lost/1.png").read_bytes() == kept.read_bytes()


def test_a_log_that_cannot_be_written(command: Command, files: Path) -> None:
    job = {"style": "painting.png", "patch": "cutout.png", "at": "20,20"}
    Path("jobs.yaml").write_text(yaml.safe_dump({"jobs": [job]}))
    refused = command("batch", "jobs.yaml", "--log-json", "/dev/full")
    assert_one_line(refused, "--log-json /dev/full: cannot be written (No space left on device)")


@pytest.mark.parametrize(
    "words",
    [
        ("batch", "jobs.yaml"),
        ("batch", "{}/jobs.yaml", "--output-dir=out"),
        ("run", "{}/painting.png", "{}/cutout.png", "--at=20,20"),
        ("cutout", "{}/painting.png", "--box=5,5,40,40"),
        ("report", "a.json"),
        ("config", "show"),
    ],
)
def test_a_folder_to_work_in_that_is_gone(
    files: Path, command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    Path("jobs.yaml").write_text("jobs: [{style: painting.png, patch: cutout.png, at: '20,20'}]")
    Path("gone").mkdir()
    monkeypatch.chdir("gone")
    (files / "gone").rmdir()
    ended = command(*(word.format(files) for word in words))
    if words[0] == "config":  # needs no folder
        assert ended.code == 0
    else:
        assert ended.code == 2 and ended.err.count("harmonize: error: ") == 1, ended.err
        assert not (files / "gone").exists()
