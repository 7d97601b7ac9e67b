"""What ``saddle data inspect`` tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saddle.base.progress import Progress
from saddle.config.schema import DataConfig
from saddle.data.sources import open_data
from saddle.data.store import Skipped, Store


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Args:
        store: the data, for a preview.
        facts: (name, value) rows to print.
        class_counts: samples of each class, in class order; empty without labels.
        skipped: files left out, and why.
    """

    store: Store
    facts: tuple[tuple[str, str], ...]
    class_counts: tuple[tuple[str, int], ...]
    skipped: tuple[Skipped, ...]


def inspect_data(config: DataConfig, *, progress: Progress | None = None) -> Inspection:
    """Open the data of ``config`` and describe them, however many files are unreadable.

    Raises:
        DataError: nothing is there, or it cannot be used.
    """
    store = open_data(config.model_copy(update={"max_unreadable": 1.0}), progress=progress)
    facts = [
        ("name", store.name),
        (store.kind, f"{len(store):,}"),
        ("shape", " x ".join(map(str, store.shape)) + (" (C x H x W)" if store.kind == "images" else "")),
        ("range", f"{store.values.min():g} to {store.values.max():g}"),
        *store.notes,
        ("classes", str(len(store.class_names)) if store.class_names else "none"),
        ("skipped", f"{len(store.skipped):,}"),
        ("fingerprint", store.fingerprint),
    ]
    counts = np.bincount(store.labels, minlength=len(store.class_names)).tolist() if store.labels is not None else []
    return Inspection(store, tuple(facts), tuple(zip(store.class_names, counts, strict=False)), store.skipped)
