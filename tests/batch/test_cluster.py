"""The Ray engine, on a cluster of two nodes on this machine: `make cluster`."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from conftest import ONE_PASS, Outcome, descendants, strokes, wait_for
from PIL import Image

Command = Callable[..., Outcome]
Start = Callable[..., subprocess.Popen[str]]

TINY = ["size=64", *ONE_PASS]
# The node goes when the tests do, however they end, and all that it started with it.
RAY = "import ctypes; ctypes.CDLL(None).prctl(1, 15); from ray.scripts.scripts import main; main()"
ON_RAY = ("batch", "jobs.yaml", "--engine=ray")
SMALL = ["--num-cpus=1", "--object-store-memory=100000000", "--block"]
STARTED = "Ray runtime started"
LONG = 1800  # seconds: on a busy machine a node, a worker or a batch may take minutes to begin
STARTS = 5  # of a node: Ray itself gives one up that is not there after half a minute
PATIENT = {  # nodes on a busy machine
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_health_check_timeout_ms": "120000",
    "RAY_gcs_server_port_wait_time_s": "300",
    # Ray's workers step back behind everything else, and go where memory is short.
    "RAY_worker_niceness": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture
def jobs(files: Path) -> Path:
    """Six jobs on two paintings, painted here in the folder `local`."""
    Image.fromarray(strokes(80, 96, seed=5)).save("other.png")
    tree = {
        "defaults": {"patch": "cutout.png", "output": "{index}", "set": TINY},
        "jobs": [
            {"style": style, "at": [x, 5]}
            for x in (5, 15, 25)
            for style in ("painting.png", "other.png")
        ],
    }
    Path("jobs.yaml").write_text(yaml.safe_dump(tree))
    return files


class Cluster:
    """Nodes of a CPU each on this machine; the first one is the head."""

    def __init__(self, home: Path, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.home, self.nodes = home, list[subprocess.Popen[bytes]]()
        self.environment = {**os.environ, **PATIENT, **environment}
        self._start("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={home}")

    def join(self) -> None:
        self._start(f"--address={self.address}")

    def _start(self, *words: str) -> None:
        command = [sys.executable, "-c", RAY, "start", *words, *SMALL]
        told = self.home / f"node-{len(self.nodes)}"
        for _ in range(STARTS):
            with told.open("wb") as out:
                node = subprocess.Popen(command, env=self.environment, stdout=out, stderr=out)
            while node.poll() is None:
                if STARTED in told.read_text():
                    self.nodes.append(node)
                    return
                time.sleep(0.1)
        raise AssertionError(told.read_text())

    def kill(self, index: int) -> None:
        """Pull a node's plug."""
        node = self.nodes[index]
        if node.poll() is not None:
            return
        for pid in [*descendants(node.pid), node.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait()

    def close(self) -> None:
        for index in range(len(self.nodes)):
            self.kill(index)


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        nodes = Cluster(tmp_path_factory.mktemp("r"))  # Ray's sockets need a short path
        try:
            nodes.join()
            yield nodes
        finally:
            nodes.close()


def digests(folder: str, pattern: str = "*.png") -> dict[str, str]:
    paths = Path(folder).glob(pattern)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def logged(event: str) -> list[str]:
    if not Path("log").exists():
        return []
    lines = map(json.loads, Path("log").read_text().splitlines())
    return [line["job"] for line in lines if line["event"] == event]


# Not in the package: Ray carries the class there as a whole.
OTHER_WORKER = """
import os, time
from harmonize.batch import ray_workers
from harmonize.cli import app

class Worker(ray_workers.Worker):
    def paint(self, job):
        {before}
        return super().paint(job)

ray_workers.Worker = Worker
app.main()
"""
GATED = OTHER_WORKER.format(before="while not os.path.exists({gate!r}): time.sleep(0.05)")
DYING = OTHER_WORKER.format(before='if job.name == "2.png": os._exit(1)')


class GatedBatch:
    """A batch whose jobs wait until the gate is opened."""

    def __init__(self, cluster: Cluster) -> None:
        self.gate = Path("open").absolute()
        words = [*ON_RAY, f"--address={cluster.address}", "--output-dir=far", "--log-json=log"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", GATED.format(gate=str(self.gate)), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self, started: int) -> None:
        """Wait until workers have taken so many jobs."""
        wait_for(lambda: self.process.poll() is not None or self._are(started), LONG)
        assert self.process.poll() is None, self.process.communicate()

    def _are(self, started: int) -> bool:
        return len(logged("job started")) == started

    def finish(self) -> tuple[str, str]:
        self.gate.touch()
        return self.process.communicate()


@pytest.fixture
def gated(jobs: Path, cluster: Cluster) -> Iterator[Callable[[], GatedBatch]]:
    begun: list[GatedBatch] = []

    def begin() -> GatedBatch:
        begun.append(GatedBatch(cluster))
        return begun[-1]

    yield begin
    for batch in begun:
        batch.process.kill()
        batch.process.communicate()


@pytest.mark.cluster
def test_a_node_is_killed_another_joins_and_every_job_is_done_as_here(
    gated: Callable[[], GatedBatch], cluster: Cluster, command: Command
) -> None:
    batch = gated()
    batch.wait(started=2)  # by both nodes
    cluster.kill(1)
    cluster.join()
    batch.wait(started=3)  # by the new node, while the first one's is not done
    out, err = batch.finish()
    assert batch.process.returncode == 0, err
    assert out.splitlines()[-1].endswith(": 6 done, 0 skipped, 0 failed")
    assert sorted(logged("job done")) == [f"{index}.png" for index in range(1, 7)]
    assert "its worker was lost" in err
    assert {path.suffix for path in Path("far").iterdir()} == {".png", ".json"}
    assert command("batch", "jobs.yaml", "--output-dir", "local").code == 0
    assert digests("far") == digests("local")
    assert len(digests("far")) == 6
    again = command("batch", "jobs.yaml", "--output-dir", "far")
    assert again.out.splitlines()[-1].endswith(": 0 done, 6 skipped, 0 failed")


@pytest.mark.cluster
def test_the_pool_grows_with_the_cluster(gated: Callable[[], GatedBatch], cluster: Cluster) -> None:
    cluster.kill(1)
    batch = gated()
    batch.wait(started=1)
    cluster.join()
    batch.wait(started=2)  # while the first one is not done
    _, err = batch.finish()
    assert batch.process.returncode == 0, err
    assert len(logged("job done")) == 6


@pytest.mark.cluster
def test_a_job_that_takes_its_workers_down_has_failed(jobs: Path, cluster: Cluster) -> None:
    words = [*ON_RAY, f"--address={cluster.address}", "--output-dir=far", "--log-json=log"]
    batch = subprocess.run([sys.executable, "-c", DYING, *words], capture_output=True, text=True)
    assert batch.returncode == 1, batch.stderr
    assert batch.stdout.splitlines()[-1].endswith(": 5 done, 0 skipped, 1 failed")
    assert "2.png" in batch.stdout
    assert "its worker died 3 times at it" in batch.stdout
    assert sorted(logged("job done")) == ["1.png", "3.png", "4.png", "5.png", "6.png"]


@pytest.mark.cluster
def test_files_sent_through_the_store_give_the_same(
    jobs: Path, cluster: Cluster, command: Command, start: Start
) -> None:
    sent = start(*ON_RAY, f"--address={cluster.address}", "--output-dir=far", "--transfer")
    _, err = sent.communicate()
    assert sent.returncode == 0, err
    command("batch", "jobs.yaml", "--output-dir", "local")
    assert digests("far") == digests("local")
    records = [json.loads(Path(f"{name}/1.json").read_text()) for name in ("far", "local")]
    for key in ("inputs", "output", "output_sha256", "config", "placement"):
        assert records[0][key] == records[1][key]
    assert {path.suffix for path in Path("far").iterdir()} == {".png", ".json"}
    for words, said in (
        (["--num-gpus=3"], "no node has 1 CPUs and 3 GPUs"),
        (["--num-cpus=9"], "no node has 9 CPUs"),
    ):
        failed = start(*ON_RAY, f"--address={cluster.address}", "--output-dir=other", *words)
        _, err = failed.communicate()
        assert failed.returncode == 2
        assert err.splitlines()[-1].startswith("harmonize: error: --engine ray: ")
        assert said in err
        assert "Traceback" not in err


@pytest.mark.cluster
def test_a_cluster_that_asks_for_a_token(
    jobs: Path, tmp_path_factory: pytest.TempPathFactory, start: Start
) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5ec2e7" * 8}
    nodes = Cluster(tmp_path_factory.mktemp("r"), **token)
    words = (*ON_RAY, f"--address={nodes.address}", "--output-dir=far")
    environment = {key: value for key, value in os.environ.items() if key not in token}
    try:
        refused = start(*words, env=environment)
        _, err = refused.communicate()
        assert refused.returncode == 2
        assert "RAY_AUTH_MODE is not set here" in err.splitlines()[-1]
        taken = start(*words, env={**environment, **token})
        _, err = taken.communicate()
        assert taken.returncode == 0, err
    finally:
        nodes.close()


@pytest.mark.cluster
def test_no_cluster_at_the_address(jobs: Path, start: Start) -> None:
    failed = start(*ON_RAY, "--address=127.0.0.1:1")
    _, err = failed.communicate()
    assert failed.returncode == 2
    assert "--engine ray: no cluster at 127.0.0.1:1: " in err.splitlines()[-1]
    assert "Traceback" not in err


def test_without_ray_the_extra_is_named(
    jobs: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("ray_cluster", "ray_workers"):
        monkeypatch.delitem(sys.modules, f"harmonize.batch.{name}", raising=False)
    missing = command("batch", "jobs.yaml", "--engine", "ray")
    assert missing.code == 2
    assert missing.err == (
        "harmonize: error: --engine ray: Ray is not installed; "
        "add it with pip install 'painterly-harmonize[ray]'\n"
    )
    assert not Path("jobs-harmonized").exists()
