"""What waiting threads cost: spinning or passive, on a quiet or a busy machine."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import report
from benchmarks.cases import Options
from benchmarks.report import Row

SAMPLES = Path(__file__).parent.parent / "samples"
RUN = (
    *("run", str(SAMPLES / "paintings" / "the-garden-at-bougival-1884.jpg")),
    *(str(SAMPLES / "cutouts" / "duck.png"), "--at=690,480", "--width=330", "--overwrite"),
)
WAITS = {
    # GNU's OpenMP spins 300,000 times where it is told nothing.
    "spin": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "300000"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
}
NOTE = f"""The command with the preset `preview`, on {os.cpu_count()} processors. Busy: a process
beside it that never rests. Spin: waiting threads turn in circles, as OpenMP has it where nothing
is said. Passive: they sleep, as the command has it. The pictures are compared byte for byte."""


@contextmanager
def beside(busy: bool) -> Iterator[None]:
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        yield
    finally:
        if other is not None:
            other.kill()
            other.wait()


def timed(folder: Path, waits: str, more: list[str]) -> tuple[float, float, bytes]:
    target = folder / "picture.png"
    words = [sys.executable, "-m", "harmonize", *RUN, *more, f"--output={target}"]
    environment = {key: text for key, text in os.environ.items() if "OMP" not in key}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, env={**environment, **WAITS[waits]}, check=True, capture_output=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, spent, target.read_bytes()


def run(options: Options) -> bool:
    """Write the table; False if the pictures are not the same."""
    more = ["--config=preview", *(f"--set={text}" for text in options.overrides)]
    more += [f"--size={options.size}"] if options.size else []
    rows: list[Row] = []
    pictures = set()
    with tempfile.TemporaryDirectory() as folder:
        for busy in (False, True):
            for waits in WAITS:
                with beside(busy):
                    seconds, spent, picture = timed(Path(folder), waits, more)
                pictures.add(picture)
                machine = "busy" if busy else "quiet"
                rows.append(
                    {"machine": machine, "threads": waits, "seconds": seconds, "CPU": spent}
                )
    report.publish(options.out, "threads", options.config("preview"), {"Waiting": rows}, NOTE)
    return len(pictures) == 1
