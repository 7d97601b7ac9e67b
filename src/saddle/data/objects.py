"""Data that Python users have in memory: tensors, arrays, map-style datasets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data.binarise import binarised
from saddle.data.formats.arrays import from_array
from saddle.data.formats.pixels import is_grey, is_transparent, render, standard, wanted_size
from saddle.data.held_out import take_part
from saddle.data.pairs import paired
from saddle.data.sources import check_fingerprint, take_first
from saddle.data.store import Store, transparency
from saddle.errors import DataError


def from_object(data: Any, labels: Any = None, *, config: DataConfig) -> Store:
    """A store of data in memory.

    Args:
        data: a tensor or array of images or points, shaped as ``saddle.data.formats.arrays`` says; or a map-style
            dataset whose items are x or (x, label), where x is a Pillow image, a tensor or an array. If it has
            ``classes``, these are the names of the classes.
        labels: (N,) integers or strings as a tensor, array or sequence. With None, the dataset's own labels are used.
        config: size, fit, channels, columns, binarise, pairs, held_out, split, first and fingerprint apply.

    Returns:
        What ``config.split`` names: by default all but the held-out samples, which the store has as ``held_out``.

    Raises:
        DataError: the data cannot be used, or are not what ``config.fingerprint`` promises.
        NoSuchSplit: the split is ``test``, and nothing is held out.
    """
    name = f"the {type(data).__name__} given"
    class_names = getattr(data, "classes", None)
    if isinstance(data, np.ndarray) or hasattr(data, "detach"):
        array, notes = _to_array(data), []
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (str, bytes, dict)):
        array, own_labels, notes = _read_dataset(name, data, config)
        labels = own_labels if labels is None else labels
    else:
        raise DataError(
            f"{name} cannot be used as data",
            expected="a tensor, an array, or a dataset with __len__ and __getitem__",
            got=type(data),
        )
    store = from_array(
        name,
        array,
        None if labels is None else _to_array(labels),
        config,
        class_names=None if class_names is None else tuple(map(str, class_names)),
    )
    store = paired(binarised(store, config), config)
    check_fingerprint(store, config)
    store = replace(store, notes=(*store.notes, *notes))
    return take_first(take_part(store, config), config)


def _to_array(value: Any) -> NDArray[Any]:
    if hasattr(value, "detach"):  # a torch tensor, recognised without importing torch, which takes seconds
        value = value.detach().cpu()
        # numpy has no bfloat16. float32 holds all smaller floats exactly.
        return (value.float() if value.is_floating_point() and value.element_size() < 4 else value).numpy()
    return np.asarray(value)


def _read_dataset(
    name: str, data: Any, config: DataConfig
) -> tuple[NDArray[Any], NDArray[Any] | None, list[tuple[str, str]]]:
    """The samples, their labels or None, and notes for the store."""
    count = len(data)
    if not count:
        raise DataError(f"{name} is empty")
    items = [data[index] for index in range(count)]
    labels = None
    if isinstance(items[0], (tuple, list)):
        if len(items[0]) != 2:
            raise DataError(f"{name} yields items of {len(items[0])} parts", expected="x, or (x, label)")
        labels = np.asarray([_to_array(label) for _, label in items])
        items = [x for x, _ in items]
    notes: list[tuple[str, str]] = []
    if isinstance(items[0], Image.Image):
        upright = [standard(image) for image in items]
        channels = config.channels or (1 if all(map(is_grey, upright)) else 3)
        arrays = [render(image, wanted_size(config), channels, config.fit) for image in upright]
        if channels < 4:
            notes = transparency(sum(map(is_transparent, upright)), count)
    else:
        arrays = [_to_array(item) for item in items]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise DataError(
            f"{name} yields samples of different shapes",
            expected="one shape",
            got=", ".join(map(str, sorted(shapes)[:5])),
            remedy="set data.size if they are Pillow images, or resize them in the dataset",
        )
    return np.stack(arrays), labels, notes
