"""The page's server on this machine."""

import asyncio
import contextlib
import ipaddress
import logging
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from harmonize.errors import InputError
from harmonize.studio import recovery
from harmonize.studio.files import Files
from harmonize.studio.guard import Limits, PageToken
from harmonize.studio.routes import Page

HOME = "127.0.0.1"
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]

logging.getLogger("uvicorn").addHandler(logging.NullHandler())  # else Python prints its warnings


def serve(
    painting: Path | None = None,
    element: Path | None = None,
    *,
    host: str = HOME,
    port: int = 0,
    on_ready: Callable[[str, Callable[[], None]], None] = lambda address, end: None,
    limits: Limits | None = None,
) -> None:
    """Serve the page until Ctrl-C; leave no file or thread.

    `on_ready` receives the address and what ends the server.
    """
    _address(host)
    pictures = {"painting": painting, "element": element}
    root = Path(tempfile.gettempdir())
    recovery.remove_empty(root)
    killed = recovery.find_session(root, list(pictures.values()))
    folder, tree = killed or (Path(tempfile.mkdtemp(prefix=recovery.PREFIX)), None)
    listener, ended = None, tree is None
    try:
        listener = _listen_again(host, port, tree)
        listener.listen(128)  # who comes early waits
        port = listener.getsockname()[1]
        page = Page(Files(folder, limits or Limits()), PageToken(), _hosts_of(host, port))
        _begin(page, tree, pictures)
        save = partial(recovery.save, page, (host, port), list(pictures.values()))
        save()
        page.files.on_change = page.tasks.on_change = save
        server = _Server(page)
        page.tasks.start()
        try:
            on_ready(f"http://{_host_in_url(host)}:{port}/?token={page.key.token}", server.end)
            ended = True
            server.run([listener])
        finally:
            page.tasks.close()
    finally:
        if listener is not None:
            listener.close()
        if ended:
            shutil.rmtree(folder, ignore_errors=True)


def _begin(page: Page, tree: dict[str, Any] | None, pictures: dict[str, Path | None]) -> None:
    if tree is not None:
        page.id = tree["id"]
        recovery.restore_session(page, tree)
        return
    for role, path in pictures.items():
        if path is not None:
            page.start[role] = page.files.add(role, path.absolute())


def _hosts_of(host: str, port: int) -> frozenset[str]:
    names = (
        {_host_in_url(host), "localhost"}
        if ipaddress.ip_address(host).is_loopback
        else {_host_in_url(host)}
    )
    return frozenset(f"{name}:{port}" for name in names)


def is_home(host: str) -> bool:
    """Tell whether an address is this machine's alone."""
    return _address(host).is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise InputError(
            f"`host={host}`: expected a numeric address of this machine, such as {HOME}"
        ) from None
    if address.is_unspecified:
        raise InputError(f"`host={host}`: name one address of this machine, not all of them")
    return address


def _host_in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if _address(host).version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{host}, port {port}: cannot listen there ({reason}); give another `port`"
        ) from error
    return listener


def _listen_again(host: str, port: int, tree: dict[str, Any] | None) -> socket.socket:
    # Where the killed studio did: its page keeps its state there.
    before = tree["address"] if tree else (host, 0)
    if port == 0 and before[0] == host:
        with contextlib.suppress(InputError):
            return _listen(host, before[1])
    return _listen(host, port)


class _Protocol(H11Protocol):
    patience = 30.0  # seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(self.patience, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():  # no request so far
            self.transport.close()


class _Server(uvicorn.Server):
    def __init__(self, page: Page) -> None:
        patience = {"patience": page.files.limits.patience}
        config = uvicorn.Config(
            page.app,
            http=type("Protocol", (_Protocol,), patience),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
            backlog=128,
        )
        super().__init__(config)
        self.page = page

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.end()

    def end(self) -> None:
        self.page.ending = self.page.tasks.closing = True
        recovery.forget(self.page)  # before the port is given up
        self.should_exit = True
