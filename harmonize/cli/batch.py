"""`harmonize batch`: many pictures."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harmonize.batch.jobs import Checked, Job, Refused, check_jobs, lines, missing_weights, without
from harmonize.batch.lists.input_files import own_files
from harmonize.batch.lists.job_folder import read_folder
from harmonize.batch.lists.job_list import read_list
from harmonize.batch.log import EventLog, check_log
from harmonize.batch.pace import Pace
from harmonize.batch.runner import Engine, Event, Outcome, is_done, run_jobs
from harmonize.cli.options import COMPLETE, MaxPixels, in_keys, option
from harmonize.cli.progress import INTERRUPTED, BatchBars, Interrupt, table, warn
from harmonize.errors import InputError, JobsError, OutputError
from harmonize.images.atomic_file import check_output, made_folders
from harmonize.images.protected import protect
from harmonize.run.result import record_path

if TYPE_CHECKING:
    from harmonize.batch.workers import MemoryCheck
    from harmonize.reports.pictures import Store

SETTINGS, RUNNING, CLUSTER, RESULTS = "Settings", "Running", "Cluster", "Results"


class EngineName(StrEnum):
    """Where jobs run."""

    local = "local"
    ray = "ray"


def batch(
    jobs: Annotated[
        Path,
        typer.Argument(
            metavar="JOBS|FOLDER",
            help="A list (YAML, JSON, CSV, TSV), or a folder of x.painting.*, x.patch.*, x.mask.*.",
        ),
    ],
    output_dir: Annotated[
        Path | None,
        option(RESULTS, "Where all goes [NAME-harmonized, beside NAME].", metavar="DIR"),
    ] = None,
    config: Annotated[
        str | None,
        option(
            SETTINGS,
            "A preset or a file in place of every job's.",
            metavar="NAME|FILE",
            complete=COMPLETE["config"],
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        option(
            SETTINGS,
            "A setting for all jobs, over their own; again for more.",
            "--set",
            metavar="KEY=VALUE",
            complete=COMPLETE["set"],
        ),
    ] = None,
    workers: Annotated[
        int | None,
        option(RUNNING, "Jobs at a time [1; on a cluster, what fits].", metavar="N", min=1),
    ] = None,
    threads: Annotated[
        int | None,
        option(RUNNING, "Threads of all workers here together.", metavar="N", min=1),
    ] = None,
    max_memory: Annotated[
        str | None,
        option(RUNNING, "A worker takes no more: smaller tiles, then size.", metavar="2GB"),
    ] = None,
    restart: Annotated[
        bool,
        option(RUNNING, "Do again what is done, or skip it.", "--restart/--resume", metavar=None),
    ] = False,
    strict: Annotated[
        bool,
        option(RUNNING, "Paint nothing if any job is wrong.", "--strict", metavar=None),
    ] = False,
    fail_fast: Annotated[
        bool,
        option(RUNNING, "The same, and stop at the first failure.", "--fail-fast", metavar=None),
    ] = False,
    dry_run: Annotated[
        bool, option(RUNNING, "Check all, say what would be done.", "--dry-run", metavar=None)
    ] = False,
    engine: Annotated[
        EngineName,
        option(CLUSTER, "This machine, or a Ray cluster [local].", metavar="local|ray"),
    ] = EngineName.local,
    address: Annotated[
        str | None,
        option(CLUSTER, "The cluster's [RAY_ADDRESS, or one made here].", metavar="HOST:PORT"),
    ] = None,
    num_cpus: Annotated[
        float | None, option(CLUSTER, "CPUs of a worker [1].", metavar="N", min=0)
    ] = None,
    num_gpus: Annotated[
        float | None,
        option(CLUSTER, "GPUs of a worker [1 if a job asks for cuda].", metavar="N", min=0),
    ] = None,
    transfer: Annotated[
        bool,
        option(
            CLUSTER, "Send files through Ray; else all share paths.", "--transfer", metavar=None
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        option(RESULTS, "Replace foreign and edited pictures too.", "--overwrite", metavar=None),
    ] = False,
    report: Annotated[
        bool,
        option(RESULTS, "Also write report.html, to look through.", "--report", metavar=None),
    ] = False,
    absolute_paths: Annotated[
        bool,
        option(RESULTS, "Records name your home in full, not ~.", "--absolute-paths", metavar=None),
    ] = False,
    log_json: Annotated[
        Path | None, option(RESULTS, "Add every event to this file, a line of JSON each.")
    ] = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Make many pictures; those that are done are skipped.

    The whole list is checked before the first job starts. A job that is wrong or fails stops no
    other. The exit code is 0 if all are done or skipped, 1 if any failed, 2 if none can be begun.
    """
    asked = SimpleNamespace(**locals())
    _check_words(asked)
    folder = output_dir or jobs.absolute().with_name(f"{jobs.absolute().stem}-harmonized")
    found = _checked_jobs(asked, folder)
    _check_outputs(asked, found, folder)
    if dry_run:
        raise typer.Exit(_dry_run(found, restart))
    chosen = _engine(asked, found.jobs)
    with made_folders([folder / ".harmonize"]):
        code = _paint_jobs(asked, found, folder, chosen)
    raise typer.Exit(code)


# --- before ---------------------------------------------------------------------------------------


def _check_words(asked: Any) -> None:
    cluster = (asked.address, asked.transfer, asked.num_cpus, asked.num_gpus)
    if asked.engine is EngineName.local and any(cluster):
        raise InputError(
            "--address, --transfer, --num-cpus, --num-gpus: use them with --engine ray"
        )
    if asked.engine is EngineName.ray and asked.threads:
        raise InputError("--threads goes with --engine local; on a cluster, give --num-cpus")


def _checked_jobs(asked: Any, folder: Path) -> Checked:
    if not asked.jobs.exists():
        raise InputError(f"{asked.jobs}: no such file or folder; expected a list or a folder")
    memory = _memory_check(asked)
    read, listed = (read_folder, None) if asked.jobs.is_dir() else (read_list, asked.jobs)
    items = read(asked.jobs, own_files(folder))
    asked.store = _store(asked, len(items))
    looks = [one.look for one in (asked.store, memory) if one]
    own = {"overwrite": asked.overwrite, "absolute_paths": asked.absolute_paths}
    found = check_jobs(items, folder, asked.config, asked.set_ or (), listed, looks, **own)
    if asked.engine is EngineName.local:
        found = without(found, missing_weights)
        if not asked.dry_run:
            from harmonize.batch.workers import with_devices

            found = with_devices(found)
    if memory:
        gpus = None if asked.engine is EngineName.local else _gpus(asked, found.jobs)
        found = memory.within(found, gpus)
    found.refused[:] = [replace(item, reason=in_keys(item.reason)) for item in found.refused]
    if found.refused and (asked.strict or asked.fail_fast or not found.jobs):
        raise JobsError(*lines(found.refused))
    for line in JobsError(*lines(found.refused)).lines:
        typer.echo(f"harmonize: not done: {line}", err=True)
    return found


def _store(asked: Any, entries: int) -> "Store | None":
    if not asked.report or asked.dry_run:
        return None
    from harmonize.reports.page import store_for

    return store_for(entries)


def _memory_check(asked: Any) -> "MemoryCheck | None":
    if asked.max_memory is None:
        return None
    from harmonize.batch.workers import MemoryCheck

    return MemoryCheck(asked.max_memory, asked.restart)


def _check_outputs(asked: Any, found: Checked, folder: Path) -> None:
    written = [("--log-json", asked.log_json)] if asked.log_json else []
    written += [("--report", folder / "report.html")] if asked.report else []
    results = [(job.name, path) for job in found.jobs for path in job.files]
    protect(found.inputs, [*results, *written])
    if not asked.dry_run:
        check_log(asked.log_json)
    if asked.report:
        from harmonize.reports.page import check_page

        check_page(folder / "report.html", overwrite=True, missing_folder=True)
    inside = folder / ".harmonize"
    try:
        check_output(inside, overwrite=True, missing_folder=True)
    except OutputError as error:
        said = str(error).removeprefix(f"{inside}: ").partition(";")[0]
        raise OutputError(f"--output-dir {folder}: {said}; choose another place") from error


def _engine(asked: Any, jobs: Sequence[Job]) -> Engine:
    if asked.engine is EngineName.ray:
        from harmonize.batch.ray_cluster import on_ray

        cpus = 1.0 if asked.num_cpus is None else asked.num_cpus
        takes = {"num_cpus": cpus, "num_gpus": _gpus(asked, jobs)}
        return on_ray(asked.address, asked.workers, transfer=asked.transfer, **takes)
    from harmonize.batch.workers import local

    return local(asked.workers or 1, asked.threads)


def _gpus(asked: Any, jobs: Sequence[Job]) -> float:
    asks = any(job.config.device.startswith("cuda") for job in jobs)
    return float(asks if asked.num_gpus is None else asked.num_gpus)


# --- the jobs -------------------------------------------------------------------------------------


def _paint_jobs(asked: Any, found: Checked, folder: Path, engine: Engine) -> int:
    began = time.monotonic()
    pace = Pace(len(found.jobs))
    total = len(found.jobs) + len(found.refused)
    with EventLog(asked.log_json, pace) as log:
        log.write("batch started", jobs=total, folder=str(folder))
        for item in found.refused:
            log.write("job failed", job=item.where, seconds=0.0, error=item.reason)
        ended, interrupted = _run_jobs(asked, found.jobs, engine, pace, log)
        counts = Counter(outcome.status for outcome in ended)
        failed = counts["failed"] + len(found.refused)
        left = len(found.jobs) - len(ended)
        seconds = time.monotonic() - began
        numbers = {"done": counts["done"], "skipped": counts["skipped"], "failed": failed}
        _noted(lambda: log.write("batch done", **numbers, left=left, seconds=round(seconds, 3)))
    table([*map(_refused_row, found.refused), *map(_row, ended)])
    parts = [f"{number} {status}" for status, number in numbers.items()]
    parts += [f"{left} left; the same command goes on with them"] if left else []
    page = asked.report and _noted(lambda: _write_report(folder, found.refused, ended, asked))
    typer.echo(folder / "report.html" if page else folder)
    typer.echo(f"{_jobs_said(total)} in {seconds:.0f} s: {', '.join(parts)}")
    return INTERRUPTED if interrupted else 1 if failed or page != asked.report else 0


def _run_jobs(
    asked: Any, jobs: Sequence[Job], engine: Engine, pace: Pace, log: EventLog
) -> tuple[list[Outcome], bool]:
    bars = BatchBars(len(jobs), pace)
    with Interrupt(lambda: "what was done is kept") as interrupt, bars:

        def on_event(event: Event) -> None:
            pace.see(event)
            event = _in_keys(event)
            bars.show(event)
            _noted(lambda: log.tell(event))
            interrupt.check()

        options = {"restart": asked.restart, "fail_fast": asked.fail_fast}
        ended = run_jobs(jobs, engine, on_event, **options)
    return [replace(one, error=one.error and in_keys(one.error)) for one in ended], interrupt.asked


def _noted(write: Callable[[], None]) -> bool:
    try:
        write()
        return True
    except OutputError as error:
        warn([f"{error}; the batch goes on without it"])
        return False


def _in_keys(event: Event) -> Event:
    return replace(
        event,
        error=event.error and in_keys(event.error),
        note=event.note and in_keys(event.note),
        warnings=tuple(map(in_keys, event.warnings)),
    )


# --- after ----------------------------------------------------------------------------------------


def _write_report(
    folder: Path, refused: Sequence[Refused], ended: Sequence[Outcome], asked: Any
) -> None:
    from harmonize.reports.page import Entry, write_report

    entries = [Entry(item.where, "failed", None, item.reason) for item in refused]
    for outcome in ended:
        record = record_path(outcome.job.output) if outcome.status != "failed" else None
        entries.append(Entry(outcome.job.name, outcome.status, record, outcome.error))
    write_report(folder / "report.html", entries, overwrite=True, store=asked.store)


def _dry_run(found: Checked, restart: bool) -> int:
    done = [not restart and is_done(job) for job in found.jobs]
    rows = [
        ("skip" if skip else "run", "", job.name, "")
        for job, skip in zip(found.jobs, done, strict=True)
    ]
    table([*map(_refused_row, found.refused), *rows])
    failed = f", {len(found.refused)} failed" if found.refused else ""
    total = _jobs_said(len(found.jobs) + len(found.refused))
    typer.echo(f"{total}: {len(done) - sum(done)} to do, {sum(done)} done already{failed}")
    return 1 if found.refused else 0


def _row(outcome: Outcome) -> tuple[str, ...]:
    took = f"{outcome.seconds:.0f} s" if outcome.status == "done" else ""
    return outcome.status, took, outcome.job.name, outcome.error or ""


def _refused_row(item: Refused) -> tuple[str, ...]:
    return "failed", "", item.where, item.reason


def _jobs_said(jobs: int) -> str:
    return "1 job" if jobs == 1 else f"{jobs} jobs"
