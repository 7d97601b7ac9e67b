"""The studio's server: it reads run folders, asks things of runs, and keeps nothing that a restart would lose."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import metadata, resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from saddle.config import parse_settings
from saddle.errors import ConfigError, SaddleError
from saddle.pages.comparison import compare, write_comparison
from saddle.runs.control import ask, wait_for
from saddle.runs.folder import RunFolder
from saddle.runs.reading import unsaid
from saddle.studio import asked, starting
from saddle.studio.answers import Refused, explained, status_of
from saddle.studio.asked import body_of, query_of
from saddle.studio.describing import describe, health_of
from saddle.studio.guard import App, Rules, guarded
from saddle.studio.library import Library

LONGEST_UPLOAD = 2**23  # bytes
_WAIT = 5.0  # seconds for a run to do what was asked
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"
_MEDIA = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FRESH = {"cache-control": "no-store"}

Answer = Mapping[str, Any] | list[Any]


def make_studio(folder: Path, rules: Rules, *, read_only: bool = False) -> App:
    """The application behind its guard.

    Args:
        folder: where the runs are, and where new ones are made.
        rules: who may ask.
        read_only: whether nothing may be started, steered or forked.
    """
    library, files = Library(folder), _static_files()
    player: list[Any] = []  # made when someone plays: torch takes seconds
    app = FastAPI(title="saddle studio", openapi_url=None, docs_url=None, redoc_url=None)
    for kind in (HTTPException, SaddleError, OSError, Exception):
        app.add_exception_handler(kind, _failed)

    def writes() -> None:
        if read_only:
            raise Refused(403, "this studio only reads", remedy="start it without --read-only")

    async def told(request: Request, make: Callable[[], Answer]) -> Response:
        """What ``make`` finds, as JSON, or that it is the same as what the page has."""
        content = json.dumps(await asyncio.to_thread(make), allow_nan=False).encode()
        tag = f'"{sha256(content).hexdigest()[:24]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=_FRESH)
        return Response(content, media_type="application/json", headers={**_FRESH, "etag": tag})

    @app.get("/")
    @app.get("/static/{name}")
    async def static(name: str = "index.html") -> Response:
        if name not in files:
            raise Refused(404, "there is no such file")
        headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
        return Response(files[name], media_type=_MEDIA[Path(name).suffix], headers=headers)

    @app.get("/api/runs")
    async def runs(request: Request) -> Response:
        about = {"folder": str(folder), "read_only": read_only, "version": metadata.version("saddle")}
        return await told(request, lambda: {**about, "runs": library.list()})

    @app.get("/api/run")
    async def run(request: Request) -> Response:
        found = library.find(query_of(asked.OfRun, request).run)
        return await told(request, lambda: describe(library, found))

    @app.get("/api/curves")
    async def curves(request: Request) -> Response:
        query = query_of(asked.CurvesQuery, request)
        found = library.find(query.run)

        def make() -> Answer:
            known = (query.life, query.width, query.start)
            known_scores = (query.scores_life, query.scores_width, query.scores_start)
            parts = library.curves(found, known, known_scores)
            return {**parts, "health": health_of(library.follow(found))}

        return await told(request, make)

    @app.get("/api/window")
    async def window(request: Request) -> Response:
        query = query_of(asked.WindowQuery, request)
        found = library.find(query.run)
        return await told(request, lambda: {"log": library.window(found, query.first, query.last)})

    @app.get("/api/picture")
    async def picture(request: Request) -> Response:
        from saddle.pages.pictures import read_picture

        query = query_of(asked.PictureQuery, request)
        found = library.find(query.run)
        path = found.data_preview if query.name == "data" else found.sample_grid(int(query.name))
        if path.parent.is_symlink():
            raise Refused(404, "there is no such picture")
        file = await asyncio.to_thread(read_picture, path, unsaid)
        if file is None:
            raise Refused(404, "there is no such picture")
        return Response(file.content, media_type="image/png", headers=_FRESH)

    @app.get("/api/thumbnail")
    async def thumbnail(request: Request) -> Response:
        found = library.find(query_of(asked.OfRun, request).run)
        content = await asyncio.to_thread(library.thumbnail, found)
        if content is None:
            raise Refused(404, "this run has no picture yet")
        return Response(content, media_type="image/png", headers=_FRESH)

    @app.get("/api/compare")
    async def comparison(request: Request) -> Response:
        query = query_of(asked.CompareQuery, request)
        found = [library.find(name).path for name in (query.a, query.b)]

        def make() -> bytes:
            with TemporaryDirectory() as place:
                out = Path(place) / "compare.html"
                write_comparison(compare(found), out)
                return out.read_bytes()

        headers = {"content-security-policy": _PAGE_POLICY, **_FRESH}
        return Response(await asyncio.to_thread(make), media_type="text/html", headers=headers)

    @app.get("/api/recipes")
    async def recipes(request: Request) -> Response:
        return await told(request, lambda: {"recipes": starting.recipes()})

    @app.post("/api/form")
    async def form(request: Request) -> Response:
        body = await body_of(asked.FormBody, request)
        return await told(request, lambda: starting.form(body.recipe, body.settings))

    @app.get("/api/started")
    async def started(request: Request) -> Response:
        name = query_of(asked.OfRun, request).run
        return await told(request, lambda: starting.started(library, name, starting.PROCESSES))

    @app.post("/api/start")
    async def start(request: Request) -> Response:
        writes()
        body = await body_of(asked.StartBody, request)
        return await told(request, lambda: starting.start(library, body.recipe, body.out, body.settings))

    @app.post("/api/continue")
    async def go_on(request: Request) -> Response:
        writes()
        body = await body_of(asked.OfRun, request)
        return await told(request, lambda: starting.resume(library, body.run))

    @app.post("/api/ask")
    async def steer(request: Request) -> Response:
        writes()
        body = await body_of(asked.AskBody, request)
        found = library.find(body.run)
        return await told(request, lambda: {"met": _ask(found, body)})

    @app.post("/api/fork")
    async def fork(request: Request) -> Response:
        writes()
        body = await body_of(asked.ForkBody, request)
        found, out = library.find(body.run), starting.new_place(library, body.out)

        def make() -> Answer:
            from saddle.api import fork as make_fork

            made = make_fork(found.path, out=out, at=body.at, settings=_settings(body.settings))
            return {"name": body.out, "images": made.status.images}

        return await told(request, make)

    @app.get("/api/play/{what}")
    async def play(request: Request, what: str) -> Response:
        query = query_of(asked.PlayQuery, request)
        found = library.find(query.run)

        def make() -> Answer | tuple[bytes, str]:
            plays, best = _player(player), query.best
            match what:
                case "info":
                    return plays.info(found, best)
                case "samples":
                    return plays.samples(
                        found, best, query.seed, query.first, query.count, query.truncation, query.parts
                    )
                case "download":
                    chosen = query.seed, query.count, query.truncation, query.parts
                    return plays.download(found, best, query.format, *chosen)
                case "between":
                    return plays.between(found, best, query.start, query.end, query.steps, query.parts)
                case "arithmetic":
                    return plays.arithmetic(found, best, query.sum, query.parts)
                case "nearest":
                    return plays.nearest(found, best, query.seed, query.count)
                case _:
                    raise Refused(404, "there is no such thing to play with")

        answer = await asyncio.to_thread(make)
        if isinstance(answer, tuple):
            return Response(answer[0], media_type=answer[1], headers=_FRESH)
        return await told(request, lambda: answer)

    @app.post("/api/play/invert")
    async def invert(request: Request) -> Response:
        asked.check_mark(request)
        query, content = query_of(asked.PlayQuery, request), await request.body()
        found = library.find(query.run)
        return await told(request, lambda: _player(player).invert(found, query.best, content))

    paths = frozenset({"/", *(f"/static/{name}" for name in files)})
    return guarded(app, rules._replace(open_paths=paths, longest_body=LONGEST_UPLOAD))


def _player(made: list[Any]) -> Any:
    if not made:
        from saddle.studio.playing import Player

        made.append(Player())
    return made[0]


def _ask(run: RunFolder, body: asked.AskBody) -> bool:
    if run.control.is_symlink():
        raise Refused(422, f"{run.control.name} of this run is a link", expected="a folder, or nothing")
    return wait_for(ask(run, body.do, _settings(body.settings), body.to), _WAIT)


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
