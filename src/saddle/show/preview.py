"""Pictures of the data themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saddle.data.store import Store, Values
from saddle.show.grid import tile, tile_pairs
from saddle.show.points import picture_points

_IMAGES = 64
_PAIRS = 32
_POINTS = 10_000


def draw_preview(store: Store) -> Image.Image:
    """64 images spread over the store with their class names, or a plot of up to 10,000 points."""
    wanted = _IMAGES if store.kind == "images" else _POINTS
    chosen = _spread(len(store), wanted)
    values = np.asarray(store.values[chosen])
    if values.dtype != np.uint8:
        truth = None if store.distribution is None else store.distribution.coordinate
        return picture_points(None, values.astype(np.float32), truth=truth)
    if store.inputs is not None:
        shown = store.spread(_PAIRS)
        assert shown.inputs is not None
        return tile_pairs(shown.inputs, shown.values.astype(np.uint8))
    labels = None if store.labels is None else [store.class_names[label] for label in store.labels[chosen]]
    return tile(values.astype(np.uint8), labels=labels)


def spread(store: Store, count: int) -> Values:
    """At most ``count`` values, evenly spaced over the store, since data may come sorted; in their order."""
    return store.values[_spread(len(store), count)]


def _spread(size: int, count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, size - 1, min(count, size)).astype(np.int64))
