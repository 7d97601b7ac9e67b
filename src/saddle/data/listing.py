"""What a folder or zip of images holds: names, classes, and a key that changes when the content does.

Class subfolders become labels. A single folder around everything is no class and is looked through; folders called
``train`` and ``test`` (and ``val``) at the top are splits.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from saddle.errors import DataError

SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm"),
        *(".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp"),
    )
)
SPLITS = frozenset(("train", "test", "val", "valid", "validation"))


@dataclass(frozen=True)
class Listing:
    """Image files found.

    Args:
        root: the folder or zip.
        names: paths of the files inside ``root``, sorted.
        labels: class index of each file, or None without class folders.
        class_names: sorted names of the class folders.
        ignored: count of files by their extension, where that is no image's.
        key: hexadecimal SHA-256 of names, sizes and times (folder) or checksums (zip).
    """

    root: Path
    names: tuple[str, ...]
    labels: tuple[int, ...] | None
    class_names: tuple[str, ...]
    ignored: dict[str, int]
    key: str


def list_images(root: Path, split: Literal["train", "test"]) -> Listing:
    """List the images of one split below ``root``, which is a folder or a zip. No image is opened.

    Raises:
        DataError: no images, images both beside and inside class folders, no such split, or an unreadable root.
    """
    try:
        stamps = dict(_in_zip(root) if root.is_file() else _in_folder(root))
    except zipfile.BadZipFile as error:
        raise DataError(f"{root} is a damaged zip", got=error, remedy="fetch it anew") from error
    except OSError as error:
        raise DataError(f"{error.filename or root} cannot be read", got=error.strerror or error) from error
    names = sorted(name for name in stamps if _suffix(name) in SUFFIXES)
    ignored = Counter(_suffix(name) for name in stamps if _suffix(name) not in SUFFIXES)
    if not names:
        raise DataError(
            f"{root} holds no images",
            expected=f"files such as {', '.join(sorted(SUFFIXES))}",
            got=f"{ignored.total():,} other files" if ignored else "nothing",
        )
    prefix = _common_folder(names)
    tops = _tops(names, prefix)
    if "train" in tops and tops <= SPLITS:
        prefix += f"{split}/"
        names = [name for name in names if name.startswith(prefix)]
        prefix = _common_folder(names) if names else prefix
    elif split == "test":
        names = []
    if not names:
        raise DataError(
            f"{root} has no {split} split",
            expected="folders called train and test",
            remedy="use data.split = train",
        )
    labels, class_names = _classes(root, names, prefix)
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0{stamps[name]}\0".encode("utf-8", "surrogateescape"))
    return Listing(root, tuple(names), labels, class_names, dict(ignored), digest.hexdigest())


def _in_folder(root: Path) -> Iterator[tuple[str, str]]:
    """(name, stamp) of each file; os.scandir, since pathlib takes several times as long for many files."""
    pending = [(os.fspath(root), "")]
    seen: set[tuple[int, int]] = set()
    while pending:
        folder, prefix = pending.pop()
        identity = os.stat(folder)
        # A symbolic link to a folder above would go round forever.
        if (identity.st_dev, identity.st_ino) in seen:
            continue
        seen.add((identity.st_dev, identity.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if _hidden(entry.name):
                    continue
                if entry.is_dir():
                    pending.append((entry.path, f"{prefix}{entry.name}/"))
                elif entry.is_file():
                    status = entry.stat()
                    yield f"{prefix}{entry.name}", f"{status.st_size} {status.st_mtime_ns}"


def _in_zip(root: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(root) as archive:
        for info in archive.infolist():
            if not info.is_dir() and not any(map(_hidden, info.filename.split("/"))):
                yield info.filename, f"{info.file_size} {info.CRC}"


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _suffix(name: str) -> str:
    # As PurePosixPath(name).suffix.lower(), at a tenth of its price.
    dot = name.rfind(".")
    return name[dot:].lower() if dot > name.rfind("/") else ""


def _common_folder(names: list[str]) -> str:
    """The folder around all names, with its slash; empty when they have none in common."""
    first, last = PurePosixPath(names[0]).parts[:-1], PurePosixPath(names[-1]).parts[:-1]
    common: list[str] = []
    for one, other in zip(first, last, strict=False):  # names are sorted: what first and last share, all share
        if one != other:
            break
        common.append(one)
    return "".join(f"{part}/" for part in common)


def _tops(names: list[str], prefix: str) -> set[str]:
    """The folders just below ``prefix``; an empty string stands for files that lie there."""
    return {name[len(prefix) :].partition("/")[0] if "/" in name[len(prefix) :] else "" for name in names}


def _classes(root: Path, names: list[str], prefix: str) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    tops = _tops(names, prefix)
    if tops == {""}:
        return None, ()
    if "" in tops:
        loose = [name for name in names if "/" not in name[len(prefix) :]]
        raise DataError(
            f"{root} is mixed: images lie both beside and inside class folders",
            expected="all images in class folders, or none",
            got=f"{len(loose):,} loose images such as {loose[0]}, and the folders {', '.join(sorted(tops - {''})[:5])}",
            remedy="move the loose images into a class folder, or out",
        )
    class_names = tuple(sorted(tops))
    index = {name: place for place, name in enumerate(class_names)}
    return tuple(index[name[len(prefix) :].partition("/")[0]] for name in names), class_names
