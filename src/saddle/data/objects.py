"""Data that Python users hold in memory: tensors, arrays, map-style datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data.formats.arrays import from_array
from saddle.data.formats.pixels import is_grey, render, standard, wanted_size
from saddle.data.sources import check_fingerprint, take_first
from saddle.data.store import Store
from saddle.errors import DataError


def from_object(data: Any, labels: Any = None, *, config: DataConfig) -> Store:
    """A store of data in memory.

    Args:
        data: a tensor or array of images or points, shaped as ``saddle.data.formats.arrays`` says; or a map-style
            dataset whose items are x or (x, label), x a Pillow image, a tensor or an array. Its ``classes``, if any,
            name the classes.
        labels: (N,) integers or strings as a tensor, array or sequence; None: the dataset's own, or none.
        config: size, fit, channels and fingerprint apply.

    Raises:
        DataError: the data cannot be used, or are not what ``config.fingerprint`` promises.
    """
    name = f"the {type(data).__name__} given"
    class_names = getattr(data, "classes", None)
    if isinstance(data, np.ndarray) or hasattr(data, "detach"):
        array = _to_array(data)
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (str, bytes, dict)):
        array, own_labels = _read_dataset(name, data, config)
        labels = own_labels if labels is None else labels
    else:
        raise DataError(
            f"{name} is no data",
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
    check_fingerprint(store, config)
    return take_first(store, config)


def _to_array(value: Any) -> NDArray[Any]:
    if hasattr(value, "detach"):  # a torch tensor, told by its looks since importing torch takes seconds
        value = value.detach().cpu()
        # numpy has no bfloat16; float32 holds all smaller floats exactly.
        return (value.float() if value.is_floating_point() and value.element_size() < 4 else value).numpy()
    return np.asarray(value)


def _read_dataset(name: str, data: Any, config: DataConfig) -> tuple[NDArray[Any], NDArray[Any] | None]:
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
    arrays = _render_all(items, config) if isinstance(items[0], Image.Image) else [_to_array(item) for item in items]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise DataError(
            f"{name} yields samples of different shapes",
            expected="one shape",
            got=", ".join(map(str, sorted(shapes)[:5])),
            remedy="give data.size if they are Pillow images, or resize them in the dataset",
        )
    return np.stack(arrays), labels


def _render_all(images: Sequence[Image.Image], config: DataConfig) -> list[NDArray[np.uint8]]:
    upright = [standard(image) for image in images]
    channels = config.channels or (1 if all(map(is_grey, upright)) else 3)
    return [render(image, wanted_size(config), channels, config.fit) for image in upright]
