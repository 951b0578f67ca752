"""Batches through the command: what becomes of each job, and what a second start does."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import ONE_PASS, Outcome, put_pictures, strokes, wait_for
from PIL import Image

import harmonize
from harmonize.batch import workers
from harmonize.batch.jobs import Job
from harmonize.batch.log import EventLog
from harmonize.batch.runner import Event, is_done, run_jobs
from harmonize.batch.workers import WorkerCache
from harmonize.cli.app import main
from harmonize.errors import OutputError, StopRun
from harmonize.images import read
from harmonize.run import memory_limit
from harmonize.scene.placement import Placement
from harmonize.settings.load import load

Command = Callable[..., Outcome]
Start = Callable[..., Any]

TINY = ["size=64", *ONE_PASS]
DONE = "jobs-harmonized"


def write_jobs(*jobs: dict[str, Any], **defaults: Any) -> None:
    placed = {"style": "painting.png", "patch": "cutout.png", "output": "{index}", "set": TINY}
    tree = {"defaults": {**placed, **defaults}, "jobs": list(jobs)}
    Path("jobs.yaml").write_text(yaml.safe_dump(tree))


def put_list() -> None:
    Image.fromarray(strokes(80, 96, seed=5)).save("other.png")
    write_jobs({"at": "5,5"}, {"at": "30,20", "style": "other.png"}, {"at": "40,30"})


@pytest.fixture
def listed(files: Path) -> Path:
    put_list()
    return files / DONE


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The folder in which the three jobs were done, and the output."""
    folder = tmp_path_factory.mktemp("whole")
    put_pictures(folder)
    said = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.chdir(folder)
        put_list()
        patch.setattr(sys, "stdout", said[0])
        patch.setattr(sys, "stderr", said[1])
        main(["batch", "jobs.yaml", "--log-json", "log"])
    out, err = (stream.buffer.getvalue().decode() for stream in said)  # type: ignore[attr-defined]
    return folder, Outcome(int(ended.value.code or 0), out, err)


def digests(folder: Path, pattern: str = "*.png") -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob(pattern)}


def events() -> list[dict[str, Any]]:
    """What the log says that does not depend on time."""
    lines = [json.loads(line) for line in Path("log").read_text().splitlines()]
    return [line for line in lines if line["event"] != "job step"]


def logged(event: str) -> int:
    return Path("log").exists() and sum(line["event"] == event for line in events())


def job(name: str = "a", painting: str = "p") -> Job:
    return Job(
        name,
        {"painting": Path("p.png")},
        {"painting": painting},
        Placement(),
        load(),
        Path("out") / f"{name}.png",
    )


# --- the real thing -------------------------------------------------------------------------------


def test_every_job_is_done_once_and_as_a_run_does_it(
    whole: tuple[Path, Outcome], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first = whole
    monkeypatch.chdir(folder)
    listed = folder / DONE
    assert first.code == 0, first.err
    assert first.out.splitlines()[-1].startswith("3 jobs in ")
    assert first.out.splitlines()[-1].endswith(": 3 done, 0 skipped, 0 failed")
    assert {path.suffix for path in listed.iterdir()} == {".png", ".json"}
    ends = [line for line in first.err.splitlines() if " done (" in line]
    assert [line.split()[:2] for line in ends] == [
        ["[1/3]", "1.png"],
        ["[2/3]", "3.png"],  # on the first one's painting
        ["[3/3]", "2.png"],
    ]
    assert [event["event"] for event in events()] == [
        "batch started",
        *["job started", "job done"] * 3,
        "batch done",
    ]
    assert events()[2]["picture"] == str(listed / "1.png")
    before = digests(listed, "*")
    words = [f"--set={setting}" for setting in TINY]
    alone = command(
        *("run", "--style", "painting.png", "--patch", "cutout.png", "--at", "40,30"),
        *(*words, "--output", "alone.png"),
    )
    assert alone.code == 0
    assert Path("alone.png").read_bytes() == (listed / "3.png").read_bytes()
    again = command("batch", "jobs.yaml")
    assert again.code == 0
    assert again.out.splitlines()[-1].endswith(": 0 done, 3 skipped, 0 failed")
    assert digests(listed, "*") == before
    assert command("batch", "jobs.yaml", "--dry-run").out.endswith("0 to do, 3 done already\n")


def test_what_is_not_as_asked_is_done_again(
    listed: Path, command: Command, whole: tuple[Path, Outcome]
) -> None:
    shutil.copytree(whole[0] / DONE, listed)

    def redone(*words: str) -> list[str]:
        out = command("batch", "jobs.yaml", *words).out
        assert digests(listed) == digests(whole[0] / DONE)
        return [line.split()[-1] for line in out.splitlines() if line.startswith("done")]

    (listed / "1.png").write_bytes(b"half")
    (listed / "2.json").unlink()
    assert redone("--overwrite") == ["1.png", "2.png"]
    (listed / "3.png").unlink()
    assert redone() == ["3.png"]
    Image.fromarray(strokes(96, 80, seed=9)).save("painting.png")
    again = command("batch", "jobs.yaml", "--dry-run")
    assert again.out.endswith("2 to do, 1 done already\n")
    again = command("batch", "jobs.yaml", "--dry-run", "--set", "passes.refine.steps=2")
    assert again.out.endswith("3 to do, 0 done already\n")
    again = command("batch", "jobs.yaml", "--dry-run", "--restart")
    assert again.out.endswith("3 to do, 0 done already\n")


def test_what_was_not_painted_here_or_is_edited_stays_and_the_others_are_done(
    listed: Path, command: Command, whole: tuple[Path, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole[0] / DONE, listed)
    (listed / "1.json").unlink()
    (listed / "1.png").write_bytes(b"mine")
    (listed / "2.png").write_bytes(b"retouched")
    (listed / "3.png").unlink()
    for words in ((), ("--restart",)):
        ended = command("batch", "jobs.yaml", *words)
        assert ended.code == 1
        assert ended.out.splitlines()[-1].endswith(": 1 done, 0 skipped, 2 failed")
        cure = "use --overwrite to replace it, or another name or folder"
        for name, job, what in (
            ("1.png", 1, "not known from a record beside it"),
            ("2.png", 2, "changed since it was painted"),
        ):
            said = f"jobs.yaml: job {job}: {DONE}/{name}: is there, and {what}; {cure}"
            assert f"harmonize: not done: {said}" in ended.err.replace(f"{listed.parent}/", "")
        assert (listed / "1.png").read_bytes() == b"mine"
        assert not (listed / "1.json").exists()
        assert (listed / "2.png").read_bytes() == b"retouched"
    assert command("batch", "jobs.yaml", "--dry-run").code == 1
    assert command("batch", "jobs.yaml", "--strict").code == 2
    assert (
        command("batch", "jobs.yaml", "--overwrite")
        .out.splitlines()[-1]
        .endswith(": 2 done, 1 skipped, 0 failed")
    )
    assert digests(listed) == digests(whole[0] / DONE)


def test_what_comes_while_a_job_is_painted_stays(listed: Path, command: Command) -> None:
    real = workers.losses

    def late(path: Path, picture: Any) -> Any:
        listed.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
        return real(path, picture)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "losses", late)
        ended = command("batch", "jobs.yaml")
    assert ended.out.splitlines()[-1].endswith(": 0 done, 0 skipped, 3 failed")
    assert {path.name: path.read_bytes() for path in listed.iterdir()} == dict.fromkeys(
        ("1.png", "2.png", "3.png"), b"mine"
    )


class Killed(BaseException):
    """Stands for a kill in this process."""


def kill(folder: Path, kind: str, *words: str) -> None:
    """Leave what `kill -9` leaves when a file of that kind is about to get its name."""
    rename, there = os.replace, folder.with_name("when-killed")

    def replace(part: Path, target: Path) -> None:
        if target.suffix != kind:
            return rename(part, target)
        shutil.copytree(folder, there)
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", replace)
        main(["batch", "jobs.yaml", *words])
    shutil.rmtree(folder, ignore_errors=True)
    there.rename(folder)
    for part in folder.glob(f".*.{os.getpid()}.part"):  # of a process that is gone
        part.rename(folder / part.name.replace(f".{os.getpid()}.", f".{2**22 + 1}."))


@pytest.mark.parametrize("kind", [".png", ".json"])
@pytest.mark.parametrize("again", [False, True])
def test_killed_between_picture_and_record_it_goes_on(
    listed: Path, command: Command, whole: tuple[Path, Outcome], kind: str, again: bool
) -> None:
    if again:  # over pictures and records of other settings
        assert command("batch", "jobs.yaml", "--set", "passes.refine.steps=2").code == 0
    old = digests(listed)
    for words in ([], ["--restart"]):
        kill(listed, kind, *words)
        assert list(listed.glob(".*.part"))
        assert (digests(listed) != old) == (kind == ".json")
    resumed = command("batch", "jobs.yaml")
    assert resumed.out.splitlines()[-1].endswith(": 3 done, 0 skipped, 0 failed"), resumed.err
    assert digests(listed) == digests(whole[0] / DONE)
    assert {path.suffix for path in listed.iterdir()} == {".png", ".json"}


def test_only_a_record_of_the_same_is_proof(files: Path) -> None:
    Path("out").mkdir()
    asked = job()
    Path("out/a.png").write_bytes(b"picture")
    record = {
        "output": "a.png",
        "output_sha256": hashlib.sha256(b"picture").hexdigest(),
        "version": harmonize.__version__,
        "interrupted": False,
        "inputs": {"painting": {"path": None, "sha256": "p"}},
        "placement": asked.placement.to_json(),
        "config": asked.config.model_dump(mode="json"),
    }
    Path("out/a.json").write_text(json.dumps(record))
    assert is_done(asked)
    for change in (
        {"version": "0.0.0"},
        {"interrupted": True},
        {"inputs": {"painting": 3}},
        {"inputs": {"painting": {"sha256": "q"}}},
        {"inputs": 3},
        {"placement": {}},
        {"config": {}},
        {"output": "b.png"},
        {"output_sha256": "0"},
    ):
        Path("out/a.json").write_text(json.dumps({**record, **change}))
        assert not is_done(asked)
    for text in ("", "[]", "3"):
        Path("out/a.json").write_text(text)
        assert not is_done(asked)


def test_what_a_limit_led_to_is_done_under_that_limit_only(
    listed: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever other tests left here.
    monkeypatch.setattr(memory_limit, "held_by_worker", lambda: 5 * 10**8)
    write_jobs({"at": "5,5"}, {"at": "30,20", "style": "other.png"}, {"at": "40,30"}, set=ONE_PASS)
    limited = ("batch", "jobs.yaml", "--set", "size=96", "--max-memory", "926MB")
    first = command(*limited)
    assert first.code == 0, first.err
    noted = [line for line in first.err.splitlines() if "the working size is" in line]
    assert len(noted) == 3, first.err
    assert "harmonize: warning: 3.png: the working size is 64 pixels, to keep within" in first.err
    record = json.loads((listed / "1.json").read_text())
    assert record["fitted"] == {"max_memory": 926 * 10**6, "size": 96, "tile": 1024}
    assert record["config"]["size"] == 64
    for words, done in ((limited, 3), ((*limited[:-1], "925MB"), 0), (limited[:-2], 0)):
        again = command(*words, "--dry-run")
        assert again.out.endswith(f"{3 - done} to do, {done} done already\n")


def test_a_job_for_which_the_memory_is_too_little_is_found_before_the_start(
    listed: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever a worker holds at a job's turn, what was found before the start is what counts.
    monkeypatch.setattr(memory_limit, "held_by_worker", lambda: 0)
    monkeypatch.setattr(memory_limit, "_held_bytes", lambda: 10**12)
    monkeypatch.setattr(memory_limit, "ALWAYS", 0)
    Image.new("RGB", (1200, 900), "teal").save("large.png")
    write_jobs({"at": "5,5", "style": "large.png"}, {"at": "5,5"})
    limited = ("batch", "jobs.yaml", "--max-memory", "20MB")
    told = "1.png: --max-memory 20MB is too little for this run; give 23MB or more, with `size: 64`"
    checked = command(*limited, "--dry-run")
    assert (checked.code, told in checked.err) == (1, True), checked.err
    assert checked.out.endswith("2 jobs: 1 to do, 0 done already, 1 failed\n")
    assert command(*limited, "--strict").code == 2
    assert not listed.exists()
    done = command(*limited, "--log-json", "log")
    assert done.code == 1
    assert done.out.splitlines()[-1].endswith("1 done, 0 skipped, 1 failed")
    assert [event["event"] for event in events()][:3] == [
        "batch started", "job failed", "job started",
    ]  # fmt: skip
    # What is done needs no memory.
    assert command("batch", "jobs.yaml").code == 0
    again = command(*limited)
    assert again.code == 0, again.err
    assert again.out.splitlines()[-1].endswith("0 done, 2 skipped, 0 failed")
    assert command(*limited, "--restart", "--dry-run").code == 1
    # What was told is enough.
    enough = command("batch", "jobs.yaml", "--max-memory", "23.1MB", "--restart")
    assert (enough.code, "2 done" in enough.out) == (0, True), enough.err


def test_a_batch_says_what_there_is_to_know_of_a_picture(files: Path, command: Command) -> None:
    mask = np.full((40, 40), 255, np.uint8)
    mask[8:32, 8:32] = 0
    Image.fromarray(strokes(40, 40)).save("cutout.png")
    Image.fromarray(mask).save("inverted.png")
    write_jobs({"at": "20,20", "mask": "inverted.png"})
    done = command("batch", "jobs.yaml", "--log-json", "new/log")
    Path("new/log").rename("log")
    assert done.code == 0, done.err
    assert "harmonize: warning: 1.png: mask" in done.err
    [event] = [event for event in events() if event["event"] == "job done"]
    assert "turn it round" in event["warnings"][0]


def test_killed_at_any_moment_it_redoes_what_was_in_flight(
    listed: Path, command: Command, start: Start, whole: tuple[Path, Outcome]
) -> None:
    right = digests(whole[0] / DONE)
    batch = start("batch", "jobs.yaml", "--log-json", "log")
    wait_for(lambda: logged("job started") == 2)
    batch.kill()
    batch.wait()
    for name, digest in digests(listed).items():
        assert digest == right[name]
    finished = logged("job done")
    assert 1 <= finished < 3
    again = command("batch", "jobs.yaml")
    assert again.code == 0
    last = again.out.splitlines()[-1]
    assert last.endswith(f": {3 - finished} done, {finished} skipped, 0 failed")
    assert digests(listed) == right


def test_a_worker_that_is_killed_costs_one_job(
    listed: Path, command: Command, monkeypatch: pytest.MonkeyPatch, whole: tuple[Path, Outcome]
) -> None:
    give = workers._give

    def kill_at_the_last(worker: Any, waiting: list[Job], *more: Any) -> None:
        give(worker, waiting, *more)
        if not waiting:
            worker.process.kill()

    with monkeypatch.context() as patch:
        patch.setattr(workers, "_give", kill_at_the_last)
        done = command("batch", "jobs.yaml", "--workers=2")
    assert done.code == 1, done.err
    assert done.out.splitlines()[-1].endswith(": 2 done, 0 skipped, 1 failed")
    assert "its worker process died (exit code -9)" in done.out
    assert (
        command("batch", "jobs.yaml").out.splitlines()[-1].endswith(": 1 done, 2 skipped, 0 failed")
    )
    assert digests(listed) == digests(whole[0] / DONE)


class Gone:
    """A worker's process that has died."""

    exitcode = -9

    def join(self, timeout: float | None = None) -> None: ...

    def is_alive(self) -> bool:
        return False


@pytest.mark.parametrize("dying", ["", "a", "bc", "e", "abcde"])
def test_the_jobs_of_workers_that_die_fail_and_all_others_are_done(
    monkeypatch: pytest.MonkeyPatch, dying: str
) -> None:
    def serve(pipe: Any) -> None:
        with suppress(EOFError, OSError):
            while (asked := pipe.recv()).name not in dying:
                pipe.send(Event("done", asked))
        pipe.close()

    def start(context: Any, threads: int) -> Any:
        ours, theirs = context.Pipe()
        threading.Thread(target=serve, args=(theirs,), daemon=True).start()
        return workers._Worker(Gone(), ours)  # type: ignore[arg-type]

    monkeypatch.setattr(workers, "_start_worker", start)
    jobs = [job(name, painting) for name, painting in zip("abcde", "ppqqr", strict=True)]
    ended = run_jobs(jobs, workers.local(2, 1))
    assert sorted((outcome.job.name, outcome.status) for outcome in ended) == [
        (name, "failed" if name in dying else "done") for name in "abcde"
    ]


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_ends_the_workers_quietly(listed: Path, start: Start) -> None:
    batch = start("batch", "jobs.yaml", "--workers=2", "--log-json=log", start_new_session=True)
    wait_for(lambda: logged("job started") == 2)
    os.killpg(batch.pid, signal.SIGINT)
    out, err = batch.communicate()
    assert batch.returncode == 130
    assert "left; the same command goes on with them" in out
    assert "Traceback" not in err
    assert {path.suffix for path in listed.iterdir()} <= {".png", ".json"}


# --- the computing left out -----------------------------------------------------------------------


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def paint(job: Job, kept: WorkerCache, on_step: Any) -> Event:
        names.append(job.name)
        if job.name == "2.png":
            return Event("failed", job, error="ZeroDivisionError: division by zero")
        return Event("done", job, seconds=1.0)

    monkeypatch.setattr(workers, "paint", paint)
    return names


def test_a_failure_stops_no_other(listed: Path, command: Command, painted: list[str]) -> None:
    write_jobs({"at": "5,5"}, {"at": "6,6"}, {"at": "7,7"})
    done = command("batch", "jobs.yaml", "--log-json", "log")
    assert painted == ["1.png", "2.png", "3.png"]
    assert done.code == 1
    table = done.out.splitlines()
    assert table[1].split(maxsplit=2) == ["failed", "2.png", "ZeroDivisionError: division by zero"]
    assert table[-1].endswith(": 2 done, 0 skipped, 1 failed")
    assert "[2/3] 2.png failed: ZeroDivisionError" in done.err
    assert events()[4]["error"] == "ZeroDivisionError: division by zero"


def test_a_log_that_is_lost_on_the_way_stops_nothing(
    listed: Path, command: Command, painted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: EventLog, event: Event) -> None:
        if self._file:
            with open("/dev/full", "wb") as disk:
                os.dup2(disk.fileno(), self._file.fileno())
        real(self, event)

    real = EventLog.tell
    monkeypatch.setattr(EventLog, "tell", full)
    done = command("batch", "jobs.yaml", "--log-json", "log")
    assert painted == ["1.png", "3.png", "2.png"]
    assert done.code == 1  # of the job that fails
    lost = [line for line in done.err.splitlines() if "goes on without it" in line]
    assert lost == [
        "harmonize: warning: --log-json log: cannot be written (No space left on device); choose "
        "another place; the batch goes on without it"
    ]


def test_fail_fast_stops_at_the_first(listed: Path, command: Command, painted: list[str]) -> None:
    write_jobs({"at": "5,5"}, {"at": "6,6"}, {"at": "7,7"})
    done = command("batch", "jobs.yaml", "--fail-fast")
    assert done.code == 1
    assert painted == ["1.png", "2.png"]
    assert ": 1 done, 0 skipped, 1 failed, 1 left" in done.out


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_keeps_nothing_half(
    listed: Path, command: Command, monkeypatch: pytest.MonkeyPatch, presses: int
) -> None:
    real = workers.paint

    def pressing(job: Job, kept: WorkerCache, on_step: Any) -> Event:
        if job.name == "3.png":
            for _ in range(presses):
                os.kill(os.getpid(), signal.SIGINT)
        return real(job, kept, on_step)

    monkeypatch.setattr(workers, "paint", pressing)
    done = command("batch", "jobs.yaml")
    assert done.code == 130
    assert set(digests(listed, "*")) == {"1.png", "1.json"}
    if presses == 1:
        assert done.out.splitlines()[-1].endswith(
            ": 1 done, 0 skipped, 0 failed, 2 left; the same command goes on with them"
        )
    monkeypatch.setattr(workers, "paint", real)
    assert ": 2 done, 1 skipped" in command("batch", "jobs.yaml").out


def test_whatever_goes_wrong_with_a_job_is_its_reason(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, said in (
        (StopIteration("odd\nlines"), "StopIteration: odd lines"),
        (MemoryError(), "MemoryError:"),
    ):

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(workers, "open_picture", fail)
        event = workers.paint(job(), WorkerCache(), lambda step: None)
        assert (event.kind, event.error) == ("failed", said)


def test_an_engine_is_stopped_by_what_it_tells(files: Path) -> None:
    told: list[str] = []

    def engine(jobs: Any, tell: Any) -> None:
        for item in jobs:
            tell(Event("started", item))
            tell(Event("done", item))

    def on_event(event: Event) -> None:
        told.append(event.kind)
        if len(told) == 3:
            raise StopRun

    ended = run_jobs([job("a"), job("b"), job("c")], engine, on_event)
    assert [outcome.job.name for outcome in ended] == ["a"]
    assert told == ["started", "done", "started"]


def test_a_worker_stays_with_its_painting() -> None:
    waiting = [job(painting=name) for name in "aabbcc"]
    assert workers.next_job(waiting, "b", ["b", "a"]) == 2
    assert workers.next_job(waiting, None, [None]) == 0
    assert workers.next_job(waiting, None, ["a", None]) == 2
    assert workers.next_job(waiting, "z", ["a", "b", "c", "z"]) == 5


def test_the_report_is_written_of_all_that_ended(
    listed: Path, command: Command, painted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import ModuleType, SimpleNamespace

    written: list[Any] = []
    module = ModuleType("harmonize.reports.page")
    module.Entry = lambda *args: SimpleNamespace(args=args)  # type: ignore[attr-defined]
    module.store_for = lambda entries: SimpleNamespace(look=lambda *_: None, entries=entries)  # type: ignore[attr-defined]
    module.check_page = lambda *args, **more: None  # type: ignore[attr-defined]
    module.write_report = lambda *args, **more: written.append((*args, more))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "harmonize.reports.page", module)
    command("batch", "jobs.yaml", "--report")
    [(path, entries, more)] = written
    assert (path, more["overwrite"], more["store"].entries) == (listed / "report.html", True, 3)
    assert [entry.args for entry in entries] == [
        ("1.png", "done", listed / "1.json", None),
        ("3.png", "done", listed / "3.json", None),
        ("2.png", "failed", None, "ZeroDivisionError: division by zero"),
    ]


def test_a_place_that_goes_ends_no_batch(
    listed: Path, command: Command, painted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*args: Any, **more: Any) -> None:
        raise OutputError("report.html: cannot be written (No space left on device)")

    monkeypatch.setattr("harmonize.reports.page.write_report", lost)
    write_jobs({"at": "5,5"})
    ended = command("batch", "jobs.yaml", "--report")
    assert (ended.code, "report.html" in ended.out) == (1, False)
    assert "report.html: cannot be written (No space left on device)" in ended.err
    assert ended.out.splitlines()[-1].endswith("1 done, 0 skipped, 0 failed")


def test_a_folder_that_gives_way_to_a_file_is_told_in_words(
    listed: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = workers.check_own_files

    def check(job: Any) -> None:
        shutil.rmtree(listed, ignore_errors=True)
        listed.write_text("a file")
        real(job)

    write_jobs({"at": "5,5"}, {"at": "40,30"})
    monkeypatch.setattr(workers, "check_own_files", check)
    ended = command("batch", "jobs.yaml")
    assert ended.code == 1
    assert ended.err.count("cannot write there (") == 2, ended.err
    assert "Error:" not in ended.err
    assert listed.read_text() == "a file"


def test_the_page_of_a_batch_shows_its_jobs_with_no_further_look_at_their_pictures(
    listed: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: Counter[str] = Counter()
    real = read.read_bytes, Path.read_bytes

    def see(where: str, path: Any) -> bytes:
        looks[Path(path).name] += 1
        return real[0](where, path)

    def see_path(path: Path) -> bytes:
        looks[path.name] += 1
        return real[1](path)

    monkeypatch.setattr(read, "read_bytes", see)
    monkeypatch.setattr(Path, "read_bytes", see_path)
    command("batch", "jobs.yaml", "--report")
    # Once to check, and once to paint: the element for each of three jobs.
    assert {name: looks[name] for name in ("painting.png", "other.png", "cutout.png")} == {
        "painting.png": 2,
        "other.png": 2,
        "cutout.png": 4,
    }
    page = (listed / "report.html").read_text(encoding="utf-8")
    for name in ("1.png", "2.png", "3.png"):
        assert name in page
    assert page.count("data:image/webp") >= 3


def test_what_a_run_has_made_beside_its_result_is_no_painting(
    files: Path, command: Command
) -> None:
    Path("g").mkdir()
    Image.fromarray(strokes(96, 80)).save("g/p.png")
    words = [f"--set={setting}" for setting in TINY]
    made = ["--output", "g/r.png", "--sheet", "g/sheet.png", "--frames", "g/frames"]
    run = command("run", "--style", "g/p.png", "--patch", "cutout.png", "--at=20,30", *words, *made)
    assert run.code == 0, run.err
    write_jobs({"style": "g/**/*", "at": "5,5"})
    found = command("batch", "jobs.yaml", "--dry-run")
    assert found.out.splitlines()[-1] == "1 job: 1 to do, 0 done already"
