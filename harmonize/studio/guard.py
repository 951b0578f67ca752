"""Who may ask the server, for how much."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request, cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harmonize.images.decoding.decode import pixel_limit

READS = ("GET", "HEAD")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Limits:
    """What a session takes in."""

    upload: int = 1 << 30  # bytes of a file
    pixels: int = field(default_factory=pixel_limit)
    total: int = 8 << 30  # bytes of all
    files: int = 1000
    text: int = 1 << 20  # bytes of what the page asks
    patience: float = 30.0  # seconds between two pieces


class PageToken:
    """A token for one opening, then a cookie."""

    def __init__(self) -> None:
        self.token: str | None = secrets.token_urlsafe(32)
        self.cookie = secrets.token_urlsafe(32)

    def spend(self, token: str) -> bool:
        if self.token is None or not _equal(token, self.token):
            return False
        self.token = None
        return True

    def knows(self, cookie: str | None) -> bool:
        return cookie is not None and _equal(cookie, self.cookie)


def _equal(given: str, known: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), known.encode())


class Guard:
    """Middleware that answers the session's own page alone.

    The Host must be one of `hosts`, and a write's Origin theirs. The address's token sets a cookie
    that all else needs.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], key: PageToken) -> None:
        self.app = app
        self.hosts = hosts
        self.origins = frozenset(f"http://{host}" for host in hosts)
        self.key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        reason = self._refused(scope, headers)
        cookie = None if reason else self._cookie(scope, headers)
        if reason is None and cookie is None:
            reason = (
                "This page belongs to another session, or its address was used already. "
                "Start harmonize studio again and open the address that it prints."
            )
        answer: ASGIApp = PlainTextResponse(reason, 403) if reason else self.app
        await answer(scope, receive, _with_headers(send, cookie or None))

    def _refused(self, scope: Scope, headers: Headers) -> str | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return "This address is not the studio's."
        site = headers.get("sec-fetch-site")
        if scope["method"] not in READS:
            if headers.get("origin") not in self.origins or site not in (None, "same-origin"):
                return "Only the studio's own page may change anything."
        elif site not in (None, "same-origin", "none") and scope["path"] != "/":
            return "Only the studio's own page may ask for this."
        return None

    # The cookie to set: empty if it is there, None if it may not be had.
    def _cookie(self, scope: Scope, headers: Headers) -> str | None:
        name = self.cookie_name(headers["host"])
        if self.key.knows(cookie_parser(headers.get("cookie", "")).get(name)):
            return ""
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and scope["method"] == "GET" and self.key.spend(token):
            return f"{name}={self.key.cookie}; Path=/; HttpOnly; SameSite=Strict"
        return None

    @staticmethod
    def cookie_name(host: str) -> str:
        # Browsers share cookies among a host's ports.
        return f"harmonize-{host.rpartition(':')[2]}"


def _with_headers(send: Send, cookie: str | None) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if cookie:
                headers.append("Set-Cookie", cookie)
        await send(message)

    return wrapped


async def chunks(request: Request, most: int, patience: float) -> AsyncIterator[bytes]:
    """Yield a body of at most `most` bytes; each piece within `patience` seconds."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > most:
        raise _body_too_large(most)
    stream, count = request.stream().__aiter__(), 0
    while True:
        try:
            chunk = await asyncio.wait_for(stream.__anext__(), patience)
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError as error:  # noqa: UP041 - another class before Python 3.11
            raise HTTPException(408, "The upload stood still; try again.", _CLOSE) from error
        count += len(chunk)
        if count > most:
            raise _body_too_large(most)
        yield chunk


_CLOSE = {"Connection": "close"}  # what is left of the body is never read


def _body_too_large(most: int) -> HTTPException:
    return HTTPException(413, f"More than {show_bytes(most)}; make it smaller.", _CLOSE)


def show_bytes(count: int) -> str:
    """Return bytes as people say them."""
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
