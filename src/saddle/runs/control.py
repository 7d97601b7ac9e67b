"""What is asked of a run while it is trained: small files in its folder, which it reads between its rounds.

The command line, a page and a script steer a run alike, and nothing listens on a network.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from saddle.base.files import unwritable, write_text
from saddle.base.text import one_line
from saddle.config import load_config
from saddle.config.editing import edited
from saddle.errors import RunError, SaddleError
from saddle.runs.edits import config_after, in_force, read_edits
from saddle.runs.folder import RunFolder
from saddle.runs.reading import Say, read_file
from saddle.runs.status import is_locked, read_status

Do = Literal["pause", "resume", "stop", "save", "sample", "edit", "turn_d", "turn_g", "back"]

_SIZE = 2**16  # bytes of a request
_MOST = 100  # requests that are read at once
_LOOK = 0.1  # seconds from one look to the next
_ASKED, _TAKEN, _REFUSED = ".json", ".taken", ".refused"  # a request, one that is being met, and why one is not


class Request(NamedTuple):
    """What is asked.

    Args:
        do: pause: save, and wait; resume: go on; stop: save and end; save: a checkpoint; sample: a grid of samples;
            edit: change settings; turn_d, turn_g: one turn of D or of G alone, beside the rounds; back: go on from an
            earlier checkpoint, with changed settings.
        set: of an edit, and perhaps of back: values by dotted key.
        to: of back: the position of the checkpoint.
        name: of its file; empty: it came from the process itself.
        why: of back, in words.
    """

    do: Do
    set: Mapping[str, Any] = {}
    to: int | None = None
    name: str = ""
    why: str = ""


def ask(run: RunFolder, do: Do, settings: Mapping[str, Any] | None = None, to: int | None = None) -> Path:
    """Ask something of a run that is being trained. It is done before the run's next round.

    Args:
        run: its folder.
        do: what; see ``Request``.
        settings: of an edit and of back: nested, or by dotted key.
        to: of back: the position of a checkpoint.

    Returns:
        The request's file; see ``wait_for``.

    Raises:
        RunError: there is no run, no process trains it, or it has no such checkpoint.
        ConfigError: the settings may not change, or are not valid; nothing was written.
        SaddleError: the folder may not be written to.
    """
    if not run.exists():
        raise RunError(f"{run.path} holds no run", expected="a folder of saddle train", remedy="see `saddle list`")
    if (whole := run.population) is not None:
        raise RunError(f"{run.path} is trained with its whole population", remedy=f"name the population: {whole.path}")
    config = load_config(run.config)
    if not is_locked(run):
        remedy = f"saddle fork {run.path} goes on from a checkpoint with other settings" if do == "edit" else None
        raise RunError(
            f"{run.path} is not being trained, so it cannot be asked to {do}",
            expected="a run that is running or paused", got=f"one that is {read_status(run, config).state}",
            remedy=remedy or "see `saddle list`; `saddle train` starts and resumes",
        )  # fmt: skip
    known = [position for position, _ in run.all_checkpoints()]
    if do == "back" and to not in known:
        raise RunError(
            f"{run.path} has no checkpoint after {to:,} images", expected=" or ".join(f"{each:,}" for each in known)
        )
    given: dict[str, Any] = {}
    if settings or do == "edit":
        edits = in_force(read_edits(run.edits))
        known_config = config_after(config, edits) if to is None else config_after(config, edits, to)
        given = edited(known_config, settings or {})[1]
    entry = {"do": do, **({"set": given} if given else {}), **({} if to is None else {"to": to})}
    if run.control.is_symlink():
        raise RunError(f"{run.control} is a link", expected="a folder", remedy="remove it")
    try:
        run.control.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(run.control, error) from None
    path = run.control / f"{time.time_ns():020}-{os.getpid()}{_ASKED}"
    write_text(path, json.dumps(entry) + "\n")
    return path


def wait_for(request: Path, seconds: float = 10.0) -> bool:
    """Wait until a request was met; whether it was.

    Raises:
        RunError: the run has refused it, or has ended before.
    """
    until = time.monotonic() + seconds
    left = [request, request.with_suffix(_TAKEN)]
    while any(map(os.path.lexists, left)) and time.monotonic() < until:
        time.sleep(_LOOK / 2)
    if (text := read_file(refusal := request.with_suffix(_REFUSED), _SIZE)) is not None:
        with suppress(OSError):
            refusal.unlink()
        raise RunError(text.decode(errors="replace").strip())
    return not any(map(os.path.lexists, left))


class Inbox:
    """Where a run finds what is asked of it.

    Args:
        run: its folder.
    """

    def __init__(self, run: RunFolder) -> None:
        self._folder = run.control
        self._paused = run.paused
        self._next_look = 0.0
        self._stuck: set[str] = set()  # files that could not be taken: they are said once

    def has_some(self) -> bool:
        """Whether something is asked for. It looks every tenth of a second, so that it costs nothing to ask this."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + _LOOK
        return bool(self._names(_ASKED))

    def take(self, say: Say) -> list[Request]:
        """What is asked, in the order in which it was; what makes no sense is refused and told through ``say``."""
        found: list[Request] = []
        for name in self._names(_ASKED)[:_MOST]:
            path, wrong = self._folder / name, list[str]()
            content = read_file(path, _SIZE + 1, wrong.append)
            try:
                path.replace(path.with_suffix(_TAKEN))
            except OSError as error:
                self._stuck.add(name)
                say(f"{path} cannot be taken up: {error.strerror or error}")
                continue
            try:
                found.append(_request(content or b"", name))
            except ValueError as error:
                self.refuse(name, f"this is no request: {wrong[0] if wrong else error}")
                say(f"{path} is no request and is put aside: {wrong[0] if wrong else error}")
        return found

    def met(self, name: str) -> None:
        """A request was met."""
        with suppress(OSError):
            if name:  # else it came from this process, and nobody waits
                (self._folder / name).with_suffix(_TAKEN).unlink(missing_ok=True)

    def refuse(self, name: str, why: str) -> None:
        """Leave the reason in the place of a request, if there is one; nothing where that cannot be written."""
        with suppress(SaddleError):
            if name:
                write_text((self._folder / name).with_suffix(_REFUSED), one_line(why) + "\n")
        self.met(name)

    def pause(self, *, paused: bool) -> None:
        """Show to others whether the run waits."""
        with suppress(OSError, SaddleError):
            if paused:
                self._folder.mkdir(exist_ok=True)
                write_text(self._paused, "")
            else:
                self._paused.unlink(missing_ok=True)

    def open(self, say: Say) -> None:
        """A session begins: what an earlier one has left is removed, and ``say`` is told of what it never met."""
        names = self._names(_ASKED, _TAKEN)
        for name in (*names, *self._names(_REFUSED)):
            with suppress(OSError):
                (self._folder / name).unlink()
        self.pause(paused=False)
        if names:
            say(f"requests to an earlier session of this run, which were never met and are forgotten: {len(names)}")

    def close(self) -> None:
        """The session ends: what has come too late is refused."""
        for name in self._names(_ASKED):
            with suppress(OSError):
                (self._folder / name).replace((self._folder / name).with_suffix(_TAKEN))
            self.refuse(name, "the run has ended before it came to this")
        for name in self._names(_TAKEN):  # to stop, which is met by now
            self.met(name)
        self.pause(paused=False)

    def _names(self, *suffixes: str) -> list[str]:
        if not self._is_folder:
            return []
        try:
            names = [path.name for path in self._folder.iterdir()]
        except OSError:
            return []
        return sorted(
            name for name in names if name.endswith(suffixes) and not name.startswith(".") and name not in self._stuck
        )

    @property
    def _is_folder(self) -> bool:
        return self._folder.is_dir() and not self._folder.is_symlink()


def _request(content: bytes, name: str) -> Request:
    """Raises:
    ValueError: this is no request, and why.
    """
    try:
        entry: Any = json.loads(content.decode())
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(entry, dict) or entry.keys() - {"do", "set", "to"} or entry.get("do") not in get_args(Do):
        raise ValueError(f"expected do, one of {', '.join(get_args(Do))}, and perhaps set and to")
    settings, to = entry.get("set", {}), entry.get("to")
    if not isinstance(settings, dict) or not all(settings) or (settings and entry["do"] not in ("edit", "back")):
        raise ValueError("set are values by dotted key, of an edit")
    if (entry["do"] == "back") != (isinstance(to, int) and not isinstance(to, bool)):
        raise ValueError("to is the position of a checkpoint, of back")
    return Request(entry["do"], settings, to, name)
