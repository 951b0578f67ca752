"""What a hostile page, client or file may try."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from conftest import strokes
from PIL import Image
from studio_client import Client

from harmonize.errors import InputError
from harmonize.studio import recovery, server
from harmonize.studio.guard import Limits

Serve = Callable[..., Client]

SMALL = Limits(upload=200_000, pixels=40_000, files=6, total=1 << 20, text=10_000, patience=0.5)
OUT = [
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "..\\..\\x",
    "%00",
    "....",
]


def held(files: Path) -> list[Path]:
    (folder,) = files.glob(f"{recovery.PREFIX}*")
    return [path for path in folder.rglob("*") if path.name != recovery.SESSION_FILE]


@pytest.fixture
def studio(serve: Serve) -> Client:
    return serve(limits=SMALL)


def test_another_host_is_refused(studio: Client) -> None:
    port = studio.host.rpartition(":")[2]
    hosts = ("evil.example", "127.0.0.1", "localhost", "127.0.0.1:1", f"evil.example:{port}", "@")
    for host in (*hosts, None):
        for method, path in (("GET", "/"), ("GET", "/api/session"), ("POST", "/api/tasks")):
            answer = studio.ask(method, path, more={"Host": host})
            assert answer.status in (400, 403)
            assert b"version" not in answer.read()


def test_a_name_of_this_machine_is_a_host_too(studio: Client) -> None:
    port = studio.host.rpartition(":")[2]
    assert studio.ask("GET", "/api/session", more={"Host": f"localhost:{port}"}).status == 200


def test_writes_come_from_the_page_alone(studio: Client, files: Path) -> None:
    origins = ("http://evil.example", "null", None, "http://127.0.0.1:1", f"https://{studio.host}")
    wrong = [{"Origin": origin} for origin in origins]
    wrong += [{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none")]
    data = (files / "painting.png").read_bytes()
    paths = ("/api/files?role=painting&name=a.png", "/api/samples", "/api/tasks", "/api/cutout")
    for more in wrong:
        for path in paths:
            assert studio.ask("POST", path, data, more).status == 403
    assert json.loads(studio.get("/api/session"))["files"] == []


def test_other_pages_read_nothing(studio: Client) -> None:
    for site in ("cross-site", "same-site"):
        for path in ("/api/session", "/api/events", "/assets/main.js"):
            assert studio.ask("GET", path, more={"Sec-Fetch-Site": site}).status == 403


def test_without_the_cookie_there_is_nothing(studio: Client) -> None:
    for cookie in (None, "a=b", studio.cookie[:-1], studio.cookie + "x", studio.cookie.upper()):
        for method, path in (("GET", "/"), ("GET", "/api/session"), ("POST", "/api/tasks")):
            assert studio.ask(method, path, more={"Cookie": cookie}).status == 403


def test_the_token_opens_one_page(serve: Serve) -> None:
    studio = serve(enter=False)
    assert studio.ask("GET", "/?token=guessed").status == 403
    answer = studio.ask("GET", "/api/session?" + studio.address.partition("?")[2])
    assert answer.status == 403
    studio.open()
    studio.get("/")
    cookie, studio.cookie = studio.cookie, ""
    assert studio.ask("GET", "/?" + studio.address.partition("?")[2]).status == 403
    studio.cookie = cookie
    assert studio.ask("GET", "/?" + studio.address.partition("?")[2]).status == 200


def test_headers_keep_the_page_to_itself(serve: Serve) -> None:
    studio = serve(enter=False)
    answer = studio.ask("GET", "/?" + studio.address.partition("?")[2])
    assert re.search(r"HttpOnly; SameSite=Strict$", answer.headers["Set-Cookie"])
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Access-Control-Allow-Origin"] is None
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert studio.ask("OPTIONS", "/api/tasks").status == 403


def test_no_name_leads_to_a_file(serve: Serve, files: Path) -> None:
    studio = serve()
    for name in OUT:
        try_everywhere(studio, name)
    data = (files / "painting.png").read_bytes()
    for name in OUT:
        taken = studio.post(f"/api/files?role=painting&name={quote(name)}", data)
        assert re.fullmatch(r"[\w-]+(\.\w+)?", taken["name"])
    made = [path for path in held(files) if path.is_file()]
    assert len(made) == len(OUT)


def try_everywhere(studio: Client, name: str) -> None:
    for path in (
        f"/assets/{quote(name)}",
        f"/api/files/{quote(name)}/view",
        f"/api/files/{quote(name)}/file",
        f"/api/samples/{quote(name)}",
        f"/api/tasks/{quote(name)}/png",
    ):
        assert studio.ask("GET", path).status in (400, 404)
    for path, body in (
        ("/api/samples", {"name": name}),
        ("/api/cutout", {"photo": name, "box": [1, 1, 9, 9]}),
        ("/api/palette", {"painting": name, "element": name}),
        ("/api/tasks", {"painting": name, "element": name, "preset": name}),
        ("/api/tasks", {"painting": name, "element": name}),
    ):
        assert "error" in studio.post(path, body, 400)
    assert studio.ask("POST", f"/api/tasks/{quote(name)}/stop", {}).status in (400, 404)
    assert "error" in studio.post(f"/api/files?role={quote(name)}&name=a.png", b"x", 400)


def test_a_page_cannot_name_its_own_settings_file(studio: Client, files: Path) -> None:
    painting = studio.upload("painting", files / "painting.png")["id"]
    element = studio.upload("element", files / "cutout.png")["id"]
    asked = {"painting": painting, "element": element}
    for options in ({"weights": "/etc/passwd"}, {"device": "cuda:9"}, {"size": "../x"}, [1], "x"):
        studio.post("/api/tasks", {**asked, "options": options}, 400)
    studio.post("/api/tasks", {**asked, "preset": str(files / "x.yaml")}, 400)
    for placement in ({"at": "x"}, {"width": -1}, {"nothing": 1}, {"rotate": "a"}, 3):
        studio.post("/api/tasks", {**asked, "placement": placement}, 400)


def test_what_is_no_request_is_told_so(studio: Client) -> None:
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 9000, b'{"a": NaN', b"{}", b'{"photo": {}}'):
        for path in ("/api/tasks", "/api/cutout", "/api/palette", "/api/samples"):
            assert "error" in studio.post(path, body, 400)


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height, 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_a_decompression_bomb_is_refused_by_its_header(serve: Serve) -> None:
    studio = serve()
    data = bomb(30_000, 30_000)
    assert len(data) < 1_000_000
    for role in ("painting", "element", "mask"):
        told = studio.post(f"/api/files?role={role}&name=a.png", data, 400)
        assert "too many pixels" in told["error"]


def test_the_limit_of_pixels_is_the_sessions(studio: Client) -> None:
    told = studio.post("/api/files?role=painting&name=a.png", bomb(201, 201), 400)
    assert "40401" not in told["error"] and "201 x 201" in told["error"]
    studio.post("/api/files?role=painting&name=a.png", bomb(200, 200))


def test_what_is_no_picture_is_refused(studio: Client, files: Path) -> None:
    for data in (b"<svg/>", b"%!PS-Adobe", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"P6 9", b"\0" * 99):
        assert "error" in studio.post("/api/files?role=painting&name=a.png", data, 400)
    assert not held(files)


def test_two_gigabytes_are_refused_before_they_are_sent(serve: Serve, files: Path) -> None:
    studio = serve()
    answer = studio.ask(
        "POST", "/api/files?role=painting&name=a.png", b"x", {"Content-Length": str(2 << 30)}
    )
    assert answer.status == 413
    assert "GB" in json.loads(answer.read())["error"]
    assert not held(files)


def test_reading_stops_at_the_limit(studio: Client, files: Path) -> None:
    host, _, port = studio.host.rpartition(":")
    head = (
        f"POST /api/files?role=painting&name=a.png HTTP/1.1\r\nHost: {studio.host}\r\n"
        f"Origin: http://{studio.host}\r\nCookie: {studio.cookie}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    sent = 0
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode())
        try:
            for _ in range(4000):
                connection.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")
                sent += 0x4000
        except OSError:
            pass  # closed by the server
    assert sent < 40_000_000
    wait = threading.Event()
    for _ in range(100):
        if not held(files):
            break
        wait.wait(0.05)
    assert not held(files)


def test_a_text_is_as_long_as_texts_are(studio: Client) -> None:
    assert studio.ask("POST", "/api/tasks", b" " * 10_001).status == 413


def test_a_session_holds_so_many_files(studio: Client, files: Path) -> None:
    for _ in range(6):
        studio.upload("painting", files / "painting.png")
    assert "start another" in studio.upload("painting", files / "painting.png", 400)["error"]


def slow(studio: Client, text: str) -> socket.socket:
    host, _, port = studio.host.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(text.encode())
    return connection


def test_slow_clients_hold_nobody_up(studio: Client) -> None:
    begun = f"POST /api/files?role=painting&name=a.png HTTP/1.1\r\nHost: {studio.host}\r\n"
    whole = (
        f"{begun}Origin: http://{studio.host}\r\nCookie: {studio.cookie}\r\n"
        "Content-Length: 1000\r\n\r\nabc"
    )
    connections = [slow(studio, text) for text in [begun, whole] * 10]
    studio.get("/api/session")
    told = [b"", b""]
    for number in (0, 1):  # the server closes them
        while part := connections[number].recv(1000):
            told[number] += part
    assert told[0] == b"" and b" 408 " in told[1]
    studio.get("/api/session")
    for connection in connections:
        connection.close()


def test_fifty_at_once(studio: Client, files: Path) -> None:
    data = (files / "painting.png").read_bytes()
    found: list[int] = []

    def ask(number: int) -> None:
        if number % 2:
            found.append(studio.ask("GET", "/api/session").status)
        else:
            answer = studio.ask("POST", "/api/files?role=painting&name=a.png", data)
            found.append(answer.status)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(200) == 25 + 6  # the session holds six pictures
    assert found.count(400) == 25 - 6


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org", "", "127.0.0.1/../x"])
def test_only_one_numeric_address_is_listened_on(host: str) -> None:
    with pytest.raises(InputError, match="`host="):
        server.serve(host=host)


def test_a_taken_port_is_told(serve: Serve) -> None:
    port = int(serve().host.rpartition(":")[2])
    with pytest.raises(InputError, match=f"port {port}: cannot listen there"):
        server.serve(port=port)


def test_pictures_with_names_of_markup_stay_text(studio: Client, files: Path) -> None:
    taken = studio.post(
        "/api/files?role=painting&name=" + quote("<img src=x onerror=alert(1)>\r\nX: y.png"),
        (files / "painting.png").read_bytes(),
    )
    assert not set(taken["name"]) & set("<>\r\n\"' ")
    answer = studio.ask("GET", f"/api/files/{taken['id']}/file")
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.headers["X"] is None


def test_a_photograph_larger_than_the_page_shows_is_shown_reduced(
    serve: Serve, files: Path
) -> None:
    Image.fromarray(np.tile(strokes(96, 80), (2, 30, 1))).save(files / "wide.png")
    studio = serve()
    taken = studio.upload("element", files / "wide.png")
    assert (taken["width"], taken["height"]) == (2880, 160)
    (folder,) = files.glob(f"{recovery.PREFIX}*")
    view = studio.get(f"/api/files/{taken['id']}/view")
    (files / "view.png").write_bytes(view)
    with Image.open(files / "view.png") as image:
        assert image.size == (2048, 114)
    box = (1000, 40, 300, 100)
    part = studio.get(f"/api/files/{taken['id']}/pixels?box={','.join(map(str, box))}")
    (files / "part.png").write_bytes(part)
    with Image.open(files / "part.png") as image, Image.open(files / "wide.png") as whole:
        assert np.array_equal(np.asarray(image), np.asarray(whole)[40:140, 1000:1300])
    for box in ("5000,0,5,5", "0,0,0,0", "0,0,5", "x", "-1,-1,5,5", ""):
        assert studio.ask("GET", f"/api/files/{taken['id']}/pixels?box={box}").status in (400, 404)
