"""What a folder or zip of images contains: names, classes, and a key that changes when the content does.

Class subfolders become labels. A single folder around everything is not a class. Folders called ``train`` and ``test``
(and ``val``) at the top are splits.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from saddle.base.opening import kind_at, shown
from saddle.data.formats.reading import open_zip, reading
from saddle.errors import DataError

SUFFIXES = frozenset(
    (
        *("avif", "bmp", "dib", "gif", "ico", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg", "pbm", "pgm"),
        *("png", "pnm", "ppm", "qoi", "tga", "tif", "tiff", "webp"),
    )
)
SPLITS = frozenset(("train", "test", "val", "valid", "validation"))

# From a folder inside the root, with its slash, to (name, size, time or checksum) of each of its images. What is the
# same for all files of a folder is computed once, so that a listing of 100,000 files takes less than a second.
Folders = dict[str, list[tuple[str, int, int]]]


@dataclass(frozen=True)
class Listing:
    """Image files found.

    Args:
        root: the folder or zip.
        folders: the images of each folder inside ``root``; folders and images sorted.
        prefix: what all folders have in common, above the classes.
        ignored: the number of other files by their extension, which is not an image's.
        has_test: whether there is a test split of its own, called ``test`` beside ``train``.
        key: hexadecimal SHA-256 of names, sizes and times (folder) or checksums (zip).
    """

    root: Path
    folders: Folders
    prefix: str
    ignored: dict[str, int]
    has_test: bool
    key: str

    def __len__(self) -> int:
        return sum(map(len, self.folders.values()))

    @property
    def names(self) -> list[str]:
        """Paths of the images inside ``root``."""
        return [f"{folder}{name}" for folder, files in self.folders.items() for name, _, _ in files]

    @property
    def classes(self) -> list[str]:
        """The class folder of each image; an empty string without class folders."""
        tops = ((shown(_top(folder, self.prefix)), len(files)) for folder, files in self.folders.items())
        return [top for top, count in tops for _ in range(count)]


def list_images(path: Path, split: Literal["train", "test"]) -> Listing:
    """List the images of one split of ``path``, which is a folder or a zip. No image is opened.

    The splits are folders called ``train`` and ``test``, or ``train.zip`` and ``test.zip`` in a folder. Without a test
    split of its own, all images but those for validation are listed for either split.

    Raises:
        DataError: no images, images both beside and inside class folders, or an unreadable folder or zip.
    """
    archives = {name: path / f"{name}.zip" for name in ("train", "test")}
    if all(archive.is_file() for archive in archives.values()):
        return replace(_list(archives[split], "train"), has_test=True)  # inside an archive of one split, all is that
    return _list(path, split)


def image_names(path: Path) -> list[str]:
    """The paths of all images inside a folder or zip, sorted, however they lie in it.

    Raises:
        DataError: there are none, or it cannot be read.
    """
    folders, _ = _folders(path)
    return [f"{folder}{name}" for folder, files in folders.items() for name, _, _ in files]


def _folders(root: Path) -> tuple[Folders, Counter[str]]:
    """The images of each folder, sorted, and how many other files there are, by extension."""
    found, ignored = _in_zip(root) if kind_at(root) == "file" else _in_folder(root)
    folders = {folder: sorted(files) for folder, files in sorted(found.items()) if files}
    if not folders:
        raise DataError(
            f"{root} holds no images",
            expected=f"files ending in {', '.join(sorted(SUFFIXES))}",
            got=f"{ignored.total():,} other files" if ignored else "nothing",
        )
    return folders, ignored


def _list(root: Path, split: Literal["train", "test"]) -> Listing:
    folders, ignored = _folders(root)
    prefix = _common(folders)
    tops = {_top(folder, prefix) for folder in folders}
    has_test = False
    if "train" in tops and tops <= SPLITS:
        has_test = "test" in tops
        prefix += f"{split}/" if has_test else "train/"
        folders = {folder: files for folder, files in folders.items() if folder.startswith(prefix)}
    prefix = _common(folders)
    _refuse_mixed(root, folders, prefix)
    key = hashlib.sha256(repr(folders).encode()).hexdigest()
    return Listing(root, folders, prefix, dict(ignored), has_test, key)


def _in_folder(root: Path) -> tuple[Folders, Counter[str]]:
    folders: Folders = {}
    ignored: Counter[str] = Counter()
    pending = [(root, "")]
    seen: set[tuple[int, int]] = set()
    while pending:
        path, folder = pending.pop()
        identity = path.stat()
        # With a symbolic link to a folder above, this would never end.
        if (identity.st_dev, identity.st_ino) in seen:
            continue
        seen.add((identity.st_dev, identity.st_ino))
        files = folders[folder] = []
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                suffix = _suffix(name)
                if _hidden(name):
                    continue
                if suffix in SUFFIXES and (size_and_time := _of_file(entry)):
                    files.append((name, *size_and_time))
                elif _is_folder(entry):
                    pending.append((Path(entry.path), f"{folder}{name}/"))
                else:
                    ignored[suffix] += 1
    return folders, ignored


def _of_file(entry: os.DirEntry[str]) -> tuple[int, int] | None:
    """Size and time of an entry with an image's name; None of a folder.

    What cannot be opened, such as a FIFO or a link to itself, stays in the list: to be skipped, and named.
    """
    try:
        if entry.is_file():
            status = entry.stat()
            return status.st_size, status.st_mtime_ns
    except OSError:
        return 0, 0
    return None if entry.is_dir() else (0, 0)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _in_zip(root: Path) -> tuple[Folders, Counter[str]]:
    folders: Folders = {}
    ignored: Counter[str] = Counter()
    with reading(root, "zip", remedy="get it again"), open_zip(root) as archive:
        for info in archive.infolist():
            folder, slash, name = info.filename.rpartition("/")
            if info.is_dir() or _hidden(name) or any(map(_hidden, folder.split("/"))):
                continue
            suffix = _suffix(name)
            if suffix in SUFFIXES:
                folders.setdefault(folder + slash, []).append((name, info.file_size, info.CRC))
            else:
                ignored[suffix] += 1
    return folders, ignored


def _hidden(name: str) -> bool:
    return name[:1] == "." or name == "__MACOSX"


def _suffix(name: str) -> str:
    _, dot, suffix = name.rpartition(".")
    return suffix.lower() if dot else ""


def _common(folders: Iterable[str]) -> str:
    """The folder around all ``folders``, with its slash; empty if they have none in common."""
    paths = [folder.split("/")[:-1] for folder in folders]
    first, last = min(paths), max(paths)  # what these share, all share
    shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(f"{part}/" for part, _ in shared)


def _top(folder: str, prefix: str) -> str:
    """The first folder below ``prefix`` on the way to ``folder``; an empty string for ``prefix`` itself."""
    return folder[len(prefix) :].partition("/")[0]


def _refuse_mixed(root: Path, folders: Folders, prefix: str) -> None:
    loose = folders.get(prefix)
    if loose is None or len(folders) == 1:
        return
    tops = sorted({_top(folder, prefix) for folder in folders} - {""})
    raise DataError(
        f"{root} is mixed: there are images both beside and inside class folders",
        expected="all images in class folders, or none",
        got=f"{len(loose):,} loose images such as {prefix}{loose[0][0]}, and the folders {', '.join(tops[:5])}",
        remedy="move the loose images into a class folder, or out of this folder",
    )
