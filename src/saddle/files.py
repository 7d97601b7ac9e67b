"""Writing a file so that it is either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(final: Path) -> Generator[Path]:
    """Yield a temporary path beside ``final``; on success flush it to disk and rename it, on failure remove it.

    The temporary name keeps the suffix of ``final``, since several writers choose the format by it.

    Raises:
        OSError: whatever the file system said; ``final`` is then as it was before.
    """
    temporary = final.with_name(f".{final.stem}.{os.getpid()}.partial{final.suffix}")
    try:
        yield temporary
        _fsync(temporary)
        temporary.replace(final)
        # The rename itself is durable only once the directory is on disk.
        _fsync(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(final: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``final``, atomically."""
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
