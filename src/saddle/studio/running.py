"""The web server around an application: signals, slow clients, and how much there may be at once."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import signal
import socket
import threading
from asyncio import TimerHandle, Transport
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from saddle.base.machine import stop_signals
from saddle.studio.guard import App

_MOST_CONNECTIONS = 1000
_PATIENCE = 10.0  # seconds: for the headers of a request to come, and for its answer to be taken


def run(app: App, listener: socket.socket, seconds: float) -> None:
    """Answer until a signal asks to stop; then finish what was begun, unless a second one comes.

    Args:
        app: an ASGI application.
        listener: a socket that is bound.
        seconds: for what was begun.
    """
    gc.freeze()  # what is there now stays: looking through all of torch for garbage takes longer than many requests
    asyncio.run(make_server(app, seconds).serve([listener]))


def make_server(app: App, seconds: float) -> uvicorn.Server:
    """The server of ``run``; once its ``should_exit`` is set, it ends in the same way."""
    config = uvicorn.Config(
        app,
        http=_Patient,
        ws="none",
        lifespan="on",
        access_log=False,  # what was asked for is nobody's business
        log_config=None,
        log_level=logging.ERROR,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=math.ceil(seconds),
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """A server that a signal ends as it should end: the process then goes on, and tells so."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in stop_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Patient(HttpToolsProtocol):
    """A connection that is cut when a client takes too long to ask, or to take what it asked for."""

    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._wait()

    def on_headers_complete(self) -> None:
        self._wait_no_more()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._wait_no_more()
        self._timer = self.loop.call_later(_PATIENCE, self._cut)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _cut(self) -> None:
        # An idle connection is closed before by the server itself: this one has sent half a request, or reads nothing.
        # One that asked for several things at once may have an answer in the making.
        if self.cycle is None or self.cycle.response_complete:  # pyright: ignore[reportUnnecessaryComparison]
            self.transport.abort()
