"""The bundled digits: 1,797 handwritten digits of 8x8 pixels, so that the first run needs no network.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49, licensed CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). These are the
1,797 digits of its test file, in its order, which scikit-learn ships too. See ``DIGITS.md`` beside this file.
"""

from __future__ import annotations

import gzip
from importlib import resources
from typing import Literal

import numpy as np

from saddle.config.schema import DataConfig
from saddle.data.formats.pixels import conform
from saddle.data.store import Store, make_store

COUNT = 1797
TRAIN = 1500  # the split is ours: the first 1,500 digits are trained on, the last 297 are held out
LEVELS = 16  # the value of a pixel is the number of dark dots, 0 to 16, in a 4x4 cell of the scan


def open_digits(config: DataConfig) -> Store:
    """The bundled digits as uint8 (N, 1, 8, 8), ink bright, with labels 0 to 9; 1,500 to train, 297 to test."""
    packed = resources.files("saddle.data.named").joinpath("digits.bin.gz").read_bytes()
    raw = np.frombuffer(gzip.decompress(packed), np.uint8)
    rows = _rows(config.split)
    pixels = raw[: COUNT * 64].reshape(COUNT, 1, 8, 8)[rows]
    # 0..16 to 0..255, rounded to the nearest.
    values = ((pixels.astype(np.uint16) * 255 + LEVELS // 2) // LEVELS).astype(np.uint8)
    labels = raw[COUNT * 64 :][rows].astype(np.int64)
    return make_store("digits", conform(values, config), labels, [str(digit) for digit in range(10)])


def _rows(split: Literal["train", "test"]) -> slice:
    return slice(TRAIN) if split == "train" else slice(TRAIN, COUNT)
