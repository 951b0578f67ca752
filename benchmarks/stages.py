"""Where the time of a run goes, by stage; 100 megapixels; a large element."""

from __future__ import annotations

import time
from collections import defaultdict
from statistics import median

import numpy as np
import psutil
from PIL import Image

from benchmarks import report
from benchmarks.cases import SAMPLES, Case, Options, find_cases, planned
from benchmarks.report import Row
from harmonize import Placement, Progress, Session

NOTE = """Seconds of the clock from the call of the library until a stage has told its last step, so
that reading and matching count to the stage before which they are done; `cpu` are processor seconds
of all threads. The network is loaded before the first case."""
HUGE = (12000, 8333)  # pixels: 100 megapixels, drawn from a sample
SMALL = 400  # pixels: the element on it


def staged(session: Session, case: Case) -> Row:
    found: dict[str, float] = defaultdict(float)
    began = last = time.perf_counter()
    cpu = time.process_time()

    def told(progress: Progress) -> None:
        nonlocal last
        now = time.perf_counter()
        found[progress.stage] += now - last
        last = now

    session.run(planned(session, case), on_progress=told)
    found["finish"] += time.perf_counter() - last
    total = time.perf_counter() - began
    return {**found, "all": total, "cpu": time.process_time() - cpu}


def huge() -> Case:
    with Image.open(SAMPLES / "paintings" / "ducks.jpg") as picture:
        painting = np.asarray(picture.convert("RGB").resize(HUGE, Image.Resampling.BICUBIC))
    element = SAMPLES / "cutouts" / "duck.png"
    place = Placement(at=(HUGE[0] // 2, HUGE[1] // 2), width=SMALL)
    return Case("100 megapixels", {"painting": painting, "element": element, "placement": place})


def wide() -> Case:
    painting = SAMPLES / "paintings" / "playing-in-the-sand.jpg"
    element = SAMPLES / "cutouts" / "sheep.png"
    return Case(
        "a quarter", {"painting": painting, "element": element, "placement": Placement(width="70%")}
    )


def run(options: Options) -> bool:
    session = Session(options.config())
    cases = [*find_cases(options.cases), wide(), huge()]
    rows = []
    for case in cases:
        rows.append({"case": case.name, **staged(session, case)})
        print(f"  {case.name}: {rows[-1]['all']:.1f} s", flush=True)
    usual = rows[:-2]
    middle = {"case": "median", "all": median(float(row["all"]) for row in usual)}
    peak = {"GB now": psutil.Process().memory_info().rss / 1e9}
    tables = {"Stages": [*rows, middle], "After all, the process holds": [peak]}
    report.publish(options.out, "stages", options.config(), tables, NOTE)
    return True
