"""The idx format of MNIST and its relatives (Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist/).

The header is big-endian: two zero bytes, the type (8: uint8), the number of dimensions, and each dimension as uint32.
The values follow.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saddle.config.schema import DataConfig
from saddle.data.formats.pixels import conform
from saddle.data.store import Store, make_store
from saddle.errors import DataError, NoSuchSplit

Split = Literal["train", "test"]
Part = Literal["images", "labels"]
SPLITS: tuple[Split, Split] = ("train", "test")
PARTS: tuple[Part, Part] = ("images", "labels")


def standard_name(split: Split, part: Part) -> str:
    """The name that MNIST's authors gave the file, without ``.gz``."""
    return f"{'train' if split == 'train' else 't10k'}-{part}-idx{3 if part == 'images' else 1}-ubyte"


def find_idx(folder: Path, split: Split, part: Part) -> Path | None:
    """The idx file of ``part`` in ``folder`` under any of its usual names, or None."""
    name = standard_name(split, part)
    for usual in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = folder / f"{usual}{suffix}"
            if path.is_file():
                return path
    return None


def holds_idx(folder: Path) -> bool:
    """Whether ``folder`` holds idx images of either split."""
    return any(find_idx(folder, split, "images") for split in SPLITS)


def open_idx(name: str, folder: Path, class_names: Sequence[str], config: DataConfig) -> Store:
    """The images (N, 1, H, W) and labels of one split. Without a label file there are no labels.

    Raises:
        DataError: no such split, a broken file, or labels that do not match.
    """
    images_path = find_idx(folder, config.split, "images")
    if images_path is None:
        raise NoSuchSplit(
            f"{folder} has no {config.split} images",
            expected=f"{standard_name(config.split, 'images')}, or the same with .gz",
            remedy="set the other data.split, or add the file",
        )
    images = read_idx(images_path, dimensions=3)
    labels_path = find_idx(folder, config.split, "labels")
    labels = None
    if labels_path is not None:
        labels = read_idx(labels_path, dimensions=1).astype(np.int64)
        if len(labels) != len(images):
            raise DataError(
                f"{labels_path} does not belong to {images_path.name}",
                expected=f"{len(images):,} labels, one for each image",
                got=f"{len(labels):,} labels",
            )
        if labels.max() >= len(class_names):
            raise DataError(
                f"{labels_path} has labels that name no class",
                expected=f"labels from 0 to {len(class_names) - 1}",
                got=f"label {labels.max()}",
            )
    values = conform(images[:, None], config)
    return make_store(name, values, labels, class_names if labels is not None else ())


def read_idx(path: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """The array in an idx file of uint8, compressed with gzip or not.

    Raises:
        DataError: the file is incomplete, damaged, of another type, or empty.
    """
    raw = read_maybe_gzipped(path)
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or raw[3] != dimensions:
        raise DataError(
            f"{path} is not an idx file of {dimensions}-dimensional bytes",
            expected=f"magic number 0000080{dimensions}",
            got=raw[:4].hex() or "an empty file",
            remedy="get the file again",
        )
    start = 4 + 4 * dimensions
    shape = tuple(int.from_bytes(raw[place : place + 4], "big") for place in range(4, start, 4))
    expected = start + math.prod(shape)
    if len(raw) < start or len(raw) != expected:
        raise DataError(
            f"{path} does not have the length that its header gives",
            expected=f"{expected:,} bytes for {' x '.join(map(str, shape))} values",
            got=f"{len(raw):,} bytes",
            remedy="get the file again",
        )
    if 0 in shape:
        raise DataError(f"{path} holds no data", got=f"shape {shape}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def read_maybe_gzipped(path: Path) -> bytes:
    """The content of a file, decompressed where it is gzip.

    Raises:
        DataError: the file cannot be read, or its gzip stream is incomplete or damaged.
    """
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except EOFError as error:
        raise DataError(f"{path} is incomplete: its gzip stream has no end", remedy="get the file again") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged", got=error, remedy="get the file again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read", got=error.strerror or error) from error
