"""Many pictures on one painting: separate runs, a batch, workers here and on a cluster."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import yaml
from PIL import Image

from benchmarks import report
from benchmarks.cases import Options, sample
from benchmarks.report import Row

JOBS = 8
RUNS = 3  # of the same jobs, each by itself
ON_RAY = ("--engine=ray", "--workers=1", f"--num-cpus={torch.get_num_threads()}")
LONGEST_START = 300  # seconds that a node may take
LONG, SIZE = 500, 128  # pixels of the painting, and at work: the smaller, the more a start costs
NOTE = """Wall time of whole commands, one after the other: the duck sample, its painting made 500
pixels wide, at 8 corners, the first 3 of them as runs, all as one batch, and as one batch on a Ray
cluster started for it, with one worker of all threads; then with two workers of a thread each, as
processes here and on a Ray cluster of two nodes on this machine, which share its processors and
were there before. s a job: over all jobs, the start included; x: a run's time over that; overhead
s: what the engine adds to a job once its worker is there, from giving it to hearing of its end,
without the job's own time; the median of all jobs but the first."""


def run(options: Options) -> bool:
    folder = (options.out / "batch").resolve()  # what a list names is found beside the list
    folder.mkdir(parents=True, exist_ok=True)
    settings = [f"size={options.size or SIZE}", *options.overrides]
    inputs = sample("duck").inputs
    small = folder / "painting.png"
    with Image.open(inputs["painting"]) as painting:
        factor = LONG / max(painting.size)
        painting.resize([round(factor * side) for side in painting.size]).save(small)
    x, y = (round(factor * n) for n in inputs["placement"].at)
    corners = [f"{x - 5 * index},{y}" for index in range(JOBS)]
    common = {
        "style": str(small),
        "patch": str(inputs["element"]),
        "width": round(factor * inputs["placement"].width),
        "config": "preview",
    }
    listing = folder / "jobs.yaml"
    defaults = {**common, "set": settings, "output": "{index}"}
    listing.write_text(
        yaml.safe_dump({"defaults": defaults, "jobs": [{"at": at} for at in corners]})
    )
    flags = [word for key, value in common.items() for word in (f"--{key}", str(value))]
    flags += [f"--set={setting}" for setting in settings]
    print(f"  {RUNS} runs", flush=True)
    began = time.perf_counter()
    for index, at in enumerate(corners[:RUNS]):
        output = folder / f"{index}.png"
        harmonize("run", *flags, "--at", at, "--output", str(output), "--overwrite")
    separate = time.perf_counter() - began
    single = separate / RUNS
    rows = [{"way": f"{RUNS} runs", "s": separate, "s a job": single, "x": 1.0}]
    rows.append(batch("one batch", listing, single))
    if importlib.util.find_spec("ray"):
        rows.append(batch("one batch on Ray", listing, single, *ON_RAY))
    pool = ("--workers=2", "--threads=2")
    rows.append(batch("2 workers here", listing, single, *pool))
    if importlib.util.find_spec("ray"):
        with two_nodes() as address:
            far = ("--engine=ray", f"--address={address}", "--workers=2")
            rows.append(batch("2 workers, a node each", listing, single, *far))
    tables = {f"{JOBS} pictures on one painting": rows}
    report.publish(options.out, "batch", options.config("preview", size=SIZE), tables, NOTE)
    return True


def batch(way: str, listing: Path, single: float, *words: str) -> Row:
    print(f"  {way}", flush=True)
    log = listing.with_name("log.json")
    log.unlink(missing_ok=True)
    began = time.perf_counter()
    harmonize("batch", str(listing), "--restart", f"--log-json={log}", *words)
    seconds = time.perf_counter() - began
    events = [json.loads(line) for line in log.read_text().splitlines()]
    starts, ends = (
        {event["job"]: event for event in events if event["event"] == f"job {kind}"}
        for kind in ("started", "done")
    )
    added = sorted(
        ends[job]["time"] - starts[job]["time"] - ends[job]["seconds"] for job in list(starts)[1:]
    )
    return {
        "way": way,
        "s": seconds,
        "s a job": seconds / JOBS,
        "x": single * JOBS / seconds,
        "overhead s": added[len(added) // 2],
    }


@contextmanager
def two_nodes() -> Iterator[str]:
    """Yield the address of a two-node Ray cluster."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start"]
    small = ["--num-cpus=1", "--object-store-memory=100000000", "--block"]
    nodes = []
    before = os.environ.get("RAY_AUTH_MODE")
    os.environ["RAY_AUTH_MODE"] = "disabled"  # whatever token another cluster left
    with tempfile.TemporaryDirectory() as home:
        head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={home}"]
        try:
            for number, words in enumerate((head, [f"--address={address}"]), 1):
                nodes.append(subprocess.Popen([*ray, *words, *small], stdout=-3, stderr=-3))
                wait_for_nodes(address, number, nodes[-1])
            yield address
        finally:
            for node in nodes:
                node.terminate()
            for node in nodes:
                node.wait()
            os.environ.pop("RAY_AUTH_MODE")
            if before is not None:
                os.environ["RAY_AUTH_MODE"] = before


def wait_for_nodes(address: str, count: int, newest: subprocess.Popen[bytes]) -> None:
    asked = "import ray, sys; ray.init(sys.argv[1]); print(ray.cluster_resources().get('CPU', 0))"
    end = time.monotonic() + LONGEST_START
    while time.monotonic() < end:
        if newest.poll() is not None:
            raise SystemExit(f"a node of Ray ended with exit code {newest.returncode}")
        found = subprocess.run(
            [sys.executable, "-c", asked, address], capture_output=True, text=True
        )
        if found.returncode == 0 and float(found.stdout.split()[-1]) >= count:
            return
        time.sleep(1)
    raise SystemExit(f"no {count} nodes of Ray within {LONGEST_START} s")


def harmonize(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harmonize", *words], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"harmonize {words[0]} failed:\n{done.stderr}")
