"""A look at the data."""

from __future__ import annotations

import numpy as np
from PIL import Image

from saddle.data.store import Store
from saddle.show.grid import tile
from saddle.show.points import picture_points

_IMAGES = 64
_POINTS = 10_000


def draw_preview(store: Store) -> Image.Image:
    """64 images spread over the store with their class names, or a plot of up to 10,000 points."""
    wanted = _IMAGES if store.kind == "images" else _POINTS
    chosen = np.unique(np.linspace(0, len(store) - 1, min(wanted, len(store))).astype(np.int64))
    values = np.asarray(store.values[chosen])
    if values.dtype != np.uint8:
        truth = None if store.distribution is None else store.distribution.coordinate
        return picture_points(None, values.astype(np.float32), truth=truth)
    labels = None if store.labels is None else [store.class_names[label] for label in store.labels[chosen]]
    return tile(values.astype(np.uint8), labels=labels)
