"""Arrays: ``.npy`` and ``.npz`` files, and what Python users have in memory.

Images are uint8 or floats in [0, 1], as (N, H, W), (N, C, H, W) or (N, H, W, C) with C of 1, 3 or 4. If both of the
last two are possible, channels come first. Points are numbers as (N,) or (N, d).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from saddle.base.opening import open_regular
from saddle.base.sizes import check_memory
from saddle.config.schema import DataConfig
from saddle.data.formats.npy import map_npy, read_npy
from saddle.data.formats.pixels import MODE_OF_CHANNELS, conform
from saddle.data.formats.reading import reading
from saddle.data.store import Store, make_store, transparency
from saddle.errors import DataError

ARRAY_SUFFIXES = (".npy", ".npz")
VALUE_KEYS = ("images", "points", "x", "data")
PIECE = 2**22  # values that are looked at together


def open_array_file(path: Path, config: DataConfig) -> Store:
    """The array in an ``.npy`` file (memory-mapped where it can be used as it is) or an ``.npz`` with labels.

    An ``.npz`` has the values as ``images``, ``points``, ``x`` or ``data``, or as its only array, and perhaps
    ``labels``. All samples are in the store, whatever ``config.split`` says; see ``saddle.data.held_out.take_part``.

    Raises:
        DataError: a broken file, Python objects inside, or values that are neither images nor points.
        TooLarge: an array would not fit in memory.
    """
    with reading(path, "array file", remedy="write the file again"), open_regular(path) as file:
        array, labels = _arrays(path.name, file)
    return from_array(path.name, array, labels, config)


def _arrays(name: str, file: BinaryIO) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The values and perhaps the labels in a file; of an archive, no other array is read."""
    zipped = file.read(2) == b"PK"
    file.seek(0)
    if not zipped:
        return map_npy(file, name), None
    with zipfile.ZipFile(file) as archive:
        held = [entry[: -len(".npy")] for entry in archive.namelist() if entry.endswith(".npy")]
        keys = [key for key in VALUE_KEYS if key in held] or [key for key in held if key != "labels"]
        if len(keys) != 1:
            raise DataError(
                f"{name} does not say which array is the data",
                expected=f"exactly one of {', '.join(VALUE_KEYS)}",
                got=", ".join(keys[:10]) or "no arrays",
            )
        array, *labels = (_read_part(archive, name, key) for key in (*keys, "labels") if key in held)
        return array, labels[0] if labels else None


def _read_part(archive: zipfile.ZipFile, name: str, key: str) -> NDArray[Any]:
    with archive.open(f"{key}.npy") as stream:
        return read_npy(cast(BinaryIO, stream), f"{key} in {name}")


def from_array(
    name: str,
    array: NDArray[Any],
    labels: NDArray[Any] | None,
    config: DataConfig,
    class_names: tuple[str, ...] | None = None,
) -> Store:
    """A store of an array of images or points.

    Args:
        name: what it is called in messages.
        array: images or points, see the module.
        labels: (N,) integers or strings, or None. The classes are the distinct values, sorted.
        config: size, fit and channels apply to images, columns to points.
        class_names: names of the classes 0, 1, ..., if the ``labels`` are integers that number them.

    Raises:
        DataError: shapes, types or values that cannot be used, or labels that do not match.
    """
    if array.size == 0:
        raise DataError(f"{name} holds no data", got=f"shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} holds no numbers", expected="numbers", got=f"dtype {array.dtype}")
    if array.ndim == 0:
        raise DataError(f"{name} holds one number", expected="an array of samples")
    if config.columns is not None:
        array = _choose_columns(name, array, config.columns)
    if array.dtype.kind == "f":
        _check_finite(name, array)
    if any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array)  # torch has no negative strides
    notes: list[tuple[str, str]] = []
    if array.ndim <= 2:
        values = _points(name, array, config)
    else:
        images = _images(name, array)
        values = conform(images, config)
        if images.shape[1] == 4 > values.shape[1]:
            notes = transparency(int((images[:, 3].min((1, 2)) < 255).sum()), len(images))
    indices, names = _classes(name, labels, len(values), class_names)
    return make_store(name, values, indices, names, notes)


def _choose_columns(name: str, array: NDArray[Any], columns: Sequence[int | str]) -> NDArray[Any]:
    if array.ndim != 2:
        raise DataError(
            f"{name} has no columns",
            expected="points (N, d)",
            got=f"shape {array.shape}",
            remedy="leave data.columns out",
        )
    numbers: list[int] = []
    for column in columns:
        if isinstance(column, str) or column >= array.shape[1]:
            raise DataError(f"{name} has no column {column!r}", expected=f"numbers from 0 to {array.shape[1] - 1}")
        numbers.append(column)
    return array[:, numbers]


def _points(name: str, array: NDArray[Any], config: DataConfig) -> NDArray[np.float32]:
    if config.size is not None or config.channels is not None:
        raise DataError(
            f"{name} holds points, which have no size or channels",
            got=f"data.size = {config.size}, data.channels = {config.channels}",
            remedy="leave both out",
        )
    points = array.reshape(len(array), -1)
    if points.dtype != np.float32:
        check_memory(4 * points.size, f"the points of {name}")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(points, dtype=np.float32) if points.dtype != np.float32 else points
    if array.dtype.kind == "f" and array.dtype.itemsize > 4:
        _check_finite(f"{name}, as float32,", values)
    return values


def _images(name: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] in MODE_OF_CHANNELS:
        pass
    elif array.ndim == 4 and array.shape[3] in MODE_OF_CHANNELS:
        array = array.transpose(0, 3, 1, 2)
    else:
        raise DataError(
            f"{name} has neither a shape of images nor one of points",
            expected="(N, H, W), (N, C, H, W) or (N, H, W, C) with C of 1, 3 or 4; or (N,) or (N, d)",
            got=array.shape,
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise DataError(
            f"{name} holds images of a type that cannot be used",
            expected="uint8, or floats in [0, 1]",
            got=f"dtype {array.dtype}",
            remedy='convert them, with array.astype("uint8") if they are from 0 to 255',
        )
    low, high = array.min(), array.max()
    if low < 0 or high > 1:
        raise DataError(
            f"{name} holds float images outside [0, 1]",
            expected="floats in [0, 1], or uint8",
            got=f"values from {low:g} to {high:g}",
            remedy="scale them; (x + 1) / 2 brings [-1, 1] to [0, 1]",
        )
    check_memory(array.size, f"the images of {name}")
    result = np.empty(array.shape, np.uint8)
    rows = max(1, PIECE // array[0].size)
    for start in range(0, len(array), rows):
        np.rint(array[start : start + rows] * 255, out=result[start : start + rows], casting="unsafe")
    return result


def _check_finite(name: str, array: NDArray[Any]) -> None:
    # In pieces, so that a memory-mapped array is never copied as a whole.
    count, first = 0, ()
    rows = max(1, PIECE // array[:1].size)
    for start in range(0, len(array), rows):
        bad = np.argwhere(~np.isfinite(array[start : start + rows]))
        if len(bad) and not count:
            first = (start + int(bad[0][0]), *map(int, bad[0][1:]))
        count += len(bad)
    if count:
        raise DataError(
            f"{name} holds values that are not finite",
            expected="finite numbers",
            got=f"{count:,} NaN or infinite, the first at index {list(first)}",
            remedy="remove or replace them",
        )


def _classes(
    name: str, labels: NDArray[Any] | None, count: int, class_names: tuple[str, ...] | None
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    if labels is None:
        return None, ()
    if labels.shape != (count,):
        raise DataError(
            f"the labels of {name} do not match",
            expected=f"shape ({count},), one label for each sample",
            got=f"shape {labels.shape}",
        )
    if labels.dtype.kind not in "biuU" or (labels.dtype.kind == "i" and labels.min() < 0):
        raise DataError(
            f"the labels of {name} cannot be used",
            expected="integers that are not negative, or strings",
            got=f"integers from {labels.min()}" if labels.dtype.kind == "i" else f"dtype {labels.dtype}",
        )
    if class_names is not None and labels.dtype.kind in "biu":
        if labels.max() >= len(class_names):
            raise DataError(
                f"the labels of {name} do not match its class names",
                expected=f"labels from 0 to {len(class_names) - 1}",
                got=f"label {labels.max()}",
            )
        return labels.astype(np.int64), class_names
    present, indices = np.unique(labels, return_inverse=True)
    try:
        names = tuple(str(value) for value in present)
        "".join(names).encode()
    except (ValueError, SystemError):  # numpy keeps any 32 bits as a character
        raise DataError(f"the labels of {name} cannot be used", expected="text", got="what is no text") from None
    return indices.astype(np.int64), names
