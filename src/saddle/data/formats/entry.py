"""An entry of the cache of decoded images, which is checked whole before a process uses it for the first time.

``values.bin`` and ``held_out.bin`` hold raw pixels, ``labels.npy`` the labels of both, one after the other, and
``entry.json`` the rest: with a checksum of each 4 MiB of these files, and one of itself. CRC-32 finds every error of up
to 32 neighbouring bits, and all but one in four thousand million of others; it is quicker than disks are.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from saddle.base.opening import open_regular, read_at_most, shown
from saddle.base.progress import Progress
from saddle.base.sizes import free_memory, readable_size
from saddle.data.formats.npy import read_npy
from saddle.data.formats.reading import LARGEST_FILE, reading, reason_of
from saddle.data.store import Skipped, Store
from saddle.errors import DataError, TooLarge

BLOCK = 2**22  # bytes that have one checksum
_LONG = 2**30  # bytes whose check takes so long that the user must be told
_checked: set[tuple[str, int, int, int]] = set()  # files of this process: path, inode, size and time


class Facts(BaseModel):
    """What ``entry.json`` says.

    Args:
        shape: (C, H, W) of an image.
        trained: the number of images in ``values.bin``.
        held_out: the number of images in ``held_out.bin``.
        class_names, fingerprint, skipped, notes: as in ``Store``.
        sums: the checksums of each file's blocks.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    trained: PositiveInt
    held_out: NonNegativeInt
    class_names: tuple[str, ...]
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    skipped: tuple[Skipped, ...]
    notes: tuple[tuple[str, str], ...]
    sums: dict[str, tuple[int, ...]]


class _Sealed(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    facts: str
    sha256: str


def write_entry(folder: Path, **facts: Any) -> None:
    """Complete the entry in ``folder``, whose other files are there: ``entry.json`` is written.

    Args:
        folder: where it is.
        facts: all of ``Facts`` but the checksums.
    """
    sums: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.iterdir()):
        with open_regular(path) as file:
            sums[path.name] = tuple(map(zlib.crc32, _blocks(file)))
    text = Facts(**facts, sums=sums).model_dump_json()
    sealed = {"facts": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    (folder / "entry.json").write_text(json.dumps(sealed), encoding="utf-8")


def load_entry(entry: Path, name: str, progress: Progress) -> tuple[Store, Store | None] | None:
    """The images of an entry that are trained on, and those that are held out; or None if there is no entry.

    Args:
        entry: its folder.
        name: of the store.
        progress: is told about a long check.

    Raises:
        ValueError: it is damaged; how, in one line.
        TooLarge: it cannot be mapped.
    """
    if not os.path.lexists(entry):
        return None
    try:
        return _load(entry, name, progress)
    except (OSError, MemoryError) as error:
        if isinstance(error, MemoryError) or error.errno == errno.ENOMEM:
            raise TooLarge(
                f"{entry} cannot be mapped into memory", got=f"{readable_size(free_memory())} are free"
            ) from error
        raise ValueError(f"{shown(Path(error.filename or entry).name)}: {reason_of(error)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(" ".join(["entry.json:", *map(str, first["loc"]), first["msg"]])) from error
    except DataError as error:
        raise ValueError(error.what) from error


def _load(entry: Path, name: str, progress: Progress) -> tuple[Store, Store | None]:
    with open_regular(entry / "entry.json") as file:
        sealed = _Sealed.model_validate_json(bytes(read_at_most(file, LARGEST_FILE)))
    if hashlib.sha256(sealed.facts.encode()).hexdigest() != sealed.sha256:
        raise ValueError("entry.json does not fit its checksum")
    facts = Facts.model_validate_json(sealed.facts)
    labels = _labels(entry, facts, progress) if facts.class_names else None
    store = Store(
        name=name,
        values=_images(entry / "values.bin", facts.trained, facts, progress),
        labels=None if labels is None else labels[: facts.trained],
        class_names=facts.class_names,
        fingerprint=facts.fingerprint,
        skipped=facts.skipped,
        notes=facts.notes,
    )
    if not facts.held_out:
        return store, None
    values = _images(entry / "held_out.bin", facts.held_out, facts, progress)
    return store, replace(store, values=values, labels=None if labels is None else labels[facts.trained :])


def _images(path: Path, count: int, facts: Facts, progress: Progress) -> NDArray[np.uint8]:
    with open_regular(path) as file:
        shape = (count, *facts.shape)
        found, size = os.fstat(file.fileno()).st_size, math.prod(shape)
        if found != size:
            raise ValueError(f"{path.name} has {found:,} bytes and not {size:,}")
        _check(path, file, facts, progress)
        # Read-only and shared: the pages belong to the file, so that memory stays free for the training.
        return np.memmap(file, np.uint8, "r", shape=shape)


def _labels(entry: Path, facts: Facts, progress: Progress) -> NDArray[np.int64]:
    path = entry / "labels.npy"
    with open_regular(path) as file:
        _check(path, file, facts, progress)
        file.seek(0)
        with reading(path, "array file"):
            labels = read_npy(file, path.name)
    count, classes = facts.trained + facts.held_out, len(facts.class_names)
    if labels.dtype != np.int64 or labels.shape != (count,) or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"{path.name} does not hold {count:,} labels of {classes:,} classes")
    return labels


def _check(path: Path, file: io.BufferedReader, facts: Facts, progress: Progress) -> None:
    """Compare a file with its checksums, once a process."""
    status = os.fstat(file.fileno())
    known = (os.fspath(path), status.st_ino, status.st_size, status.st_mtime_ns)
    if known in _checked:
        return
    long = status.st_size > _LONG
    if long:
        progress.start("checking cached images", status.st_size, "bytes")
    sums = facts.sums.get(path.name, ())
    try:
        for number, (block, expected) in enumerate(zip_longest(_blocks(file), sums)):
            if block is None or zlib.crc32(block) != expected:
                raise ValueError(f"{path.name} has changed after byte {number * BLOCK:,}")
            if long:
                progress.advance(len(block))
    finally:
        if long:
            progress.finish()
    _checked.add(known)


def _blocks(file: io.BufferedReader) -> Iterator[memoryview]:
    """The content of a file, block by block; each is overwritten by the next."""
    buffer = memoryview(bytearray(BLOCK))
    while count := file.readinto(buffer):
        yield buffer[:count]
