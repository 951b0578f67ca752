"""The studio as its page uses it, without a browser."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shlex
import signal
import subprocess
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    PASSES,
    TWO_PASSES,
    Outcome,
    disc,
    put_presets,
    shallow,
    strokes,
    use_presets,
    wait_for,
)
from PIL import Image
from studio_client import Client

from harmonize.settings.load import Settings, load, presets
from harmonize.studio import routes
from harmonize.studio.files import convex_hull, safe_name

Serve = Callable[..., Client]
Command = Callable[..., Outcome]

PLACEMENT = {"at": [20, 30], "width": 36, "rotate": 12.5, "flip": "horizontal"}


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def asked(studio: Client, files: Path, **more: Any) -> dict[str, Any]:
    painting = studio.upload("painting", files / "painting.png")
    element = studio.upload("element", files / "cutout.png")
    return {
        "painting": painting["id"],
        "element": element["id"],
        "placement": PLACEMENT,
        "preset": "preview",
        **more,
    }


@pytest.fixture
def quick(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets of one small step, and `preview` of one step each stage."""
    put_presets(files / "presets")
    steps = [one for name in PASSES for one in (f"passes.{name}.steps=1", *shallow(name))]
    text = load("preview", [*TWO_PASSES, *steps]).model_dump_json()
    (files / "presets/preview.yaml").write_text(json.dumps({"extends": None, **json.loads(text)}))
    use_presets(files / "presets", monkeypatch)


def test_the_command_makes_the_pages_picture(
    serve: Serve, files: Path, command: Command, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    studio = serve()
    options = {"strength": 3.5, "keep": 1.5, "keep_color": 0.25, "seed": 7, "size": 64}
    task = studio.post("/api/tasks", asked(studio, files, options=options))
    done = studio.wait(task["id"])
    assert done["state"] == "done", done["error"]
    with zipfile.ZipFile(io.BytesIO(studio.get(f"/api/tasks/{task['id']}/zip"))) as archive:
        folder = files / "unpacked"
        archive.extractall(folder)
    monkeypatch.chdir(folder)
    picture = studio.get(f"/api/tasks/{task['id']}/png")
    name = done["result"]["name"]
    assert (folder / name).read_bytes() == picture
    (folder / name).unlink()
    words = shlex.split((folder / "command.txt").read_text())
    assert command(*words[1:]).code == 0
    assert (folder / name).read_bytes() == picture
    jpeg = pixels(studio.get(f"/api/tasks/{task['id']}/jpeg")).astype(int)
    assert abs(jpeg - pixels(picture)).mean() < 3
    tiff = pixels(studio.get(f"/api/tasks/{task['id']}/tiff"))
    assert np.array_equal(tiff, pixels(picture))
    shown = json.loads(studio.get(f"/api/tasks/{task['id']}/command"))["command"]
    assert [*shlex.split(shown), "--overwrite"] == words
    told = json.loads(studio.get(f"/api/tasks/{task['id']}/record"))
    assert [told["inputs"][role]["path"] for role in told["inputs"]] == [
        "painting.png",
        "cutout.png",
    ]


def test_the_named_files_stay_where_they_are(serve: Serve, files: Path, quick: None) -> None:
    painting, element = files / "painting.png", files / "cutout.png"
    before = painting.read_bytes(), element.read_bytes()
    studio = serve(painting, element)
    start = json.loads(studio.get("/api/session"))["start"]
    assert {role: file["name"] for role, file in start.items()} == {
        "painting": "painting.png",
        "element": "cutout.png",
    }
    key = {role: file["id"] for role, file in start.items()}
    mixed = {**key, "element": studio.upload("element", element)["id"]}
    for given, named in (
        (key, [str(painting), str(element)]),
        (mixed, [str(painting), "cutout.png"]),
    ):
        tree = {**given, "preset": "paper", "placement": PLACEMENT}
        task = studio.post("/api/tasks", tree)["id"]
        assert studio.wait(task)["state"] == "done"
        words = shlex.split(json.loads(studio.get(f"/api/tasks/{task}/command"))["command"])
        assert words[2:4] == named
    assert (painting.read_bytes(), element.read_bytes()) == before


def test_stop_keeps_what_there_is_and_the_next_waits(
    serve: Serve, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_presets(files / "presets", "passes.refine.steps=100000")  # none ends by itself
    use_presets(files / "presets", monkeypatch)
    studio = serve()
    one = asked(studio, files, preset="paper")
    first = studio.post("/api/tasks", one)
    second = studio.post("/api/tasks", {**one, "preset": "preview"})
    studio.wait(first["id"], "running")

    def growing() -> bool:
        tasks = json.loads(studio.get("/api/session"))["tasks"]
        return bool(tasks[0]["pictures"] and tasks[1]["state"] == "waiting")

    wait_for(growing)
    assert pixels(studio.get(f"/api/tasks/{first['id']}/growing")).shape[:2] == (80, 96)
    studio.post(f"/api/tasks/{first['id']}/stop")
    stopped = studio.wait(first["id"])
    assert stopped["state"] == "done" and stopped["result"]["interrupted"]
    assert pixels(studio.get(f"/api/tasks/{first['id']}/png")).shape == (80, 96, 3)
    studio.wait(second["id"], "running", "done")
    studio.post(f"/api/tasks/{second['id']}/stop")
    assert studio.wait(second["id"])["state"] == "done"


def test_the_palette_map_shows_the_element_alone(serve: Serve, files: Path) -> None:
    studio = serve()
    answer = studio.ask("POST", "/api/palette", asked(studio, files, options={"keep_color": 0.0}))
    assert answer.status == 200
    left, top, width, height = json.loads(answer.headers["X-Window"])
    both = pixels(answer.read()).astype(int)
    assert both.shape == (2 * round(height), round(width), 3)
    after, before = both[: round(height)], both[round(height) :]
    painting = strokes(96, 80).astype(int)
    there = painting[round(top) : round(top + height), round(left) : round(left + width)]
    for shown in (after, before):
        changed = abs(shown - there).max(-1) > 12
        assert changed[15:25, 20:30].any()
        assert not changed[:4].any() and not changed[-4:].any()
    assert (abs(after - before).max(-1) > 3)[15:25, 20:30].any()


def test_a_painting_that_was_looked_at_is_no_other(serve: Serve, files: Path) -> None:
    studio = serve()
    wanted = asked(studio, files)
    cold = studio.post("/api/palette", wanted)
    other = serve()
    wanted = asked(other, files)
    assert other.ask("POST", "/api/warm", {"painting": wanted["painting"]}).status == 204
    assert other.post("/api/palette", wanted) == cold
    assert other.ask("POST", "/api/warm", {"painting": "none"}).status == 400


def cut(photo: str, **more: Any) -> dict[str, Any]:
    return {"photo": photo, "edges": False, **more}


def test_a_cut_by_hand_is_what_was_drawn(serve: Serve, files: Path) -> None:
    studio = serve()
    photo = studio.upload("element", files / "patch.png")
    assert photo["box"] is None
    lines = [
        {"mode": "keep", "radius": 5, "points": [[70, 10], [90, 10]]},
        {"mode": "remove", "radius": 4, "points": [[30, 40]]},
    ]
    tree = cut(photo["id"], box=[20, 30, 40, 25], strokes=lines, whole=True)
    element = studio.post("/api/cutout", tree)
    rgba = pixels(studio.get(f"/api/files/{element['id']}/file"))
    assert np.array_equal(rgba[..., :3], pixels((files / "patch.png").read_bytes()))
    alpha = rgba[..., 3]
    assert alpha[32, 22] == alpha[53, 58] == alpha[10, 80] == 255
    assert alpha[40, 30] == alpha[5, 5] == alpha[60, 50] == alpha[20, 80] == 0
    assert np.array_equal(pixels(studio.get(f"/api/files/{element['id']}/mask")), alpha)
    assert element["source"] == photo["id"]
    assert element["name"] == "patch-cutout.png"


def test_the_edge_is_found_from_a_box(serve: Serve, files: Path) -> None:
    photo = np.full((120, 160, 3), (70, 120, 60), np.uint8)
    photo += np.random.default_rng(0).integers(0, 20, photo.shape).astype(np.uint8)
    inside = disc(160, 120) > 0
    photo[inside] = strokes(160, 120, seed=2)[inside] // 3 + (140, 20, 30)
    Image.fromarray(photo).save(files / "photo.png")
    studio = serve()
    key = studio.upload("element", files / "photo.png")["id"]
    tree = {"photo": key, "box": [25, 15, 110, 90]}
    element = studio.post("/api/cutout", {**tree, "whole": True})
    found = pixels(studio.get(f"/api/files/{element['id']}/mask")) > 127
    assert (found & inside).sum() > 0.9 * (found | inside).sum()
    veil = pixels(studio.ask("POST", "/api/cutout", tree).read())[..., 1]
    quick = veil < 100
    assert (quick & inside).sum() > 0.85 * (quick | inside).sum()
    x, y = 80, 60
    line = {"mode": "remove", "radius": 6, "points": [[x, y]]}
    veil = pixels(studio.ask("POST", "/api/cutout", {**tree, "strokes": [line]}).read())[..., 1]
    assert veil[y, x] > 180 and veil[y, x - 30] < 60


def test_the_veil_lies_over_what_is_cut_away(serve: Serve, files: Path) -> None:
    studio = serve()
    photo = studio.upload("element", files / "patch.png")["id"]
    answer = studio.ask("POST", "/api/cutout", cut(photo, box=[20, 30, 40, 25]))
    told = json.loads(answer.headers["X-Mask"])
    assert told["share"] == pytest.approx(40 * 25 / (96 * 80), abs=0.01)
    veil = pixels(answer.read())[..., 1]
    assert veil[40, 40] == 0 and veil[5, 5] > 180


def test_the_edge_moves_and_softens(serve: Serve, files: Path) -> None:
    studio = serve()
    photo = studio.upload("element", files / "patch.png")["id"]
    mask = studio.upload("mask", files / "mask.png")["id"]
    plain = disc(96, 80)

    def alpha(**more: Any) -> np.ndarray:
        element = studio.post("/api/cutout", cut(photo, mask=mask, whole=True, **more))
        return pixels(studio.get(f"/api/files/{element['id']}/mask")).astype(int)

    def radius(mask: np.ndarray) -> float:
        return float(np.sqrt((mask / 255).sum() / np.pi))

    assert np.array_equal(alpha(), plain)
    wide, narrow, soft = alpha(grow=4), alpha(grow=-4), alpha(feather=3)
    assert radius(wide) - radius(plain) == pytest.approx(4, abs=1.2)
    assert radius(plain) - radius(narrow) == pytest.approx(4, abs=1.2)
    assert (wide >= plain).all() and (narrow <= plain).all()
    assert radius(soft) == pytest.approx(radius(plain), abs=0.5)
    assert ((soft > 20) & (soft < 235)).sum() > 3 * ((plain > 20) & (plain < 235)).sum() + 100


def test_a_mask_is_read_as_the_command_reads_it(serve: Serve, files: Path) -> None:
    plain = disc(96, 80)
    red = np.zeros((*plain.shape, 3), np.uint8)
    red[..., 0] = plain
    Image.fromarray(red).resize((192, 160), Image.Resampling.NEAREST).save(files / "red.png")
    Image.fromarray(plain).resize((96, 20)).save(files / "flat.png")
    studio = serve()
    photo = studio.upload("element", files / "patch.png")["id"]
    tree = cut(photo, mask=studio.upload("mask", files / "red.png")["id"])
    answer = studio.ask("POST", "/api/cutout", tree)
    told = " ".join(json.loads(answer.headers["X-Mask"])["notes"])
    assert "rgb(255, 0, 0) is taken for the element" in told and "scaled" in told
    element = studio.post("/api/cutout", {**tree, "whole": True})
    found = pixels(studio.get(f"/api/files/{element['id']}/mask")).astype(int)
    assert abs(found - plain).mean() < 2
    flat = studio.upload("mask", files / "flat.png")["id"]
    told = studio.post("/api/cutout", cut(photo, mask=flat), 400)
    assert "shape" in told["error"]


def test_nothing_to_keep_is_told(serve: Serve, files: Path) -> None:
    studio = serve()
    photo = studio.upload("element", files / "patch.png")["id"]
    lines = [{"mode": "remove", "radius": 500, "points": [[50, 50]]}]
    answer = studio.ask("POST", "/api/cutout", cut(photo, box=[1, 1, 50, 50], strokes=lines))
    assert "empty" in json.loads(answer.headers["X-Mask"])["notes"][0]
    told = studio.post(
        "/api/cutout", cut(photo, box=[1, 1, 50, 50], strokes=lines, whole=True), 400
    )
    assert "nothing is left" in told["error"]
    assert "draw a box" in studio.post("/api/cutout", cut(photo), 400)["error"]


def test_events_tell_of_tasks(serve: Serve, files: Path) -> None:
    studio = serve()
    with closing(http.client.HTTPConnection(studio.host, timeout=60)) as connection:
        answer = studio.begin(connection, "GET", "/api/events")

        def event() -> Any:
            line = answer.readline()
            while not line.startswith(b"data: "):
                line = answer.readline()
            return json.loads(line.removeprefix(b"data: "))

        assert event() == {"changed": [], "known": []}
        task = studio.post("/api/tasks", asked(studio, files))
        seen: list[str] = []

        def until(*states: str) -> None:
            while not set(states) & set(seen):
                told = event()
                assert told["known"] == [task["id"]]
                seen.extend(one["state"] for one in told["changed"])

        until("running", "done", "failed")
        studio.post(f"/api/tasks/{task['id']}/stop")
        until("done", "failed")
        assert seen[-1] == "done" and seen[0] in ("waiting", "running")


def test_every_file_of_the_page_is_there_and_no_other_is_asked_for() -> None:
    names = set(routes._assets())
    asked_for = set()
    for data, _ in routes._assets().values():
        text = data.decode()
        asked_for |= set(re.findall(r'(?:src|href)="/assets/([\w.]+)"', text))
        asked_for |= set(re.findall(r'from "\./([\w.]+)"', text))
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
        assert "innerHTML" not in text and "eval(" not in text
    assert asked_for | {"index.html"} == names


def test_an_error_names_a_file_as_it_was_uploaded(serve: Serve, files: Path) -> None:
    (files / "text.png").write_text("no picture")
    told = serve().upload("painting", files / "text.png", 400)["error"]
    assert told.startswith("painting text.png: not an image")


def test_the_page_has_words_for_every_stage() -> None:
    text = routes._assets()["runs.js"][0].decode()
    words = re.search(r"STAGES = {(.*?)}", text)
    assert words
    stages = {"reading", "palette", "underpainting", "finish", "writing"}
    stages |= {name for preset in presets() for name in Settings.preset(preset).passes}
    assert stages == set(re.findall(r"(\w+): \"", words[1]))


def test_samples_are_shown_and_taken(serve: Serve) -> None:
    studio = serve()
    listed = json.loads(studio.get("/api/session"))["samples"]
    assert {one["role"] for one in listed} == {"painting", "element"}
    name = next(one["name"] for one in listed if one["role"] == "element")
    assert studio.get(f"/api/samples/{name}").startswith(b"RIFF")
    assert studio.post("/api/samples", {"name": name})["box"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a b.PNG", "a-b.png"),
        ("../../x/y.jpg", "y.jpg"),
        ("C:\\x\\y.tiff", "y.tiff"),
        ("Müller.jpeg", "Müller.jpeg"),
        ("-rf.png", "rf.png"),
        ("", "picture"),
        (".png", "png"),
        ("a\n$(b).p;g", "a-b.pg"),
    ],
)
def test_names_are_made_safe(given: str, found: str) -> None:
    assert safe_name(given) == found


def test_a_hull_holds_all_that_shows_and_has_no_dents() -> None:
    alpha = np.zeros((40, 50), np.uint8)
    rng = np.random.default_rng(0)
    alpha[rng.integers(5, 35, 30), rng.integers(5, 45, 30)] = 255
    hull = np.array(convex_hull(alpha))
    ahead, back = np.roll(hull, -1, 0) - hull, hull - np.roll(hull, 1, 0)
    turns = back[:, 0] * ahead[:, 1] - back[:, 1] * ahead[:, 0]
    assert (turns > 0).all() or (turns < 0).all()
    rows, columns = np.nonzero(alpha)
    for y, x in zip(rows, columns, strict=True):
        for corner in ((x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)):
            away = np.array(corner) - hull
            sides = ahead[:, 0] * away[:, 1] - ahead[:, 1] * away[:, 0]
            assert (sides * np.sign(turns[0]) >= 0).all()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_server_ends_when_told_and_leaves_nothing(
    files: Path, start: Callable[..., subprocess.Popen[str]], number: int
) -> None:
    there = files / "temporary"
    there.mkdir()
    presets = files / "presets"
    put_presets(presets, "passes.refine.steps=100000")
    environment = {**os.environ, "TMPDIR": str(there), "OMP_NUM_THREADS": "1"}
    words = ("studio", "--no-browser", "painting.png")
    process = start(*words, presets=presets, env=environment)
    assert process.stdout
    lines = [process.stdout.readline(), process.stdout.readline()]
    client = Client(lines[1].strip())
    wait_for(lambda: _answers(client))
    start_id = json.loads(client.get("/api/session"))["start"]["painting"]["id"]
    if number == signal.SIGINT:  # in the middle of a run
        element = client.upload("element", files / "cutout.png")["id"]
        tree = {"painting": start_id, "element": element, "placement": PLACEMENT}
        client.wait(client.post("/api/tasks", {**tree, "preset": "paper"})["id"], "running")
    assert list(there.iterdir())
    process.send_signal(number)
    assert process.wait(300) == 0
    assert not list(there.iterdir())


def _answers(client: Client) -> bool:
    try:
        client.open()
    except OSError:
        return False
    return True
