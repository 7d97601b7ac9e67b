"""Downloading a file from the first mirror that sends all of it."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from saddle.base.files import atomic_path
from saddle.base.opening import open_regular
from saddle.base.progress import Progress
from saddle.base.sizes import readable_size
from saddle.data.cache import unusable_cache
from saddle.data.formats.reading import LARGEST_FILE, reading
from saddle.errors import DataError, SaddleError

TIMEOUT = 30.0  # seconds without a byte from a mirror


def download(
    urls: Sequence[str], path: Path, sum_of: Callable[[Path], str], expected: str, progress: Progress
) -> list[str]:
    """Download ``path`` from one of ``urls``, tried in turn. An incomplete or wrong file is not left behind.

    Args:
        urls: addresses of the same file.
        path: where to put it; its folder is made.
        sum_of: computes the checksum of a file.
        expected: what it must be.
        progress: is told how far the download is.

    Returns:
        Why each mirror failed; empty if ``path`` is there.

    Raises:
        DataError: the folder cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable_cache(error) from error
    failures: list[str] = []
    for url in urls:
        try:
            with atomic_path(path) as temporary:
                try:
                    _fetch(url, temporary, progress)
                except (OSError, http.client.HTTPException) as error:
                    raise DataError(str(error) or type(error).__name__) from error
                if sum_of(temporary) != expected:
                    raise DataError("the checksum is wrong")
            return []
        except SaddleError as error:
            failures.append(f"{urlsplit(url).netloc}: {error.what}")
    return failures


def check_file(path: Path, sum_of: Callable[[Path], str], expected: str) -> None:
    """Refuse a cached file with a wrong checksum.

    Raises:
        DataError: the checksum is wrong.
    """
    found = sum_of(path)
    if found != expected:
        raise DataError(
            f"{path} is not the file that was published",
            expected=f"checksum {expected}",
            got=f"checksum {found}",
            remedy="delete it, and it is downloaded again",
        )


def md5_of_file(path: Path) -> str:
    """MD5 of the file as it is. It is enough to notice a damaged download, which is its purpose here."""
    with reading(path, "file"), open_regular(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _fetch(url: str, path: Path, progress: Progress) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, path.open("wb") as file:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        progress.start(f"downloading {url}", total, "B")
        try:
            while piece := response.read(2**16):
                file.write(piece)
                if file.tell() > LARGEST_FILE:
                    raise OSError(f"it is longer than {readable_size(LARGEST_FILE)}")
                progress.advance(len(piece))
        finally:
            progress.finish()
        # http.client does not complain when a connection ends early.
        if total is not None and file.tell() != total:
            raise OSError(f"the connection ended after {file.tell():,} of {total:,} bytes")
