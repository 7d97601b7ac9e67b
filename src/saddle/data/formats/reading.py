"""What is common to reading files that others made: what may go wrong, and how it is told."""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from saddle.base.opening import open_regular, shown
from saddle.base.sizes import free_memory, readable_size
from saddle.errors import DataError, SaddleError, TooLarge

LARGEST_FILE = 2**28  # bytes of one image or one part of an archive; more are a mistake or an attack
GZIP_RATIO = 1032  # deflate packs no more bytes into one


@contextmanager
def reading(path: Path, kind: str, *, expected: str | None = None, remedy: str | None = None) -> Generator[None]:
    """Tell the user what goes wrong inside, where ``path`` is read and taken apart.

    Args:
        path: what is read.
        kind: what it should be, such as ``table``.
        expected: what would be right.
        remedy: what the user can do about a damaged file.

    Raises:
        DataError: in place of any error that is not meant for the user.
        TooLarge: the memory is full.
    """
    try:
        with looking(os.fspath(path)):
            yield
    except SaddleError:
        raise
    except Exception as error:  # broken files make zipfile, gzip and numpy raise almost anything
        what = f"{shown(path)} is damaged or no {kind}"
        raise DataError(what, expected=expected, got=reason_of(error), remedy=remedy) from error


@contextmanager
def looking(source: str) -> Generator[None]:
    """Tell the user where the file system refuses to show ``source``, or the memory is full.

    Raises:
        DataError: the file system refuses.
        TooLarge: the memory is full.
    """
    try:
        yield
    except MemoryError as error:
        raise TooLarge(
            f"{shown(source)} needs more memory than there is", got=f"{readable_size(free_memory())} are free"
        ) from error
    except OSError as error:
        if error.strerror is None:  # gzip and bz2 raise it for damage
            raise
        raise DataError(f"{shown(error.filename or source)} cannot be read", got=error.strerror) from error


def reason_of(error: Exception) -> str:
    """Why a file could not be read. There are no memory addresses in it, so that it is the same every time."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, EOFError):
        return "it is incomplete"
    if isinstance(error, UnicodeDecodeError):
        return f"at byte {error.start:,} it is not UTF-8"
    return str(error) or type(error).__name__


@contextmanager
def open_maybe_gzipped(path: Path) -> Generator[tuple[BinaryIO, int]]:
    """The content of a file as a stream, unpacked where it is gzip, and how many bytes it may hold at most."""
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file, size
        else:
            with gzip.GzipFile(fileobj=file) as stream:
                yield cast(BinaryIO, stream), size * GZIP_RATIO


@contextmanager
def open_zip(path: Path) -> Generator[zipfile.ZipFile]:
    """A zip that is a regular file."""
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        yield archive
