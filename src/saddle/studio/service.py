"""The service of one generator: samples, interpolations, and what it says of itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from torch import Tensor

from saddle.base.suggest import suggest
from saddle.errors import SaddleError
from saddle.runs.folder import RunFolder
from saddle.studio.answers import Refused, explained, status_of
from saddle.studio.batching import Batcher, Wanted
from saddle.studio.drawing import (
    MEDIA,
    Form,
    check_form,
    check_size,
    chosen_classes,
    encoded,
    largest,
    numbered_samples,
)
from saddle.studio.guard import App, Message, Receive, Rules, Send, guarded
from saddle.studio.measured import Measured
from saddle.studio.reference import POLICY, page
from saddle.trained.generator import Generator
from saddle.trained.inputs import check_latents_alone
from saddle.trained.walks import parse_place, way_between

_SMALL = 2**14  # values: an answer of more is encoded in another thread, so that the others do not wait
_LARGEST_SEED = 2**63 - 1
_COLUMNS = 32  # of a grid whose rows go through the classes, at most
OPEN_PATHS = frozenset({"/health"})


class SamplesQuery(BaseModel):
    """What /samples is asked."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(1, ge=1, description="How many samples.")
    seed: int = Field(0, ge=0, le=_LARGEST_SEED, description="Decides the latents: equal seed, equal samples.")
    first: int = Field(0, ge=0, le=2**53, description="The number of the first sample among those of the seed.")
    label: str | None = Field(None, max_length=1000, description="One class, by name or index.")
    labels: str | None = Field(
        None, max_length=10_000, description="Several classes in turn: A,B,... or balanced, which are all of them."
    )
    truncation: float = Field(1.0, gt=0, le=1, description="Smaller: more typical, less varied samples.")
    format: Form = Field("png", description="A picture, a zip of single PNGs, an array, or numbers.")


class InterpolateQuery(BaseModel):
    """What /interpolate is asked."""

    model_config = ConfigDict(extra="forbid")

    start: str = Field("1", max_length=100, description="The first latent: SEED or SEED:NUMBER.")
    end: str | None = Field(None, max_length=100, description="The last one. Without it, it stays the same.")
    steps: int = Field(10, ge=2, description="Samples, both ends included.")
    space: str | None = Field(None, max_length=20, description="spherical or linear: how latents are joined.")
    label: str | None = Field(None, max_length=1000, description="The class, by name or index.")
    end_label: str | None = Field(
        None, max_length=1000, description="The class at the end; on the way, both are mixed."
    )
    format: Form = Field("png", description="A strip, a zip of single PNGs, an array, or numbers.")


Asked = TypeVar("Asked", bound=BaseModel)


class Source:
    """The file that a generator was loaded from, and what has become of it since.

    Args:
        path: a run folder or a generator file.
    """

    def __init__(self, path: Path) -> None:
        self._file = RunFolder(path).generator if path.is_dir() else path
        self._stamp = self._look()
        self.sha256 = sha256(self._file.read_bytes()).hexdigest()

    @property
    def state(self) -> str:
        """``unchanged``, ``replaced`` or ``gone``; the service goes on with what it loaded."""
        now = self._look()
        return "gone" if now is None else "unchanged" if now == self._stamp else "replaced"

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def make_service(generator: Generator, source: Source, rules: Rules, *, most: int = 4096) -> App:
    """The application that answers for a generator, behind its guard.

    Args:
        generator: it makes samples of latents.
        source: where it came from.
        rules: who may ask.
        most: samples in one answer.

    Raises:
        ConfigError: the generator learned from pairs.
    """
    check_latents_alone(generator.header)
    batcher, measured, header = Batcher(generator), Measured(), generator.header

    @asynccontextmanager
    async def alive(_: FastAPI) -> AsyncGenerator[None]:
        work = asyncio.create_task(batcher.work())
        yield
        work.cancel()

    app = FastAPI(
        title=f"saddle serve: {header.recipe}",
        version=metadata.version("saddle"),
        description="Samples of one trained generator. Equal requests get equal bytes.",
        docs_url=None,
        redoc_url=None,
        lifespan=alive,
    )
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(SaddleError, _failed)
    app.add_exception_handler(Exception, _unforeseen)

    async def answer(request: Request, wanted: Wanted, form: Form, columns: int | None) -> Response:
        drawing = batcher.draw(wanted)
        samples = await (drawing if len(wanted.latents) <= batcher.rows else _unless_gone(request, drawing))
        if samples.numel() <= _SMALL:
            content = encoded(samples, wanted.labels, form, columns=columns)
        else:
            content = await asyncio.to_thread(encoded, samples, wanted.labels, form, columns=columns)
        return Response(content, media_type=MEDIA[form], headers={"cache-control": "no-store"})

    @app.get("/samples", response_class=Response, openapi_extra=_described(SamplesQuery))
    async def samples(request: Request) -> Response:
        """Draw samples by seed and number: sample n of a seed is the same in every request."""
        query = _read(SamplesQuery, request)
        check_form(generator, query.format)
        check_size(query.count, most, generator.shape, query.format)
        labels = chosen_classes(generator, query.label, query.labels)
        wanted = numbered_samples(generator, query.count, query.seed, query.first, labels, query.truncation)
        columns = None
        if query.count > 1 and wanted.labels is not None:
            classes = len(wanted.labels.unique())
            columns = classes if 1 < classes <= _COLUMNS else None
        return await answer(request, wanted, query.format, columns)

    @app.get("/interpolate", response_class=Response, openapi_extra=_described(InterpolateQuery))
    async def interpolate(request: Request) -> Response:
        """Samples on the way from one latent to another, or from one class to another."""
        query = _read(InterpolateQuery, request)
        check_form(generator, query.format)
        check_size(query.steps, most, generator.shape, query.format)
        start, end = parse_place(query.start), None if query.end is None else parse_place(query.end)
        names = {"label": query.label, "last_label": query.end_label}
        wanted = Wanted(*way_between(generator, start, end, query.steps, space=query.space, **names))
        return await answer(request, wanted, query.format, query.steps)

    @app.get("/info")
    async def info() -> dict[str, Any]:
        """The generator, its classes and latents, the limits, and the hash of the file that it was loaded from."""
        return {
            "recipe": header.recipe,
            "images_seen": header.images_seen,
            "kind": header.kind,
            "shape": header.shape,
            "classes": header.class_names,
            "latent": header.latent.model_dump(),
            "most": {form: largest(most, generator.shape, form) for form in MEDIA},
            "rows_of_a_pass": batcher.rows,
            "sha256": source.sha256,
            "file": source.state,
            "saddle": metadata.version("saddle"),
        }

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Answered without a token; it says whether the generator's file was replaced since it was read, or is gone."""
        return {"status": "ok", "file": source.state}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counts and times since the start, in Prometheus's text format."""
        text = measured.text(
            samples_total=("counter", "Samples made.", batcher.samples),
            passes_total=("counter", "Passes of the generator.", batcher.passes),
            waiting_samples=("gauge", "Samples asked for and not yet handed over.", batcher.waiting),
        )
        return Response(text, media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        content = page(app.openapi())
        return Response(content, media_type="text/html", headers={"content-security-policy": POLICY})

    known = frozenset({*app.openapi()["paths"], "/openapi.json", "/docs", "/"})
    return _counted(guarded(app, rules._replace(open_paths=OPEN_PATHS)), measured, known)


def _counted(app: App, measured: Measured, paths: frozenset[str]) -> App:
    """``app``, of which every answer is counted."""

    async def counted(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        began, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            return await app(scope, receive, noting)
        finally:
            path = scope["path"] if scope["path"] in paths else "other"
            measured.count(path, status, time.perf_counter() - began)

    return counted


async def _unless_gone(request: Request, drawing: Coroutine[Any, Any, Tensor]) -> Tensor:
    """What ``drawing`` gives; where the client leaves before, nothing more is drawn for it.

    Raises:
        Refused: it has left, and nobody gets this answer.
    """

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    drawn, left = asyncio.ensure_future(drawing), asyncio.ensure_future(leave())
    try:
        await asyncio.wait((drawn, left), return_when=asyncio.FIRST_COMPLETED)
        if not drawn.done():
            raise Refused(499, "the client has left")
        return drawn.result()
    finally:
        left.cancel()
        drawn.cancel()


def _read(kind: type[Asked], request: Request) -> Asked:
    """The parameters of a request. FastAPI would read them too, but takes as long for it as the sample does.

    Raises:
        Refused: one of them is unknown, given twice, or not what it should be.
    """
    given = request.query_params
    if len(given.multi_items()) > len(given):
        raise Refused(422, "a parameter is given twice", expected="each at most once")
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "the request"
        if first["type"] == "extra_forbidden":
            what, remedy = f"there is no parameter {name}", suggest(name, kind.model_fields)
            raise Refused(422, what, expected="those on the page /docs", remedy=remedy) from None
        what = f"the parameter {name} cannot be used"
        raise Refused(422, what, expected=first["msg"], got=repr(first.get("input"))) from None


def _described(kind: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of an endpoint with these parameters."""
    fields: dict[str, dict[str, Any]] = kind.model_json_schema()["properties"]
    parameters = [
        {"name": name, "in": "query", "required": False, "description": said.pop("description"), "schema": said}
        for name, said in fields.items()
    ]
    refused = {"description": "No sense in it: what, expected, got, remedy", "content": {"application/json": {}}}
    drawn = {"description": "The samples", "content": {media: {} for media in MEDIA.values()}}
    return {"parameters": parameters, "responses": {"200": drawn, "422": refused}}


async def _unknown(_: Request, error: Exception) -> Response:
    """Another path, or another method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _told(Refused(405, "this service only reads", expected="GET", remedy="see the page /docs"))
    return _told(Refused(error.status_code, "there is nothing here", remedy="the page /docs says what there is"))


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, SaddleError)
    return _told(error)


async def _unforeseen(_: Request, error: Exception) -> Response:
    """What nobody foresaw: the server writes the details, and the client learns that it is not at fault."""
    return _told(Refused(500, "this failed for a reason that nobody foresaw", remedy="see what the server wrote"))


def _told(error: SaddleError) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(explained(error), status_of(error), media_type="application/json", headers=headers)
