"""Real samples that a run did not learn from."""

from __future__ import annotations

from saddle.config.schema import DataConfig
from saddle.data.sources import open_data
from saddle.data.store import Store
from saddle.errors import DataError
from saddle.progress import Progress

# Where nothing was put aside, this share of the training data, its last, chooses settings: 10,000 of MNIST.
_VALIDATION_SHARE = 1 / 6


def open_held_out(config: DataConfig, store: Store, *, progress: Progress | None = None) -> Store | None:
    """The other split of the data in ``store``, or None where there is none.

    Args:
        config: by which ``store`` was opened.
    """
    other = "train" if config.split == "test" else "test"
    rest = config.model_copy(update={"split": other, "fingerprint": None, "first": None, "labelled": None})
    try:
        held_out = open_data(rest, progress=progress)
    except DataError:  # most data have one split only
        return None
    # What is drawn from a distribution is the same in each split.
    return None if held_out.fingerprint == store.fingerprint or held_out.shape != store.shape else held_out


def open_validation(config: DataConfig, store: Store, *, progress: Progress | None = None) -> Store | None:
    """Images that may choose settings: those after ``config.first``, else the last sixth of ``store``; no points."""
    if store.kind == "points" or store.draw is not None:
        return None
    if config.first is not None:
        whole = open_data(config.model_copy(update={"first": None}), progress=progress)
        return whole.taking(slice(config.first, None)) if config.first < len(whole) else None
    count = round(len(store) * _VALIDATION_SHARE)
    return store.taking(slice(len(store) - count, None)) if count else None
