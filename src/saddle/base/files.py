"""Writing a file or a folder so that it is either whole or not there."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from saddle.errors import SaddleError

_unfinished: set[Path] = set()


@contextmanager
def removed_after(path: Path) -> Generator[Path]:
    """Remove the file or folder at ``path``, if it is still there, when the body ends or a signal ends the process."""
    _unfinished.add(path)
    try:
        yield path
    finally:
        _remove(path)
        _unfinished.discard(path)


def remove_unfinished() -> None:
    """Remove what bodies of ``removed_after`` have not finished: for a process that ends at once."""
    for path in tuple(_unfinished):
        _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):  # where nothing can be written, nothing is left either
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def atomic_path(final: Path) -> Generator[Path]:
    """Yield a temporary path beside ``final``; on success flush it to disk and rename it, on failure remove it.

    The temporary name keeps the suffix of ``final``, since several writers choose the format by it.

    Raises:
        SaddleError: the file system refused, here or in the body; ``final`` is then as it was before.
    """
    temporary = final.with_name(f"{_hidden(final.stem)}{final.suffix}")
    try:
        with removed_after(temporary):
            _remove(temporary)  # a link may have been put there
            yield temporary
            _fsync(temporary)
            temporary.replace(final)
            _fsync_folder(final.parent)
    except OSError as error:
        raise unwritable(final, error) from error


@contextmanager
def atomic_folder(final: Path) -> Generator[Path]:
    """Yield a new folder beside ``final``; on success rename it, on failure remove it.

    Args:
        final: a folder that does not exist, or is empty.

    Raises:
        SaddleError: as ``atomic_path``.
    """
    final = final.resolve()  # a name to put the other beside, also for "."
    temporary = final.with_name(_hidden(final.name))
    try:
        with removed_after(temporary):
            temporary.mkdir()
            yield temporary
            temporary.replace(final)
            _fsync_folder(final.parent)
    except OSError as error:
        raise unwritable(final, error) from error


def write_text(final: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``final``, atomically.

    Raises:
        SaddleError: as ``atomic_path``.
    """
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _hidden(name: str) -> str:
    return f".{name[:40]}.{os.getpid()}.partial"  # the name may be as long as names can be


def unwritable(path: Path, error: OSError) -> SaddleError:
    """What to tell the user when ``path`` cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return SaddleError(
        f"{path} cannot be written",
        got=error.strerror or error,
        remedy="make room and run the same command again" if full else "name a place that exists and may be written to",
    )


def _fsync_folder(path: Path) -> None:
    """A rename is durable only once its folder is on disk; Windows cannot open a folder, and needs nothing for it."""
    if sys.platform != "win32":
        _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
