"""A studio that was killed is taken up again."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import put_presets, wait_for
from studio_client import Client

from harmonize.studio import recovery

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(files: Path, start: Start) -> Callable[..., tuple[subprocess.Popen[str], Client]]:
    (files / "there").mkdir()
    put_presets(files / "presets")
    environment = {**os.environ, "TMPDIR": str(files / "there"), "OMP_NUM_THREADS": "1"}

    def begun(*words: str) -> tuple[subprocess.Popen[str], Client]:
        process = start(
            *("studio", "--no-browser", *words), presets=files / "presets", env=environment
        )
        assert process.stdout
        process.stdout.readline()
        client = Client(process.stdout.readline().strip())
        wait_for(lambda: answers(client))
        return process, client

    return begun


def answers(client: Client) -> bool:
    try:
        client.open()
    except OSError:
        return False
    return True


def state(client: Client) -> dict[str, Any]:
    return dict(json.loads(client.get("/api/session")))


def test_what_was_loaded_and_asked_for_is_found_again(
    files: Path, begin: Callable[..., tuple[subprocess.Popen[str], Client]]
) -> None:
    process, client = begin("painting.png")
    painting = state(client)["start"]["painting"]["id"]
    element = client.upload("element", files / "cutout.png")["id"]
    tree = {"painting": painting, "element": element, "placement": {"at": [20, 30], "width": 36}}
    tree["preset"] = "preview"
    first, second, third = (
        client.post("/api/tasks", {**tree, "options": {"seed": seed, "size": 64}})["id"]
        for seed in (1, 2, 3)
    )
    client.wait(first)
    picture = client.get(f"/api/tasks/{first}/png")
    client.wait(second, "running", "done")
    before = state(client)
    process.kill()
    process.wait()

    again, other = begin("painting.png")
    after = state(other)
    assert other.host == client.host
    assert [after[key] for key in ("id", "files", "start")] == [
        before[key] for key in ("id", "files", "start")
    ]
    assert [task["id"] for task in after["tasks"]] == [first, second, third]
    assert other.get(f"/api/tasks/{first}/png") == picture
    assert "--seed 1" in json.loads(other.get(f"/api/tasks/{first}/command"))["command"]
    for task in (second, third):
        assert other.wait(task)["state"] == "done"
    again.terminate()
    assert again.wait(60) == 0
    assert not list((files / "there").glob(f"{recovery.PREFIX}*"))


def test_a_living_studio_is_left_alone(serve: Callable[..., Client]) -> None:
    one, two = serve(), serve()
    assert state(one)["id"] != state(two)["id"]


def left(root: Path, mode: int = 0o700, text: str | None = None, **more: Any) -> Path:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    folder = root / f"{recovery.PREFIX}x"
    folder.mkdir(mode=mode)
    folder.chmod(mode)
    tree = {"pictures": [None, None], "address": address, **more}
    (folder / recovery.SESSION_FILE).write_text(json.dumps(tree) if text is None else text)
    return folder


def test_only_ones_own_session_that_began_alike_is_taken(tmp_path: Path) -> None:
    folder = left(tmp_path)
    found = recovery.find_session(tmp_path, [None, None])
    assert found and found[0] != folder and not folder.exists()
    assert recovery.find_session(tmp_path, [Path("a.png"), None]) is None
    assert recovery.find_session(tmp_path, [None, None]) is not None


@pytest.mark.parametrize("bad", [{"mode": 0o770}, {"text": "{"}, {"text": "[]"}, {"text": "{}"}])
def test_what_others_can_have_made_or_is_damaged_is_left(tmp_path: Path, bad: Any) -> None:
    folder = left(tmp_path, **bad)
    assert recovery.find_session(tmp_path, [None, None]) is None
    assert folder.exists()
