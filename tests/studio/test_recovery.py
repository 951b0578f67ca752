"""A studio that was killed is taken up again."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import put_presets, use_presets, wait_for
from PIL import Image
from studio_client import Client, running

from harmonize.studio import recovery

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def launch(files: Path, start: Start) -> Callable[..., subprocess.Popen[str]]:
    (files / "there").mkdir()
    put_presets(files / "presets")
    environment = {**os.environ, "TMPDIR": str(files / "there"), "OMP_NUM_THREADS": "1"}
    more: dict[str, Any] = {"presets": files / "presets", "env": environment}
    return lambda *words: start("studio", "--no-browser", *words, **more)


@pytest.fixture
def begin(
    launch: Callable[..., subprocess.Popen[str]],
) -> Callable[..., tuple[subprocess.Popen[str], Client]]:
    def begun(*words: str) -> tuple[subprocess.Popen[str], Client]:
        process = launch(*words)
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
    files: Path,
    begin: Callable[..., tuple[subprocess.Popen[str], Client]],
    monkeypatch: pytest.MonkeyPatch,
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

    use_presets(files / "presets", monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(files / "there"))
    with running(Path("painting.png")) as other:
        other.open()
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
    assert not list((files / "there").glob(f"{recovery.PREFIX}*"))


PLACES = ([20, 30], [5, 5], [40, 10])


def ask(client: Client, number: int) -> str:
    start = state(client)["start"]["painting"]["id"]
    element = next(file["id"] for file in state(client)["files"] if file["role"] == "element")
    placement = {"at": PLACES[number % 3], "width": 36}
    asked = {"painting": start, "element": element, "placement": placement, "preset": "preview"}
    return str(client.post("/api/tasks", {**asked, "options": {"size": 64}})["id"])


def half_an_upload(client: Client, path: Path) -> http.client.HTTPConnection:
    data = path.read_bytes()
    connection = http.client.HTTPConnection(client.host, timeout=60)
    headers = {"Cookie": client.cookie, "Origin": f"http://{client.host}"}
    headers |= {"Sec-Fetch-Site": "same-origin", "Content-Length": str(len(data))}
    connection.putrequest("POST", f"/api/files?role=element&name={path.name}")
    for key, value in headers.items():
        connection.putheader(key, value)
    connection.endheaders(data[: len(data) // 2])
    return connection


@pytest.mark.slow
def test_killed_thirty_times_it_keeps_what_it_promised(
    files: Path,
    launch: Callable[..., subprocess.Popen[str]],
    begin: Callable[..., tuple[subprocess.Popen[str], Client]],
) -> None:
    chance = random.Random(30)
    process, client = begin("painting.png")
    client.upload("element", files / "cutout.png")
    whole = [client.get(f"/api/tasks/{client.wait(ask(client, n))['id']}/png") for n in range(3)]
    process.terminate()
    assert process.wait(60) == 0
    assert len(set(whole)) == 3

    process, client = begin("painting.png")
    client.upload("element", files / "cutout.png")
    promised: list[str] = []
    for _ in range(15):
        # While it paints, is told of another picture, and receives a file; then while it starts.
        promised.append(ask(client, len(promised)))
        with closing(half_an_upload(client, files / "patch.png")):
            time.sleep(chance.uniform(0, 1.5))
            process.kill()
        process.wait()
        process = launch("painting.png")
        time.sleep(chance.uniform(0, 6))
        process.kill()
        process.wait()
        process, client = begin("painting.png")
        assert [task["id"] for task in state(client)["tasks"]] == promised
    for number, task in enumerate(promised):
        assert client.wait(task)["state"] == "done"
        assert client.get(f"/api/tasks/{task}/png") == whole[number % 3]
    (folder,) = (files / "there").iterdir()
    kept = sorted(file.suffix for file in folder.glob("*/*"))
    assert kept == sorted([".png", *[".jpg", ".json", ".png", ".tif"] * 15])
    assert [path.name for path in folder.iterdir() if path.is_file()] == [recovery.SESSION_FILE]
    for file in folder.glob("*/*"):
        if file.suffix == ".json":
            json.loads(file.read_bytes())
        else:
            with Image.open(file) as picture:
                picture.load()
    process.terminate()
    assert process.wait(60) == 0
    assert not list((files / "there").iterdir())


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


def test_the_next_studio_removes_what_was_killed_before_it_held_anything(
    tmp_path: Path, serve: Callable[..., Client]
) -> None:
    held = left(tmp_path, pictures=["another.png", None])
    begins, empty = (tmp_path / f"{recovery.PREFIX}{name}" for name in ("begins", "empty"))
    begins.mkdir()
    empty.mkdir()
    before = time.time() - 2 * recovery.BEGINNING
    for folder in (held, empty):
        os.utime(folder, (before, before))
    serve()
    assert not empty.exists()
    assert begins.exists() and held.exists()
    begins.rmdir()
    shutil.rmtree(held)
