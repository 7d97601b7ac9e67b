"""One process at a time trains in a run folder, and one at a time changes the scores that are kept in it."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from saddle.base.files import unwritable
from saddle.errors import RunError
from saddle.runs.folder import RunFolder

# Seconds: a look at whether the run is being trained holds the lock for a moment, too.
_PATIENCE = 0.5


@contextmanager
def held(run: RunFolder) -> Generator[None]:
    """Make the run folder if it is not there, and hold it; the lock vanishes with the process, however it dies.

    Where the body leaves no run in a folder that was made here, the folder is removed again.

    Raises:
        RunError: as ``RunFolder.create``, or another process holds it.
    """
    made = [path for path in (run.path, *run.path.parents) if not path.exists()]
    run.create()

    def refuse() -> None:
        raise RunError(f"{run.path} is being trained by another process", remedy="wait for it, or give another --out")

    with locked(run.lock, refuse):
        try:
            yield
        finally:
            if not run.exists():
                with suppress(OSError):
                    run.lock.unlink(missing_ok=True)
                    for path in made:
                        path.rmdir()  # not if something is in it


@contextmanager
def locked(path: Path, busy: Callable[[], None], patience: float = _PATIENCE) -> Generator[None]:
    """Hold the lock file at ``path``, which is made if need be, and which the body may remove.

    Args:
        path: of the file; the folder must be there.
        busy: called once if another process holds the lock for more than ``patience`` seconds; unless it raises, this
            then waits.
        patience: in seconds; the lock may be held for a moment by one that only looks.

    Raises:
        SaddleError: the file cannot be made or locked, or is something else.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    descriptor = _take(path, busy, patience, fcntl)
    try:
        yield
    finally:
        os.close(descriptor)


def _take(path: Path, busy: Callable[[], None], patience: float, fcntl: Any) -> int:
    until: float | None = time.monotonic() + patience
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_open_as(descriptor, path):
                return descriptor
        except BlockingIOError:  # held for a moment at least
            pass
        except OSError as error:  # file systems without locks
            os.close(descriptor)
            raise RunError(f"{path} cannot be locked", got=error.strerror or error) from None
        os.close(descriptor)
        if until is not None and time.monotonic() > until:
            until = None
            busy()
        time.sleep(0.02)


def _open(path: Path) -> int:
    """A descriptor of the lock file, made if need be; links are not followed, and nothing is emptied."""
    wrong = RunError(f"{path} is no lock file", expected="a regular file, or none", remedy="remove it")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise wrong from None
        raise unwritable(path, error) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise wrong
    return descriptor


def _is_open_as(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
