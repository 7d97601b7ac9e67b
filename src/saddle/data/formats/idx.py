"""The idx format of MNIST and its relatives (Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist/).

The header is big-endian: two zero bytes, the type (8: uint8), the number of dimensions, and each dimension as uint32.
The values follow.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saddle.base.opening import read_up_to
from saddle.base.sizes import check_memory
from saddle.config.schema import DataConfig
from saddle.data.formats.pixels import conform
from saddle.data.formats.reading import open_maybe_gzipped, reading
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
            if os.path.lexists(path):  # what is no file is refused where it is opened
                return path
    return None


def holds_idx(folder: Path) -> bool:
    """Whether ``folder`` holds idx images of either split."""
    return any(find_idx(folder, split, "images") for split in SPLITS)


def open_idx(name: str, folder: Path, class_names: Sequence[str], config: DataConfig) -> Store:
    """The images (N, 1, H, W) and labels of one split. Without a label file there are no labels.

    Raises:
        DataError: no such split, a broken file, or labels that do not match.
        TooLarge: the images would not fit in memory.
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
        TooLarge: its values would not fit in memory.
    """
    start = 4 + 4 * dimensions
    with (
        reading(path, "idx file", remedy="get the file again"),
        open_maybe_gzipped(path) as (stream, most),
    ):
        head = stream.read(start)
        if len(head) < 4 or head[:3] != b"\0\0\x08" or head[3] != dimensions:
            raise DataError(
                f"{path} is not an idx file of {dimensions}-dimensional bytes",
                expected=f"magic number 0000080{dimensions}",
                got=head[:4].hex() or "an empty file",
                remedy="get the file again",
            )
        shape = tuple(int.from_bytes(head[place : place + 4], "big") for place in range(4, len(head), 4))
        expected = math.prod(shape)
        if start + expected > most:
            found, values = f"at most {max(0, most - start):,} bytes", bytearray()
        else:
            check_memory(expected, f"the values in {path.name}")
            values = read_up_to(stream, expected + 1)
            found = "more" if len(values) > expected else f"{len(values):,} bytes"
        if len(head) < start or len(values) != expected:
            raise DataError(
                f"{path} does not have the length that its header gives",
                expected=f"{expected:,} bytes for {' x '.join(map(str, shape))} values",
                got=found,
                remedy="get the file again",
            )
    if 0 in shape:
        raise DataError(f"{path} holds no data", got=f"shape {shape}")
    return np.frombuffer(values, np.uint8).reshape(shape)
