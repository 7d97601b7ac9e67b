"""Real samples that a run was not trained on."""

from __future__ import annotations

from saddle.base.progress import Progress, Silent
from saddle.config.schema import DataConfig
from saddle.data.sources import open_data
from saddle.data.store import Store
from saddle.errors import DataError, NoSuchSplit, TooLarge


def open_held_out(config: DataConfig, store: Store, *, progress: Progress | None = None) -> Store | None:
    """The real samples that a training on ``store`` does not see, or None; ``why_nothing_held_out`` says why.

    These are the other split of data that come with two, and otherwise what ``data.held_out`` holds out. A test split
    that is there and cannot be read is told.

    Args:
        config: by which ``store`` was opened.
        store: the data of a training.
        progress: who is told.
    """
    if store.held_out is not None:
        return store.held_out
    if store.draw is not None or store.nothing_held_out:  # of a distribution, each split is drawn from the same
        return None
    other = "train" if config.split == "test" else "test"
    rest = config.model_copy(update={"split": other, "fingerprint": None, "first": None, "labelled": None})
    progress = progress or Silent()
    try:
        held_out = open_data(rest, progress=progress)
    except NoSuchSplit:
        return None
    except (DataError, TooLarge) as error:
        progress.say(f"scored without held-out data: {error.what}")
        return None
    return None if held_out.fingerprint == store.fingerprint or held_out.shape != store.shape else held_out


def why_nothing_held_out(store: Store) -> str:
    """Why ``open_held_out`` gave None for ``store``, and what to do about it, as the beginning of a sentence."""
    if store.draw is not None:
        return "nothing is held out of samples that are drawn fresh"
    return store.nothing_held_out or "nothing is held out of these data, which come without a test split"


def open_validation(config: DataConfig, store: Store, *, progress: Progress | None = None) -> Store | None:
    """The training samples after the first ``config.first``, by which settings may be chosen; None without any."""
    if config.first is None or store.draw is not None:
        return None
    try:
        whole = open_data(config.model_copy(update={"first": None}), progress=progress)
    except DataError:  # they were given in memory
        return None
    return whole.taking(slice(config.first, None)) if config.first < len(whole) else None
