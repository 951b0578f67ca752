"""How long one waits: for a first picture, a preview, the studio's palette map."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import report
from benchmarks.cases import PAIRS, SAMPLES, Case, Options, find_cases, planned
from benchmarks.report import Row
from harmonize import Placement, Progress, Session, StopRun
from harmonize.studio.files import Files
from harmonize.studio.painting import Studio
from harmonize.studio.results import Asked

MOVES = 5  # of the element, after each of which its palette map is asked for
NOTE = """Seconds of the clock, the network loaded before. First picture: from the start of the work
until it is handed to `on_progress`; the run is stopped there. Preview: the preset of that name,
from the call of the library to the finished picture. Palette map: from letting go of an element in
the studio to the encoded picture, the median of five places; the painting was looked at before."""


def waited(session: Session, case: Case, stop: bool) -> float:
    """Seconds until the first picture if the run is to `stop`, else the last."""
    began, found = time.perf_counter(), 0.0

    def told(progress: Progress) -> None:
        nonlocal found
        if stop and not found:
            progress.preview()
            found = time.perf_counter() - began
        if stop:
            raise StopRun

    session.run(planned(session, case), on_progress=told)
    return found or time.perf_counter() - began


def mapped(name: str) -> float:
    painting, cutout, width, (x, y) = PAIRS[name]
    with TemporaryDirectory() as folder:
        files = Files(Path(folder))
        studio = Studio(files)
        whole = files.add("painting", SAMPLES / "paintings" / painting)
        element = files.add("element", SAMPLES / "cutouts" / cutout)
        studio.warm(whole)
        seconds = []
        for move in range(MOVES):
            place = Placement(at=(x - 8 * move, y), width=width, box="whole")
            began = time.perf_counter()
            studio.palette(Asked(whole, element, place, "default", {}))
            seconds.append(time.perf_counter() - began)
    return median(seconds)


def run(options: Options) -> bool:
    usual = Session(options.config())
    quick = usual.using("preview")
    rows: list[Row] = []
    cases = find_cases(options.cases)
    planned(usual, cases[0])  # loads the network
    for case in cases:
        first = waited(usual, case, stop=True)
        preview = waited(quick, case, stop=False)
        rows.append({"case": case.name, "first picture": first, "preview": preview})
    maps = [{"sample": name, "palette map": mapped(name)} for name in PAIRS]
    tables = {
        "Waiting": [*rows, report.median(rows)],
        "In the studio": [*maps, report.median(maps)],
    }
    report.publish(options.out, "waiting", options.config(), tables, NOTE)
    return True
