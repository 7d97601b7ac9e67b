from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from saddle.config.schema import DataConfig
from saddle.data import open_data


def test_equal_to_scikit_learns_copy() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    original = datasets.load_digits()
    train, test = open_data(DataConfig()), open_data(DataConfig(split="test"))
    values = np.concatenate([train.values, test.values])
    labels = np.concatenate([train.labels, test.labels])
    assert values.shape == (1797, 1, 8, 8)
    np.testing.assert_array_equal(values[:, 0], np.floor(original.images * 255 / 16 + 0.5))
    np.testing.assert_array_equal(labels, original.target)


def test_splits_and_names() -> None:
    train, test = open_data(DataConfig()), open_data(DataConfig(split="test"))
    assert (len(train), len(test)) == (1500, 297)
    assert train.class_names == tuple("0123456789")
    assert train.kind == "images"
    assert train.shape == (1, 8, 8)
    assert train.fingerprint != test.fingerprint


def test_size_and_channels_apply() -> None:
    store = open_data(DataConfig(size=(16, 12), channels=3))
    assert store.values.shape == (1500, 3, 16, 12)


def test_data_room_does_not_import_torch() -> None:
    code = "import sys, saddle.data; saddle.data.open_data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
