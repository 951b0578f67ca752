"""`harmonize batch`: many pictures."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from harmonize.batch.job_folder import read_folder
from harmonize.batch.job_list import read_listing
from harmonize.batch.jobs import Draft, Job, check
from harmonize.batch.runner import Engine, Event, Outcome, is_done, run
from harmonize.cli.options import option
from harmonize.cli.progress import INTERRUPTED, BatchBars, Interrupt
from harmonize.errors import InputError, OutputError
from harmonize.images.atomic_file import check_output
from harmonize.run.record import record_beside
from harmonize.run.result import record_path

JOBS, SETTINGS, RUNNING, CLUSTER, RESULTS = "Jobs", "Settings", "Running", "Cluster", "Results"


class EngineName(str, Enum):
    """Where jobs run."""

    local = "local"
    ray = "ray"


def batch(
    jobs: Annotated[
        Path,
        typer.Argument(
            metavar="JOBS.yaml|FOLDER",
            help="A list of jobs, or a folder of x.painting.*, x.patch.*, x.mask.*, x.loose.*.",
        ),
    ],
    output_dir: Annotated[
        Path | None,
        option(
            RESULTS, "Where the pictures and records go; if left out, NAME-harmonized beside NAME."
        ),
    ] = None,
    config: Annotated[
        str | None,
        option(SETTINGS, "A preset or a YAML file in place of every job's.", metavar="NAME|FILE"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        option(
            SETTINGS,
            "One setting for all jobs, over their own; may be repeated.",
            "--set",
            metavar="KEY=VALUE",
        ),
    ] = None,
    engine: Annotated[
        EngineName, option(RUNNING, "This machine, or a Ray cluster.")
    ] = EngineName.local,
    workers: Annotated[
        int | None,
        option(
            RUNNING,
            "How many jobs at a time: processes here (1 if left out), or workers of the cluster "
            "(as many as it has room for).",
            metavar="N",
            min=1,
        ),
    ] = None,
    max_memory: Annotated[
        str | None,
        option(
            RUNNING,
            "A worker takes no more memory: smaller tiles, or else a smaller working size.",
            metavar="2GB",
        ),
    ] = None,
    restart: Annotated[
        bool,
        option(
            RUNNING, "Skip the jobs that are done, or do all of them again.", "--restart/--resume"
        ),
    ] = False,
    fail_fast: Annotated[
        bool, option(RUNNING, "Stop at the first job that fails.", "--fail-fast")
    ] = False,
    dry_run: Annotated[
        bool, option(RUNNING, "Check the whole list and say what would be done.", "--dry-run")
    ] = False,
    address: Annotated[
        str | None,
        option(
            CLUSTER,
            "Of the cluster's head; if left out, RAY_ADDRESS, or a cluster started here.",
            metavar="HOST:PORT",
        ),
    ] = None,
    num_cpus: Annotated[
        float | None, option(CLUSTER, "CPUs of a worker; 1 if left out.", metavar="N", min=0)
    ] = None,
    num_gpus: Annotated[
        float | None,
        option(
            CLUSTER, "GPUs of a worker; 1 if left out and a job asks for cuda.", metavar="N", min=0
        ),
    ] = None,
    transfer: Annotated[
        bool,
        option(
            CLUSTER, "Send files through Ray; else all nodes must share their paths.", "--transfer"
        ),
    ] = False,
    report: Annotated[
        bool,
        option(RESULTS, "Also write report.html, a page to look through.", "--report"),
    ] = False,
    absolute_paths: Annotated[
        bool,
        option(RESULTS, "Name files in your home in full in the records.", "--absolute-paths"),
    ] = False,
    log_json: Annotated[
        Path | None, option(RESULTS, "Add every event to this file, one line of JSON each.")
    ] = None,
) -> None:
    """Make many pictures; those that are done are skipped.

    The whole list is checked before the first job starts. A job that fails stops no other. The
    exit code is 0 if all are done or skipped, 1 if any failed.
    """
    cluster = {"num_cpus": num_cpus, "num_gpus": num_gpus}
    if engine is EngineName.local and (address or transfer or any(cluster.values())):
        raise InputError("--address, --transfer, --num-cpus and --num-gpus go with --engine ray")
    folder = output_dir or jobs.absolute().with_name(f"{jobs.absolute().stem}-harmonized")
    found = _jobs(jobs, folder, config, set_ or [])
    limit = _bytes(max_memory)
    found = [replace(job, absolute_paths=absolute_paths, max_memory=limit) for job in found]
    if dry_run:
        _preview(found, restart)
        return
    chosen = _engine(engine, found, workers, address, cluster, transfer)
    _check_log(log_json)
    _check_folder(folder)
    began = time.monotonic()
    with _log(log_json) as write:
        write("batch started", jobs=len(found), folder=str(folder))
        ended, interrupted = _run(found, chosen, write, restart, fail_fast)
        counts = Counter(outcome.status for outcome in ended)
        left = len(found) - len(ended)
        seconds = time.monotonic() - began
        numbers = {status: counts[status] for status in ("done", "skipped", "failed")}
        write("batch done", **numbers, left=left, seconds=round(seconds, 3))
    _summary(ended, left, seconds)
    if report:
        _write_report(folder, ended)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(1 if counts["failed"] else 0)


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    from harmonize.run.memory_limit import parse

    return parse(text)


def _jobs(path: Path, folder: Path, config: str | None, overrides: Sequence[str]) -> list[Job]:
    def skip(file: Path) -> bool:
        """Whether a file is a result, of this batch or of another run."""
        inside = Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))
        return inside or bool(record_beside(file))

    read = read_folder if path.is_dir() else read_listing
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected JOBS.yaml or a folder")
    drafts: list[Draft]
    drafts, problems = read(path, skip)
    return check(drafts, folder, config, overrides, problems)


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made ({error.strerror}); see --output-dir"
        ) from error
    check_output(folder / ".harmonize", overwrite=True)


def _engine(
    name: EngineName,
    jobs: Sequence[Job],
    workers: int | None,
    address: str | None,
    cluster: dict[str, float | None],
    transfer: bool,
) -> Engine:
    if name is EngineName.ray:
        from harmonize.batch.ray_cluster import on_ray

        gpu = any(job.config.device.startswith("cuda") for job in jobs)
        sizes = {"num_cpus": 1.0, "num_gpus": float(gpu)}
        sizes |= {key: value for key, value in cluster.items() if value is not None}
        return on_ray(address, workers, transfer=transfer, **sizes)
    from harmonize.batch.workers import local
    from harmonize.synthesis.network import device

    for wanted in {job.config.device for job in jobs}:
        device.resolve(wanted)
    return local(workers or 1)


def _run(
    jobs: Sequence[Job], engine: Engine, write: Any, restart: bool, fail_fast: bool
) -> tuple[list[Outcome], bool]:
    """The outcomes so far, and whether Ctrl-C ended the batch."""
    with Interrupt(lambda: "what was done is kept") as interrupt, BatchBars(len(jobs)) as bars:

        def on_event(event: Event) -> None:
            bars.show(event)
            if event.job is not None and event.step is None:
                write(f"job {event.kind}", **_about(event))
            interrupt.check()

        ended = run(jobs, engine, on_event, restart=restart, fail_fast=fail_fast)
    return ended, interrupt.asked


def _about(event: Event) -> dict[str, Any]:
    assert event.job is not None  # only events of jobs are logged
    about: dict[str, Any] = {"job": event.job.name}
    if event.kind == "started":
        return {**about, "inputs": {role: str(path) for role, path in event.job.inputs.items()}}
    about["seconds"] = round(event.seconds, 3)
    if event.error:
        return {**about, "error": event.error}
    if event.warnings:
        about["warnings"] = event.warnings
    return {**about, "picture": str(event.job.output), "record": str(record_path(event.job.output))}


def _check_log(path: Path | None) -> None:
    """Find out whether the log can be written, before anything is made; leave nothing there."""
    if path is None:
        return
    there = os.path.exists(path)
    with _log(path):
        pass
    if not there:
        os.unlink(os.path.realpath(path))


@contextmanager
def _log(path: Path | None) -> Iterator[Any]:
    """A function that writes an event: a line of JSON at the file's end, or nothing."""
    if path is None:
        yield lambda *_, **__: None
        return
    try:
        file = path.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise OutputError(f"--log-json {path}: cannot be written ({error.strerror})") from error

    def write(event: str, **about: Any) -> None:
        line = {"time": round(time.time(), 3), "event": event, **about}
        try:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
        except OSError as error:
            raise OutputError(f"--log-json {path}: cannot be written ({error.strerror})") from error

    try:
        yield write
    finally:
        with suppress(OSError):  # what could not be written has been said
            file.close()


def _write_report(folder: Path, ended: Sequence[Outcome]) -> None:
    from harmonize.reports.page import Entry, write_report

    entries = [
        Entry(
            outcome.job.name,
            outcome.status,
            record_path(outcome.job.output) if outcome.status != "failed" else None,
            outcome.error,
        )
        for outcome in ended
    ]
    write_report(folder / "report.html", entries, overwrite=True)


def _preview(jobs: Sequence[Job], restart: bool) -> None:
    done = [not restart and is_done(job) for job in jobs]
    _table(
        [
            ("skip" if skip else "run", "", job.name, "")
            for job, skip in zip(jobs, done, strict=True)
        ]
    )
    typer.echo(f"{_count(len(jobs))}: {len(jobs) - sum(done)} to do, {sum(done)} done already")


def _summary(ended: Sequence[Outcome], left: int, seconds: float) -> None:
    _table(
        [
            (
                outcome.status,
                f"{outcome.seconds:.0f} s" if outcome.status == "done" else "",
                outcome.job.name,
                outcome.error or "",
            )
            for outcome in ended
        ]
    )
    counts = Counter(outcome.status for outcome in ended)
    parts = [f"{counts[status]} {status}" for status in ("done", "skipped", "failed")]
    parts += [f"{left} left; the same command goes on with them"] if left else []
    typer.echo(f"{_count(len(ended) + left)} in {seconds:.0f} s: {', '.join(parts)}")


def _count(jobs: int) -> str:
    return "1 job" if jobs == 1 else f"{jobs} jobs"


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        typer.echo("  ".join(cells).rstrip())
