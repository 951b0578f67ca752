"""Answer what the page asks for."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from harmonize import __version__
from harmonize.errors import HarmonizeError, InputError
from harmonize.settings.load import Settings, about, presets
from harmonize.studio import cutting, painting, results
from harmonize.studio.files import (
    MISREAD,
    File,
    Files,
    alpha_of,
    part_of,
    safe_name,
    sample,
    samples,
    thumbnail,
)
from harmonize.studio.guard import Guard, PageToken, chunks
from harmonize.studio.tasks import Task, Tasks

KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
BEAT = 0.1  # seconds between two looks at what changed
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(eq=False)
class Page:
    """The server's side of a session."""

    files: Files
    key: PageToken
    hosts: frozenset[str]
    start: dict[str, File] = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_urlsafe(8))
    ending: bool = False
    _cutting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.studio = painting.Studio(self.files)
        self.tasks = Tasks(self.studio.paint)

    @property
    def app(self) -> Starlette:
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.page),
            ("GET", "/assets/{name}", self.asset),
            ("GET", "/api/session", self.session),
            ("GET", "/api/events", self.events),
            ("POST", "/api/files", self.upload),
            ("POST", "/api/samples", self.sample),
            ("GET", "/api/samples/{name}", self.sample_view),
            ("GET", "/api/files/{id}/{kind}", self.picture),
            ("POST", "/api/cutout", self.cut),
            ("POST", "/api/palette", self.palette),
            ("POST", "/api/warm", self.warm),
            ("POST", "/api/tasks", self.ask),
            ("POST", "/api/tasks/{id}/stop", self.stop),
            ("GET", "/api/tasks/{id}/{kind}", self.result),
        ]
        return Starlette(
            routes=[Route(path, handler, methods=[way]) for way, path, handler in routes],
            middleware=[Middleware(Guard, hosts=self.hosts, key=self.key)],
            exception_handlers={
                HarmonizeError: self._mistake,
                HTTPException: _http,
                Exception: _crash,
            },
        )

    # --- the page -----------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        return _asset("index.html")

    async def asset(self, request: Request) -> Response:
        return _asset(request.path_params["name"])

    async def session(self, request: Request) -> Response:
        version, tasks, _ = self.tasks.since(-1)
        return JSONResponse(
            {
                "id": self.id,
                "version": __version__,
                "presets": [{"name": name, "about": about(name)} for name in presets()],
                "samples": [{"name": name, "role": role} for name, (_, role) in samples().items()],
                "files": [file.facts for file in self.files.all],
                "defaults": {"keep_color": Settings.preset().keep_color},
                "start": {role: file.facts for role, file in self.start.items()},
                "limits": {"upload": self.files.limits.upload},
                "tasks": [task.told for task in tasks],
                "tasks_version": version,
            }
        )

    async def events(self, request: Request) -> Response:
        return StreamingResponse(self._changes(), media_type="text/event-stream")

    async def _changes(self) -> AsyncIterator[str]:
        seen, quiet = -1, 0.0
        while not self.ending:
            if self.tasks.version != seen:
                seen, changed, known = self.tasks.since(seen)
                told = {"changed": [task.told for task in changed], "known": known}
                yield f"data: {json.dumps(told)}\n\n"
                quiet = 0.0
            elif quiet >= 15:
                yield ": still here\n\n"
                quiet = 0.0
            await asyncio.sleep(BEAT)
            quiet += BEAT

    # --- pictures -----------------------------------------------------------------------------

    async def upload(self, request: Request) -> Response:
        role, name = (request.query_params.get(key, "") for key in ("role", "name"))
        limits = self.files.limits
        path = self.files.room(name)
        try:
            with open(path, "wb") as file:
                async for chunk in chunks(request, limits.upload, limits.patience):
                    await run_in_threadpool(file.write, chunk)
            taken = await run_in_threadpool(self.files.add, role, path)
        except BaseException:
            self.files.discard(path)
            raise
        return JSONResponse(taken.facts)

    async def sample(self, request: Request) -> Response:
        path, role = sample((await self._json(request)).get("name"))
        return JSONResponse((await run_in_threadpool(self.files.add, role, path)).facts)

    async def sample_view(self, request: Request) -> Response:
        path, _ = sample(request.path_params["name"])
        data = await run_in_threadpool(thumbnail, path)
        return _image_response(data)

    async def picture(self, request: Request) -> Response:
        file = self.files.get(request.path_params["id"])
        kind = request.path_params["kind"]
        if kind == "file":
            return _download(file.path, file.name)
        if kind == "mask":
            data = await run_in_threadpool(alpha_of, file.path)
            return Response(data, headers=_attachment(f"{file.path.stem}-mask.png"))
        if kind == "pixels":
            return await self._pixels(request, file.path)
        views = {"view": file.view, "shown": file.shown or file.view}
        return _image_response(views.get(kind))

    async def cut(self, request: Request) -> Response:
        tree = await self._json(request)
        asked = cutting.cut_of(tree, self.files)
        if tree.get("whole"):
            file = await run_in_threadpool(cutting.whole_element, asked, self.files)
            return JSONResponse(file.facts)
        async with self._cutting:
            if await request.is_disconnected():  # the hand has gone on meanwhile
                return Response(status_code=204)
            data, facts = await run_in_threadpool(cutting.quick, asked)
        return Response(data, media_type="image/png", headers={"X-Mask": json.dumps(facts)})

    # --- pictures to be painted ---------------------------------------------------------------

    async def palette(self, request: Request) -> Response:
        asked = results.asked_of(await self._json(request), self.files)
        found = await run_in_threadpool(self.studio.palette, asked)
        if found is None:  # there will be a later one
            return Response(status_code=204)
        data, window = found
        return Response(data, media_type="image/png", headers={"X-Window": json.dumps(window)})

    async def warm(self, request: Request) -> Response:
        painting = self.files.get((await self._json(request)).get("painting"))
        await run_in_threadpool(self.studio.warm, painting)
        return Response(status_code=204)

    async def ask(self, request: Request) -> Response:
        tree = await self._json(request)
        asked = results.asked_of(tree, self.files)
        await run_in_threadpool(
            self.studio.session, asked.preset, **asked.options
        )  # a wrong setting is told at once
        facts = {"asked": {key: tree.get(key) for key in results.KEYS}}
        return JSONResponse(self.tasks.add(asked, facts).told)

    async def stop(self, request: Request) -> Response:
        task = self._task(request)
        self.tasks.stop(task)
        return JSONResponse(task.told)

    async def result(self, request: Request) -> Response:
        task, kind = self._task(request), request.path_params["kind"]
        if kind == "growing":
            return _image_response(task.picture)
        kept: results.Kept | None = task.kept
        if kept is None:
            raise InputError("this picture is not finished yet; wait for it")
        if kind == "view":
            return _image_response(kept.view)
        if kind == "pixels":
            return await self._pixels(request, kept.picture)
        if kind == "command":
            return JSONResponse({"command": results.command_of(kept, self.files)})
        if kind == "record":
            data = results.record_for(kept, self.files)
            return Response(data, headers=_attachment(f"{kept.picture.stem}.json"))
        if kind == "zip":
            path = await run_in_threadpool(results.bundle, kept, self.files)
            return _download(path, path.name)
        path_of = kept.formats.get(kind)
        if path_of is None:
            raise HTTPException(404)
        return _download(path_of, path_of.name)

    async def _pixels(self, request: Request, path: Path) -> Response:
        box = [
            int(part) for part in request.query_params.get("box", "").split(",") if part.isdecimal()
        ]
        if len(box) != 4:
            raise HTTPException(404)
        return _image_response(await run_in_threadpool(part_of, path, tuple(box)))

    async def _mistake(self, request: Request, error: Exception) -> Response:
        lines = error.lines if isinstance(error, HarmonizeError) else [str(error)]
        return JSONResponse({"error": self.files.without_folder(" ".join(lines))}, 400)

    def _task(self, request: Request) -> Task:
        return self.tasks.get(request.path_params["id"])

    async def _json(self, request: Request) -> dict[str, Any]:
        limits, parts = self.files.limits, []
        async for chunk in chunks(request, limits.text, limits.patience):
            parts.append(chunk)
        try:
            tree = json.loads(b"".join(parts))
        except (ValueError, RecursionError):
            tree = None
        if not isinstance(tree, dict):
            raise InputError(MISREAD)
        return tree


_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}  # what an id shows never changes


def _assets() -> dict[str, tuple[bytes, str]]:
    folder = package_files("harmonize.studio") / "pages"
    return {
        item.name: (item.read_bytes(), KINDS[Path(item.name).suffix])
        for item in folder.iterdir()
        if Path(item.name).suffix in KINDS
    }


def _asset(name: str) -> Response:
    found = _assets().get(name)
    if found is None:
        raise HTTPException(404)
    return Response(found[0], media_type=found[1])


def _image_response(data: bytes | None) -> Response:
    if data is None:
        raise HTTPException(404)
    kinds = {b"\x89PNG": "png", b"\xff\xd8\xff\xe0": "jpeg", b"RIFF": "webp"}
    return Response(data, media_type=f"image/{kinds[data[:4]]}", headers=_KEEP)


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{_quoted(name)}"}


def _quoted(name: str) -> str:
    return "".join(f"%{byte:02X}" for byte in safe_name(name).encode())


def _download(path: Path, name: str) -> Response:
    return FileResponse(path, headers=_attachment(name), media_type="application/octet-stream")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _crash(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)
    return JSONResponse({"error": f"This should not have happened: {error!r}"}, 500)
