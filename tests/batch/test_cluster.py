"""The Ray engine, on a cluster of two nodes on this machine: `make cluster`."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conftest import Outcome, descendants, strokes, wait_for
from PIL import Image

Command = Callable[..., Outcome]
Start = Callable[..., subprocess.Popen[str]]

TINY = ["size=64", "passes.coarse.steps=2", "passes.refine.steps=2"]
RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
ON_RAY = ("batch", "jobs.yaml", "--engine=ray")
SMALL = ["--num-cpus=1", "--object-store-memory=100000000", "--block"]


@pytest.fixture
def jobs(files: Path) -> Path:
    """Six jobs on two paintings, and what this process makes of them in the folder `local`."""
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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[int]]]:
    """The address of a cluster of two nodes with a CPU each, and the nodes' process ids."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    home = tmp_path_factory.mktemp("r")  # Ray's sockets need a short path
    # What another cluster of this user left, such as a token, is none of this one's business.
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "disabled")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={home}"]
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        for words in (head, [f"--address={address}"]):
            nodes.append(
                subprocess.Popen(
                    [*RAY, "start", *words, *SMALL], env=environment, stdout=-3, stderr=-3
                )
            )
            wait_for(lambda: any(b"raylet" in name for name in descendants(nodes[-1].pid).values()))
        yield address, [node.pid for node in nodes]
    finally:
        for node in nodes:
            node.terminate()
        for node in nodes:
            node.wait()
        patch.undo()


def digests(folder: str, pattern: str = "*.png") -> dict[str, str]:
    paths = Path(folder).glob(pattern)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def done() -> int:
    if not Path("log").exists():
        return 0
    lines = map(json.loads, Path("log").read_text().splitlines())
    return sum(line["event"] == "job done" for line in lines)


@pytest.mark.cluster
def test_a_worker_is_killed_and_every_job_is_done_as_here(
    jobs: Path, cluster: tuple[str, list[int]], command: Command, start: Start
) -> None:
    address, nodes = cluster
    far = (*ON_RAY, f"--address={address}", "--output-dir=far")
    batch = start(*far, "--log-json=log")

    def painting() -> list[int]:
        """The workers that are at a job."""
        assert batch.poll() is None
        found = {pid: line for node in nodes for pid, line in descendants(node).items()}
        return [pid for pid, line in found.items() if line.startswith(b"ray::Painter.paint")]

    wait_for(lambda: done() >= 1 and bool(painting()))
    victim = painting()[0]
    os.kill(victim, signal.SIGKILL)
    out, err = batch.communicate()
    assert batch.returncode == 0, err
    assert out.splitlines()[-1].endswith(": 6 done, 0 skipped, 0 failed")
    assert command("batch", "jobs.yaml", "--output-dir", "local").code == 0
    assert digests("far") == digests("local")
    assert len(digests("far")) == 6
    again = command("batch", "jobs.yaml", "--output-dir", "far")
    assert again.out.splitlines()[-1].endswith(": 0 done, 6 skipped, 0 failed")


@pytest.mark.cluster
def test_files_sent_through_the_store_give_the_same(
    jobs: Path, cluster: tuple[str, list[int]], command: Command, start: Start
) -> None:
    sent = start(*ON_RAY, f"--address={cluster[0]}", "--output-dir=far", "--transfer")
    _, err = sent.communicate()
    assert sent.returncode == 0, err
    command("batch", "jobs.yaml", "--output-dir", "local")
    assert digests("far") == digests("local")
    records = [json.loads(Path(f"{name}/1.json").read_text()) for name in ("far", "local")]
    for key in ("inputs", "output", "output_sha256", "config", "placement"):
        assert records[0][key] == records[1][key]
    assert {path.suffix for path in Path("far").iterdir()} == {".png", ".json"}


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--num-gpus=3"], "no node has 1 CPUs and 3 GPUs"),
        (["--num-cpus=9"], "no node has 9 CPUs"),
    ],
)
def test_a_cluster_without_room(
    jobs: Path, cluster: tuple[str, list[int]], words: list[str], said: str, start: Start
) -> None:
    failed = start(*ON_RAY, f"--address={cluster[0]}", *words)
    _, err = failed.communicate()
    assert failed.returncode == 2
    assert err.splitlines()[-1].startswith("harmonize: error: --engine ray: ")
    assert said in err
    assert "Traceback" not in err


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
    monkeypatch.delitem(sys.modules, "harmonize.batch.ray_cluster", raising=False)
    missing = command("batch", "jobs.yaml", "--engine", "ray")
    assert missing.code == 2
    assert missing.err == (
        "harmonize: error: --engine ray: Ray is not installed; "
        "`pip install 'painterly-harmonize[ray]'` brings it\n"
    )
    assert not Path("jobs-harmonized").exists()
