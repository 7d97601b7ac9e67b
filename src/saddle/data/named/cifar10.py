"""CIFAR-10 by name: found on this machine, or downloaded as the binary archive of its authors.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
Each record of the binary version is one byte of label and 3 × 32 × 32 bytes of pixels: red, green, blue, row by row.
The archive for Python is never read, since it consists of pickles.
"""

from __future__ import annotations

import errno
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from saddle.base.opening import kind_at, open_regular, read_at_most
from saddle.base.progress import Progress
from saddle.base.sizes import readable_size
from saddle.config.schema import DataConfig
from saddle.data.cache import cache_folder
from saddle.data.download import check_file, download, md5_of_file
from saddle.data.formats.images import open_images
from saddle.data.formats.pixels import conform
from saddle.data.formats.reading import LARGEST_FILE, open_maybe_gzipped, reading
from saddle.data.store import Store, make_store
from saddle.errors import DataError

NAME = "cifar10"
ARCHIVE = "cifar-10-binary.tar.gz"
URLS = (f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}",)
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # of the archive, as given on the authors' page
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_PICKLED = ("cifar-10-python.tar.gz", "cifar-10-batches-py")
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
FILES = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)}


def find_binary(path: Path) -> Path | None:
    """The binary version at ``path``: the archive itself, the archive in this folder, or the folder it unpacks to.

    Raises:
        DataError: there is only the Python version, which is pickled.
    """
    if path.name == ARCHIVE and path.is_file():
        return path
    if (path / ARCHIVE).is_file():
        return path / ARCHIVE
    folders = (path, path / "cifar-10-batches-bin")
    found = next((folder for folder in folders if (folder / FILES["train"][0]).is_file()), None)
    held = list(path.iterdir()) if path.is_dir() and path.name not in _PICKLED else [path]
    if found is None and path.exists() and held and all(one.name in _PICKLED for one in held):
        raise DataError(
            f"{path} is the Python version of CIFAR-10. It is pickled, and reading a pickle runs the code in it",
            expected=f"the binary version, {ARCHIVE}",
            remedy=f"get it from {URLS[0]}",
        )
    return found


def open_cifar10(config: DataConfig, progress: Progress) -> Store:
    """CIFAR-10 from ``$SADDLE_DATA/cifar10``, or from the cache, downloaded if it is missing.

    ``$SADDLE_DATA/cifar10`` may hold the binary version, or class folders of images in ``train`` and ``test``, zipped
    or not. JPEGs are not exact copies: the compression changed the pixels, and so the fingerprint is another.

    Raises:
        DataError: it can be neither found nor downloaded, or a file is damaged.
    """
    if root := os.environ.get("SADDLE_DATA"):
        own = Path(root) / NAME
        if binary := find_binary(own):
            return open_binary(binary, config)
        if own.is_dir() and any(own.iterdir()):
            return replace(open_images(own, config, progress), name=NAME)
    cached = cache_folder() / NAME / ARCHIVE
    if cached.is_file():
        check_file(cached, md5_of_file, MD5)
    elif failures := download(URLS, cached, md5_of_file, MD5, progress):
        raise DataError(
            f"{NAME} is not on this machine and {ARCHIVE} could not be downloaded",
            got="; ".join(failures),
            remedy=f"one of: --data DIR with a folder that holds {ARCHIVE} or class folders of images; "
            f"the same in $SADDLE_DATA/{NAME}; {ARCHIVE} copied into {cached.parent}",
        )
    return open_binary(cached, config)


def open_binary(path: Path, config: DataConfig) -> Store:
    """One split of the binary version as uint8 (N, 3, 32, 32) with labels.

    Args:
        path: what ``find_binary`` found.
        config: its split, size and channels apply.

    Raises:
        DataError: a file is missing, damaged or not of this format.
    """
    raw = b"".join(_read_all(path, FILES[config.split]))
    if not raw or len(raw) % RECORD:
        raise DataError(
            f"{path} is not the binary version of CIFAR-10",
            expected=f"records of {RECORD:,} bytes",
            got=f"{len(raw):,} bytes",
            remedy="get it again",
        )
    records = np.frombuffer(raw, np.uint8).reshape(-1, RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASS_NAMES):
        raise DataError(
            f"{path} has labels that name no class", expected="labels from 0 to 9", got=f"label {labels.max()}"
        )
    values = np.ascontiguousarray(records[:, 1:]).reshape(-1, *SHAPE)
    return make_store(NAME, conform(values, config), labels, CLASS_NAMES)


def _read_all(path: Path, names: tuple[str, ...]) -> list[bytearray]:
    with reading(path, ARCHIVE, remedy="get it again"):
        if kind_at(path) == "folder":
            return [_read_file(path / name) for name in names]
        found: dict[str, bytearray] = {}
        # As a stream: where a header claims to lie before another or far beyond the end, nothing is sought for long.
        with (
            open_maybe_gzipped(path) as (stream, _),
            tarfile.open(fileobj=cast(Any, _Counted(stream)), mode="r|") as archive,
        ):
            for member in archive:
                name = Path(member.name).name
                if name in names and (file := archive.extractfile(member)):
                    found[name] = read_at_most(file, LARGEST_FILE)
    if missing := [name for name in names if name not in found]:
        raise DataError(f"{path} holds no {missing[0]}", remedy="get it again")
    return [found[name] for name in names]


def _read_file(path: Path) -> bytearray:
    with open_regular(path) as file:
        return read_at_most(file, LARGEST_FILE)


class _Counted:
    """A stream that ends, whatever tarfile asks of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = LARGEST_FILE
        self._ended = False

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        if self._ended:
            raise EOFError
        self._left -= len(piece)
        if self._left < 0:
            raise OSError(errno.EFBIG, f"more than {readable_size(LARGEST_FILE)}")
        self._ended = not piece
        return piece
