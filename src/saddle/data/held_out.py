"""The part of your own data that no training sees, so that scores have something to be compared with.

Data with a test split of their own (MNIST, idx files, folders called ``train`` and ``test``) are left as they are, and
so are points that are drawn fresh. Of all other data a share is held out, ``data.held_out``. Which rows these are
depends on the number of samples alone: the same at every image size, for every seed of a run, and for the same data
given as files or in memory. The choice is random, because rows often come sorted, class after class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saddle.base.chance import stream
from saddle.config.schema import DataConfig
from saddle.data.store import Store
from saddle.errors import NoSuchSplit

FEWEST = 250  # samples; of fewer none is held out, since the training needs them all
LEAST = 50  # samples held out of any others, since a score of fewer says next to nothing
COPIED = 2**28  # bytes; larger arrays are not copied to choose rows at random


def held_out_count(samples: int, share: float) -> int:
    """How many of ``samples`` are held out: the share, but at least 50; none of fewer than 250."""
    return min(max(LEAST, round(share * samples)), samples - 1) if share and samples >= FEWEST else 0


def held_out_rows(samples: int, share: float, classes: Sequence[Any] | NDArray[Any] | None = None) -> NDArray[np.int64]:
    """The numbers of the rows that are held out, sorted.

    Args:
        samples: the number of rows.
        share: ``data.held_out``.
        classes: the class of each row. A class of which all rows would be held out is trained on instead.
    """
    # numpy promises that these raw numbers stay the same in all its versions, which a run must be able to rely on.
    order = np.argsort(np.random.PCG64(stream(0, "held out", samples)).random_raw(samples), kind="stable")
    rows = np.sort(order[: held_out_count(samples, share)])
    if classes is None or not len(rows):
        return rows
    _, labels = np.unique(np.asarray(classes), return_inverse=True)
    return rows[np.isin(labels[rows], np.delete(labels, rows))]


def take_part(store: Store, config: DataConfig) -> Store:
    """The part of all ``store`` that ``config.split`` names, with the other part as its ``held_out``.

    Of an array above 256 MiB that has no labels or is memory-mapped, such as a large ``.npy`` file, the last rows are
    held out: both parts are then views, and nothing is copied.

    Raises:
        NoSuchSplit: the split is ``test``, and nothing is held out.
    """
    if holds_out_last(store):
        start = len(store) - held_out_count(len(store), config.held_out)
        return choose_part(store.taking(slice(start)), store.taking(slice(start, None)), config)
    rows = held_out_rows(len(store), config.held_out, store.labels)
    if not len(rows):
        return choose_part(store, None, config)
    trained = np.delete(np.arange(len(store)), rows)
    return choose_part(store.taking(trained), store.taking(rows), config)


def holds_out_last(store: Store) -> bool:
    """Whether ``take_part`` holds out the last rows rather than rows chosen at random."""
    # Of the same content, a file and an array in memory must hold out the same rows.
    return store.values.nbytes > COPIED and (store.labels is None or isinstance(store.values, np.memmap))


def choose_part(train: Store, held_out: Store | None, config: DataConfig) -> Store:
    """The part that ``config.split`` names, with the other one as its ``held_out``; None or empty: there is none.

    Raises:
        NoSuchSplit: the split is ``test``, and nothing is held out.
    """
    if not held_out:
        train = replace(train, nothing_held_out=why_nothing(len(train), config.held_out))
        if config.split == "test":
            raise NoSuchSplit(f"{train.name} has no test split of its own", got=train.nothing_held_out)
        return train
    return replace(train, held_out=held_out) if config.split == "train" else replace(held_out, held_out=train)


def why_nothing(samples: int, share: float) -> str:
    """Why nothing is held out of so many samples, as the beginning of a sentence."""
    if not share:
        return "nothing is held out: a new run with --set data.held_out=0.05 keeps a twentieth of the data for scores"
    if samples < FEWEST:
        return f"nothing is held out of fewer than {FEWEST} samples: the training needs them all"
    return "nothing is held out: no class has samples to spare"
