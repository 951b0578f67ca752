"""A studio for tests, and a client like its page."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from harmonize.studio import server
from harmonize.studio.guard import Limits

PATIENCE = 300  # seconds, of a busy machine


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    def read(self) -> bytes:
        return self.body


class Client:
    """Asks a studio as its page does; `more` headers replace those, None drops one."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.host, self.address = parts.netloc, address
        self.cookie = ""

    def ask(
        self, method: str, path: str, body: Any = None, more: dict[str, str | None] | None = None
    ) -> Answer:
        with closing(http.client.HTTPConnection(self.host, timeout=PATIENCE)) as connection:
            answer = self.begin(connection, method, path, body, more)
            return Answer(answer.status, answer.headers, answer.read())

    def begin(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Any = None,
        more: dict[str, str | None] | None = None,
    ) -> http.client.HTTPResponse:
        """Send a request whose answer may be read bit by bit."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers: dict[str, str | None] = {"Cookie": self.cookie, "Host": self.host}
        if method != "GET":
            headers["Origin"] = f"http://{self.host}"
            headers["Sec-Fetch-Site"] = "same-origin"
        given = {key: value for key, value in {**headers, **(more or {})}.items() if value}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for key, value in given.items():
            connection.putheader(key, value)
        if data is not None and "Content-Length" not in given:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        return connection.getresponse()

    def open(self) -> None:
        answer = self.ask("GET", f"/?{urlsplit(self.address).query}")
        assert answer.status == 200
        self.cookie = (answer.headers["Set-Cookie"] or "").partition(";")[0]

    def get(self, path: str, status: int = 200) -> bytes:
        answer = self.ask("GET", path)
        data = answer.read()
        assert answer.status == status, data
        return data

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.ask("POST", path, {} if body is None else body)
        data = answer.read()
        assert answer.status == status, data
        return json.loads(data) if data.startswith(b"{") else data

    def upload(self, role: str, path: Path, status: int = 200) -> Any:
        return self.post(f"/api/files?role={role}&name={path.name}", path.read_bytes(), status)

    def wait(self, task: str, *states: str) -> dict[str, Any]:
        """Wait until a run is in one of the states."""
        end = time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < end
            tasks = {one["id"]: one for one in json.loads(self.get("/api/session"))["tasks"]}
            if tasks[task]["state"] in (states or ("done", "failed")):
                return dict(tasks[task])
            time.sleep(0.02)


@contextmanager
def running(*pictures: Path, limits: Limits | None = None) -> Iterator[Client]:
    ready = threading.Event()
    found: list[Any] = []

    def on_ready(address: str, end: Any) -> None:
        found.extend((address, end))
        ready.set()

    asked = {"on_ready": on_ready, "limits": limits}
    thread = threading.Thread(target=server.serve, args=pictures, kwargs=asked)
    thread.start()
    assert ready.wait(60)
    try:
        yield Client(found[0])
    finally:
        found[1]()
        thread.join(60)
        assert not thread.is_alive()
