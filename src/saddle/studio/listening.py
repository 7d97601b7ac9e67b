"""From a generator to a service that listens, until it is told to end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from saddle.errors import ConfigError, SaddleError
from saddle.studio.guard import LOOPBACK, rules_for

_NEEDED = ("fastapi", "uvicorn", "httptools")
_LONGEST = 120.0  # seconds that the studio gives a request: inversions and neighbours take some


def serve(
    path: Path,
    *,
    host: str | None,
    port: int,
    most: int,
    seconds: float,
    device: str,
    say: Callable[[str], None],
) -> None:
    """Serve the generator in ``path`` until a signal asks to stop; what is being answered then is finished.

    Args:
        path: a run folder or a generator file.
        host: where to listen; None: where only this machine can ask.
        port: 0: any that is free.
        most: samples in one answer.
        seconds: how long a request may take.
        device: cpu, cuda, mps or auto.
        say: is told the address, and the token if one was made.

    Raises:
        ConfigError: a package is missing, or an argument makes no sense.
        SaddleError: there is no generator, or the address cannot be used.
    """
    check_packages()
    if most < 1:
        raise ConfigError("this service would give no samples", expected="--most of at least 1", got=most)
    if not 0 < seconds <= 3600:
        raise ConfigError("this is no time for a request", expected="--timeout above 0, at most 3600", got=seconds)
    from saddle.studio.running import run
    from saddle.studio.service import Source, make_service
    from saddle.trained.generator import load

    rules = rules_for(host, seconds)
    app = make_service(load(path, device=device), Source(path), rules, most=most)
    with bound(host or LOOPBACK, port) as listener:
        at = address(listener, host)
        say(f"serving {path} at {at} with its reference at {at}/docs; Ctrl-C stops it")
        if rules.token is not None:
            token = "that of $SADDLE_TOKEN" if "SADDLE_TOKEN" in os.environ else rules.token
            say(f"requests need the header Authorization: Bearer TOKEN; the token is {token}")
        run(app, listener, seconds)
    say("stopped")


def studio(folder: Path, *, host: str | None, port: int, read_only: bool, say: Callable[[str], None]) -> None:
    """Serve the page that watches and steers the runs below ``folder``; as ``serve``.

    Raises:
        ConfigError: a package is missing, or ``folder`` is a file.
        SaddleError: the address cannot be used.
    """
    check_packages()
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file", expected="a folder with runs, or one that is to be made")
    from saddle.studio.running import run
    from saddle.studio.server import make_studio

    rules = rules_for(host, _LONGEST)
    app = make_studio(folder, rules, read_only=read_only)
    with bound(host or LOOPBACK, port) as listener:
        at = address(listener, host)
        say(f"the studio of {folder} is at {at}; Ctrl-C ends it, and no training notices")
        if rules.token is not None:
            token = "that of $SADDLE_TOKEN" if "SADDLE_TOKEN" in os.environ else rules.token
            say(f"the page asks for a token: {token}")
        run(app, listener, 2)
    say("stopped")


def check_packages() -> None:
    """Find out early whether what listens can be started.

    Raises:
        ConfigError: a package is missing.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigError(
            f"a service needs {' and '.join(missing)}, which this installation lacks",
            remedy="pip install 'saddle[studio]'",
        )


@contextmanager
def bound(host: str, port: int) -> Generator[socket.socket]:
    """A socket that listens.

    Raises:
        SaddleError: the address cannot be used.
    """
    if not 0 <= port < 2**16:
        raise ConfigError("there is no such port", expected="--port from 0 to 65535", got=port)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small packets at once only where it reads that this is TCP
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(1024)  # who connects before the server is ready waits
        except OSError as error:
            raise SaddleError(
                f"port {port} of {host} cannot be used",
                got=error.strerror or error,
                remedy="give another --port, or --port 0 for any that is free; --host is an address of this machine",
            ) from None
        yield listener


def address(listener: socket.socket, host: str | None) -> str:
    """Where a browser on this machine finds what listens."""
    name = "localhost" if host is None else host
    return f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"
