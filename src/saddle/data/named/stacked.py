"""Stacked MNIST: three digits as the channels of a colour image, 1,000 equally likely modes (Metz et al. 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saddle.base.chance import stream
from saddle.base.progress import Progress
from saddle.config.schema import DataConfig
from saddle.data.named.mnist import open_named
from saddle.data.store import Store, make_store
from saddle.errors import DataError

NAME = "stacked-mnist"
# The size of a fixed sample for pictures, which also counts as an epoch. Training draws fresh triples.
_REFERENCE = 10_000


def open_stacked(config: DataConfig, progress: Progress) -> Store:
    """Random triples of MNIST images as red, green and blue: uint8 (N, 3, 28, 28) or of ``data.size``.

    Raises:
        DataError: MNIST can be neither found nor downloaded, or other channels are asked for.
    """
    if config.channels not in (None, 3):
        raise DataError("stacked MNIST has three channels", got=f"data.channels = {config.channels}")
    digits = open_named("mnist", config.model_copy(update={"channels": 1}), progress)

    def draw(chance: np.random.Generator, count: int) -> NDArray[np.uint8]:
        return digits.values[chance.integers(len(digits), size=(count, 3)), 0].astype(np.uint8, copy=False)

    reference = draw(np.random.default_rng(stream(0, NAME, config.split)), _REFERENCE)
    notes = [("triples of", f"{digits.name}, {len(digits):,} images"), ("modes", "1,000")]
    return make_store(NAME, reference, notes=notes, draw=draw)
