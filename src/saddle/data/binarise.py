"""Binary images of grey ones, the same for every run: a benchmark of likelihoods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from saddle.base.chance import stream
from saddle.base.sizes import check_memory
from saddle.config.schema import DataConfig
from saddle.data.store import Store
from saddle.errors import DataError

_BLACK, _WHITE, _MIDDLE = 0, 255, 128


def binarised(store: Store, config: DataConfig) -> Store:
    """The images of ``store``, and those held out of it, with values 0 and 255 alone; the same store if none is wanted.

    ``threshold``: a value is white from the middle on, 128. ``sampled``: a value v is white with probability v / 255,
    drawn once for each image (Salakhutdinov & Murray 2008, section 5). What is drawn depends on nothing but the image's
    own pixels, so that all runs, splits and forms of the same data have the same binary images.

    Raises:
        DataError: these are no images, or images that are drawn fresh.
        TooLarge: they would not fit in memory.
    """
    if config.binarise == "no":
        return store
    if store.kind != "images" or store.draw is not None:
        raise DataError(
            f"{store.name} cannot be binarised",
            expected="images",
            got="points" if store.kind == "points" else "images that are drawn fresh",
            remedy="--set data.binarise=no",
        )
    check_memory(store.values.nbytes, f"{len(store):,} binary images", remedy="take fewer: data.first")
    brighter = _than_drawn if config.binarise == "sampled" else _than_the_middle
    return replace(
        store,
        name=f"binarised {store.name}",
        values=_each(store.values.astype(np.uint8, copy=False), brighter),
        fingerprint=sha256(f"binarised {config.binarise} {store.fingerprint}".encode()).hexdigest(),
        held_out=None if store.held_out is None else binarised(store.held_out, config),
    )


def _each(images: NDArray[np.uint8], brighter: Callable[[NDArray[np.uint8]], NDArray[np.bool_]]) -> NDArray[np.uint8]:
    found = np.empty(images.shape, np.uint8)
    for place, image in enumerate(images):
        found[place] = np.where(brighter(image), _WHITE, _BLACK)
    return found


def _than_the_middle(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return image >= _MIDDLE


def _than_drawn(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each value is above one drawn evenly from 0 to 254."""
    own = stream(0, "binarise", sha256(np.ascontiguousarray(image).data).hexdigest())
    # numpy promises that these raw numbers stay the same in all its versions.
    raw = np.random.PCG64(own).random_raw(image.size) >> np.uint64(32)
    return image > (raw * np.uint64(_WHITE) >> np.uint64(32)).reshape(image.shape)
