"""Real samples that a run did not learn from."""

from __future__ import annotations

from saddle.base.progress import Progress, Silent
from saddle.config.schema import DataConfig
from saddle.data.sources import open_data
from saddle.data.store import Store
from saddle.errors import DataError, NoSuchSplit


def open_held_out(config: DataConfig, store: Store, *, progress: Progress | None = None) -> Store | None:
    """The other split of the data in ``store``, or None where there is none; where it cannot be read, that is said.

    Args:
        config: by which ``store`` was opened.
        progress: who is told.
    """
    if store.draw is not None:  # each split is drawn from the same distribution
        return None
    other = "train" if config.split == "test" else "test"
    rest = config.model_copy(update={"split": other, "fingerprint": None, "first": None, "labelled": None})
    progress = progress or Silent()
    try:
        held_out = open_data(rest, progress=progress)
    except NoSuchSplit:
        return None
    except DataError as error:
        progress.say(f"scored without held-out data: {error.what}")
        return None
    return None if held_out.fingerprint == store.fingerprint or held_out.shape != store.shape else held_out


def open_validation(config: DataConfig, store: Store, *, progress: Progress | None = None) -> Store | None:
    """The training samples after ``config.first``, which may choose settings; None where none are left out."""
    if config.first is None or store.draw is not None:
        return None
    try:
        whole = open_data(config.model_copy(update={"first": None}), progress=progress)
    except DataError:  # data that were given in memory
        return None
    return whole.taking(slice(config.first, None)) if config.first < len(whole) else None
