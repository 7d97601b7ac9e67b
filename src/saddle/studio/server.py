"""The studio's server: it reads run folders, asks things of runs, and keeps nothing that a restart would lose."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from saddle.config import parse_settings
from saddle.errors import ConfigError, SaddleError
from saddle.pages.comparison import compare, write_comparison
from saddle.pages.pictures import read_picture
from saddle.runs.control import ask, wait_for
from saddle.runs.reading import unsaid
from saddle.studio import asked, starting
from saddle.studio.answers import Refused, explained, status_of
from saddle.studio.asked import body_of, query_of
from saddle.studio.describing import describe, health_of
from saddle.studio.guard import App, Rules, guarded
from saddle.studio.library import Library

LONGEST_UPLOAD = 2**23  # bytes
_MOMENT = 0.5  # seconds in which equal questions get equal answers
_WAIT = 5.0  # seconds for a run to do what was asked
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"
_MEDIA = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FRESH = {"cache-control": "no-store"}

Answer = Mapping[str, Any]
Handler = Callable[[Request], Awaitable[Response]]


def make_studio(folder: Path, rules: Rules, *, read_only: bool = False) -> App:
    """The application behind its guard.

    Args:
        folder: where the runs are, and where new ones are made.
        rules: who may ask.
        read_only: whether nothing may be started, steered or forked.
    """
    files, studio = _static_files(), _Studio(folder, read_only=read_only)
    app = FastAPI(title="saddle studio", openapi_url=None, docs_url=None, redoc_url=None)
    for kind in (HTTPException, SaddleError, OSError, Exception):
        app.add_exception_handler(kind, _failed)

    async def static(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            raise Refused(404, "there is no such file")
        headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
        return Response(files[name], media_type=_MEDIA[Path(name).suffix], headers=headers)

    app.add_route("/", static)
    app.add_route("/static/{name}", static)
    for path, handler in studio.reads().items():
        app.add_route(f"/api/{path}", handler)
    for path, handler in studio.writes().items():
        app.add_route(f"/api/{path}", handler, methods=["POST"])
    paths = frozenset({"/", *(f"/static/{name}" for name in files)})
    return guarded(app, rules._replace(open_paths=paths, longest_body=LONGEST_UPLOAD))


class _Studio:
    """What the page asks, by address.

    Args:
        folder: where the runs are.
        read_only: whether nothing may be started, steered or forked.
    """

    def __init__(self, folder: Path, *, read_only: bool) -> None:
        self._library = Library(folder)
        self._read_only = read_only
        self._answers = Answers()
        self._made: list[Any] = []  # who plays, once someone does: torch takes seconds

    def reads(self) -> dict[str, Handler]:
        return {
            "runs": self._runs, "run": self._run, "curves": self._curves, "window": self._window,
            "picture": self._picture, "thumbnail": self._thumbnail, "compare": self._compare,
            "recipes": self._recipes, "started": self._started, "play/{what}": self._play,
        }  # fmt: skip

    def writes(self) -> dict[str, Handler]:
        return {
            "form": self._form, "start": self._start, "continue": self._continue, "ask": self._ask,
            "fork": self._fork, "play/invert": self._invert,
        }  # fmt: skip

    def _about(self) -> dict[str, Any]:
        return {"folder": str(self._library.folder), "read_only": self._read_only}

    def _check_writes(self) -> None:
        if self._read_only:
            raise Refused(403, "this studio only reads", remedy="start it without --read-only")

    async def _told(self, request: Request, make: Callable[[], Answer]) -> Response:
        """What ``make`` finds, as JSON; nothing where it is the same as what the page has."""
        content, tag = await self._answers.get(str(request.url) if request.method == "GET" else None, make)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=204, headers=_FRESH)
        return Response(content, media_type="application/json", headers={**_FRESH, "etag": tag})

    async def _runs(self, request: Request) -> Response:
        return await self._told(request, lambda: {**self._about(), "runs": self._library.list()})

    async def _run(self, request: Request) -> Response:
        found = self._library.find(query_of(asked.OfRun, request).run)
        return await self._told(request, lambda: {**self._about(), **describe(self._library, found)})

    async def _curves(self, request: Request) -> Response:
        query = query_of(asked.CurvesQuery, request)
        found = self._library.find(query.run)

        def make() -> Answer:
            known = (query.life, query.width, query.start)
            known_scores = (query.scores_life, query.scores_width, query.scores_start)
            parts = self._library.curves(found, known, known_scores)
            return {**parts, "health": health_of(self._library.follow(found))}

        return await self._told(request, make)

    async def _window(self, request: Request) -> Response:
        query = query_of(asked.WindowQuery, request)
        found = self._library.find(query.run)
        return await self._told(request, lambda: {"log": self._library.window(found, query.first, query.last)})

    async def _picture(self, request: Request) -> Response:
        query = query_of(asked.PictureQuery, request)
        found = self._library.find(query.run)
        path = found.data_preview if query.name == "data" else found.sample_grid(int(query.name))
        file = None if path.parent.is_symlink() else await asyncio.to_thread(read_picture, path, unsaid)
        if file is None:
            raise Refused(404, "there is no such picture")
        return Response(file.content, media_type="image/png", headers=_FRESH)

    async def _thumbnail(self, request: Request) -> Response:
        found = self._library.find(query_of(asked.OfRun, request).run)
        content = await asyncio.to_thread(self._library.thumbnail, found)
        if content is None:
            raise Refused(404, "this run has no picture yet")
        return Response(content, media_type="image/png", headers=_FRESH)

    async def _compare(self, request: Request) -> Response:
        query = query_of(asked.CompareQuery, request)
        found = [self._library.find(name).path for name in (query.a, query.b)]

        def make() -> bytes:
            with TemporaryDirectory() as place:
                out = Path(place) / "compare.html"
                write_comparison(compare(found), out)
                return out.read_bytes()

        headers = {"content-security-policy": _PAGE_POLICY, **_FRESH}
        return Response(await asyncio.to_thread(make), media_type="text/html", headers=headers)

    async def _recipes(self, request: Request) -> Response:
        return await self._told(request, lambda: {"recipes": starting.recipes()})

    async def _form(self, request: Request) -> Response:
        body = await body_of(asked.FormBody, request)
        return await self._told(request, lambda: starting.form(body.recipe, body.settings))

    async def _started(self, request: Request) -> Response:
        name = query_of(asked.OfRun, request).run
        return await self._told(request, lambda: starting.started(self._library, name))

    async def _start(self, request: Request) -> Response:
        self._check_writes()
        body = await body_of(asked.StartBody, request)
        return await self._told(request, lambda: starting.start(self._library, body.recipe, body.out, body.settings))

    async def _continue(self, request: Request) -> Response:
        self._check_writes()
        body = await body_of(asked.OfRun, request)
        return await self._told(request, lambda: starting.resume(self._library, body.run))

    async def _ask(self, request: Request) -> Response:
        self._check_writes()
        body = await body_of(asked.AskBody, request)
        found = self._library.find(body.run)
        if found.control.is_symlink():
            raise Refused(422, f"{found.control.name} of this run is a link", expected="a folder, or nothing")
        return await self._told(
            request, lambda: {"met": wait_for(ask(found, body.do, _settings(body.settings), body.to), _WAIT)}
        )

    async def _fork(self, request: Request) -> Response:
        self._check_writes()
        body = await body_of(asked.ForkBody, request)
        found, out = self._library.find(body.run), starting.new_place(self._library, body.out)

        def make() -> Answer:
            from saddle.api import fork

            made = fork(found.path, out=out, at=body.at, settings=_settings(body.settings))
            return {"name": body.out, "images": made.status.images}

        return await self._told(request, make)

    async def _play(self, request: Request) -> Response:
        query, what = query_of(asked.PlayQuery, request), request.path_params["what"]
        found = self._library.find(query.run)
        if what == "download":
            content, media = await asyncio.to_thread(lambda: self._player().download(found, query))
            return Response(content, media_type=media, headers=_FRESH)
        if what not in ("info", "samples", "between", "arithmetic", "nearest", "landscape"):
            raise Refused(404, "there is no such thing to play with")
        return await self._told(request, lambda: getattr(self._player(), what)(found, query))

    async def _invert(self, request: Request) -> Response:
        asked.check_mark(request)
        query, content = query_of(asked.PlayQuery, request), await request.body()
        found = self._library.find(query.run)
        return await self._told(request, lambda: self._player().invert(found, query, content))

    def _player(self) -> Any:
        if not self._made:
            from saddle.studio.playing import Player

            self._made.append(Player())
        return self._made[0]


class Answers:
    """What was told a moment ago is told to all pages that ask the same: fifty of them cost little more than one."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, asyncio.Task[tuple[bytes, str]]]] = {}

    async def get(self, key: str | None, make: Callable[[], Answer]) -> tuple[bytes, str]:
        """What ``make`` finds as JSON, and a tag that equal answers share; without a key, all is forgotten before."""
        now = time.monotonic()
        self._told = {} if key is None else {k: told for k, told in self._told.items() if now - told[0] < _MOMENT}
        if key is None or key not in self._told:
            task = asyncio.create_task(asyncio.to_thread(_encoded, make))
            if key is None:
                return await task
            self._told[key] = now, task
        return await asyncio.shield(self._told[key][1])


def _encoded(make: Callable[[], Answer]) -> tuple[bytes, str]:
    content = json.dumps(make(), allow_nan=False).encode()
    return content, f'"{sha256(content).hexdigest()[:24]}"'


def _settings(given: Mapping[str, str]) -> dict[str, Any]:
    return parse_settings(f"{key}={text}" for key, text in given.items())


def _static_files() -> dict[str, bytes]:
    folder = resources.files("saddle.studio") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if Path(file.name).suffix in _MEDIA}


async def _failed(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = Refused(error.status_code, "there is nothing here")
    elif isinstance(error, OSError):
        error = Refused(409, "the folder cannot be read or written", got=error.strerror or str(error))
    elif not isinstance(error, SaddleError):
        error = Refused(500, "this failed for a reason that nobody foresaw", remedy="see what the server wrote")
    elif isinstance(error, ConfigError) and error.details:
        error = Refused(422, error.what, expected=error.expected, got="; ".join(error.details), remedy=error.remedy)
    return Response(explained(error), status_of(error), media_type="application/json", headers=_FRESH)
