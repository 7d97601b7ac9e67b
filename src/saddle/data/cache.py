"""The user's cache folder: decoded images, features of real data, and downloads. All of it can be made again."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from saddle.errors import DataError

UNFINISHED = 24 * 3600.0  # seconds after which an unfinished entry is rubbish that a killed process left

Kind = Literal["images", "features", "downloads"]
# What saddle calls its entries: should SADDLE_CACHE name a folder with other files in it, they are none of ours.
_NAMES: dict[Kind, str] = {
    "images": r"[0-9a-f]{32}|\w+\.partial",
    "features": r".+\.safetensors",
    "downloads": r".*idx[13]-ubyte.*|.*cifar-10-binary.*",
}


class Held(NamedTuple):
    """What the cache holds of one kind.

    Args:
        kind: images (decoded folders and zips), features (what extractors see in real data), or downloads (data sets).
        entries: their number: data sets for images, files for the others.
        size: bytes.
    """

    kind: Kind
    entries: int
    size: int


def cache_folder() -> Path:
    """``$SADDLE_CACHE``, else ``$XDG_CACHE_HOME/saddle``, else ``~/.cache/saddle``; it need not exist.

    Raises:
        DataError: the system does not know the home folder.
    """
    try:
        if own := os.environ.get("SADDLE_CACHE"):
            return Path(own).expanduser()
        if shared := os.environ.get("XDG_CACHE_HOME"):
            return Path(shared) / "saddle"
        return Path.home() / ".cache" / "saddle"
    except RuntimeError as error:
        raise DataError("the cache has no place", got=error, remedy="set SADDLE_CACHE to a folder") from error


def cache_contents() -> list[Held]:
    """What the cache holds, one for each kind. Links are neither counted nor followed.

    Raises:
        DataError: the file system refuses.
    """
    try:
        return [_sum(kind, _entries(kind)) for kind in _NAMES]
    except OSError as error:
        raise _refused(error, "read") from error


def clear_cache() -> list[Held]:
    """Remove what ``cache_contents`` counts, except entries that another process is writing; say what is gone.

    Only files that saddle made are removed, and nothing that a link leads to.

    Raises:
        DataError: the file system refuses.
    """
    removed: list[Held] = []
    try:
        for kind in _NAMES:
            entries = [entry for entry in _entries(kind) if not in_use(entry)]
            removed.append(_sum(kind, entries))
            for entry in entries:
                remove(entry)
    except OSError as error:
        raise _refused(error, "removed") from error
    return removed


def remove(entry: Path) -> None:
    """Remove a file, a folder with all that is in it, or a link, but not where it leads.

    Raises:
        OSError: the file system refuses.
    """
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def in_use(entry: Path) -> bool:
    """Whether another process may still be writing ``entry``: it is unfinished, and was changed within a day."""
    return ".partial" in entry.suffixes and time.time() - entry.lstat().st_mtime < UNFINISHED


def unusable_cache(error: OSError) -> DataError:
    """What to tell the user when the cache cannot be written."""
    return DataError(
        f"the cache folder {cache_folder()} cannot be written",
        got=error.strerror or error,
        remedy="make room there (saddle cache clear), or set SADDLE_CACHE to another folder",
    )


def _refused(error: OSError, what: str) -> DataError:
    return DataError(f"{error.filename or cache_folder()} cannot be {what}", got=error.strerror or error)


def _entries(kind: Kind) -> Iterator[Path]:
    """The files and folders of a kind that lie in its folder, or folders, of the cache."""
    from saddle.data.sources import NAMES  # these modules import this one

    for name in NAMES if kind == "downloads" else (kind,):
        folder = cache_folder() / name
        if folder.is_dir() and not folder.is_symlink():
            for entry in sorted(folder.iterdir()):
                if re.fullmatch(_NAMES[kind], entry.name) and not entry.is_symlink():
                    yield entry


def _sum(kind: Kind, entries: Iterator[Path] | list[Path]) -> Held:
    sizes = [_size(entry) for entry in entries]
    return Held(kind, len(sizes), sum(sizes))


def _size(path: Path) -> int:
    """Bytes of the files in or at ``path``; a file that vanishes meanwhile counts nothing."""
    try:
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            return sum(map(_size, path.iterdir()))
        return status.st_size
    except FileNotFoundError:
        return 0
