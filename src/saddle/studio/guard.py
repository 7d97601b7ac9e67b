"""What stands before everything that listens: who may ask, from where, how much, and for how long."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from saddle.errors import ConfigError, SaddleError
from saddle.studio.answers import Refused, explained, status_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SHORTEST_TOKEN = 16  # characters
_EVERYWHERE = ("0.0.0.0", "::")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]
# A page of ours replaces this by what it needs; nothing else may do anything.
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Rules(NamedTuple):
    """Who may ask, and how much.

    Args:
        token: must come in ``Authorization: Bearer TOKEN``; None: nobody has to show one.
        names: the hosts that the header Host may name, in lower case.
        any_address: Host may also be any IP address, which no rebinding can bring about.
        open_paths: paths that need no token.
        longest_body: bytes of a request's body.
        seconds: how long a request may take.
    """

    token: str | None = None
    names: frozenset[str] = LOOPBACK_NAMES
    any_address: bool = False
    open_paths: frozenset[str] = frozenset()
    longest_body: int = 0
    seconds: float = 30.0


def rules_for(host: str | None, seconds: float) -> Rules:
    """The rules for what listens at ``host``; None: for this machine alone.

    Raises:
        ConfigError: the token of $SADDLE_TOKEN cannot be used.
    """
    token = _find_token(host)
    if host is None:
        return Rules(token=token, seconds=seconds)
    names = LOOPBACK_NAMES | {host.lower(), socket.gethostname().lower()}
    return Rules(token=token, names=names, any_address=host in _EVERYWHERE, seconds=seconds)


def guarded(app: App, rules: Rules) -> App:
    """``app`` behind checks: what fails one of them gets an answer from here, and ``app`` never sees it.

    The header Host must name this server, so that a page elsewhere cannot reach it by a name of its own (DNS
    rebinding). Where a browser says that another site asks (Origin, Sec-Fetch-Site), the request is refused.

    Args:
        app: an ASGI application.
        rules: what is checked.
    """

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await app(scope, receive, send)
            return  # there are no web sockets here: the server refuses them
        began = False

        async def answer(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                given = message["headers"] = list(message.get("headers", ()))
                own = any(name == _POLICY[0] for name, _ in given)
                given += _HEADERS if own else [*_HEADERS, _POLICY]
            await send(message)

        try:
            headers = {name.lower(): value for name, value in scope["headers"]}
            _check_host(headers, rules)
            _check_site(headers)
            if rules.token is not None and scope["path"] not in rules.open_paths:
                _check_token(headers, rules.token)
            _check_body(headers, rules.longest_body)
            async with asyncio.timeout(rules.seconds):
                await app(scope, receive, answer)
        except TimeoutError:
            if not began:  # otherwise the connection is closed in the midst of the answer
                await refuse(_late(rules.seconds), answer)
        except Refused as error:
            await refuse(error, answer)

    return guard


async def refuse(error: SaddleError, send: Send) -> None:
    """Answer with an error, and close the connection: what is left of the request is not read."""
    body = explained(error)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))
    if status_of(error) == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _find_token(host: str | None) -> str | None:
    """The token that requests must show: that of $SADDLE_TOKEN, or where others may listen a new one, or None.

    Raises:
        ConfigError: the one of the environment is too short, or no text for a header.
    """
    given = os.environ.get("SADDLE_TOKEN")
    if given is None:
        return None if host is None or is_loopback(host) else secrets.token_urlsafe(32)
    if len(given) < _SHORTEST_TOKEN or not given.isascii() or not given.isprintable() or " " in given:
        raise ConfigError(
            "the token in $SADDLE_TOKEN cannot be used",
            expected=f"at least {_SHORTEST_TOKEN} letters, digits and signs, without spaces",
            got=f"{len(given)} characters",
            remedy='python -c "import secrets; print(secrets.token_urlsafe(32))" makes one',
        )
    return given


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_host(headers: dict[bytes, bytes], rules: Rules) -> None:
    given = headers.get(b"host", b"").decode("latin-1")
    name = _without_port(given).lower()
    if name in rules.names or (rules.any_address and _is_address(name)):
        return
    raise Refused(
        421,
        "this server is not called so",
        expected="a Host that names it, such as the address that it printed",
        got=given or "no Host",
        remedy="ask it by that address",
    )


def _check_site(headers: dict[bytes, bytes]) -> None:
    origin = headers.get(b"origin")
    if origin is not None:
        host = headers.get(b"host", b"")
        same = origin.lower() in (b"http://" + host.lower(), b"https://" + host.lower())
        if not same:
            raise _foreign(origin)
    elif headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        raise _foreign(headers[b"sec-fetch-site"])


def _check_token(headers: dict[bytes, bytes], token: str) -> None:
    kind, _, given = headers.get(b"authorization", b"").partition(b" ")
    right = hmac.compare_digest(given.strip(), token.encode())
    if kind.lower() != b"bearer" or not right:
        raise Refused(
            401,
            "this server answers only those who have its token",
            expected="the header Authorization: Bearer TOKEN",
            got="another token" if given else "none",
            remedy="take the token from $SADDLE_TOKEN of the server, or from what it printed when it started",
        )


def _check_body(headers: dict[bytes, bytes], longest: int) -> None:
    if b"transfer-encoding" in headers:
        raise Refused(411, "the request does not say how long its body is", expected="a Content-Length")
    length = headers.get(b"content-length", b"0")
    if len(length) > 15 or not length.isdigit() or int(length) > longest:
        got = length.decode("latin-1")
        raise Refused(413, "the body of the request is too long", expected=f"at most {longest:,} bytes", got=got)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _foreign(got: bytes) -> Refused:
    return Refused(
        403,
        "a page of another site may not ask this server",
        expected="a request of its own pages, or of a program",
        got=got.decode("latin-1"),
    )


def _late(seconds: float) -> Refused:
    return Refused(
        503,
        "the answer was not ready in time",
        expected=f"at most {seconds:g} seconds",
        remedy="ask for fewer samples, or again later",
    )
