"""Binary images are drawn once and for all: the same in every run, order, split and form of the data."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from saddle.config.schema import DataConfig
from saddle.data import from_object, open_data
from saddle.data.splits import open_held_out
from saddle.errors import DataError


def grey(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 1, 8, 8), np.uint8)


def test_a_value_is_white_with_its_brightness_as_probability():
    values = np.repeat(np.arange(0, 256, 51, dtype=np.uint8), 40)  # 0, 51, ... 255
    images = np.random.default_rng(0).permuted(np.tile(values, (400, 1)), axis=1).reshape(400, 1, 16, 15)
    found = from_object(images, config=DataConfig(binarise="sampled", held_out=0)).values
    assert np.unique(found).tolist() == [0, 255]
    shares = [found[images == value].mean() / 255 for value in range(0, 256, 51)]
    assert shares == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1], abs=0.01)  # 3 standard errors
    assert shares[0] == 0 and shares[-1] == 1


def test_the_threshold_is_half_brightness():
    images = np.array([0, 127, 128, 255], np.uint8).reshape(1, 1, 2, 2)
    found = from_object(images, config=DataConfig(binarise="threshold")).values
    assert found.flatten().tolist() == [0, 0, 255, 255]


def test_an_image_becomes_the_same_wherever_it_comes_from(tmp_path: Path):
    images = grey(300)
    whole = from_object(images, config=DataConfig(binarise="sampled", held_out=0))
    turned = from_object(images[::-1].copy(), config=DataConfig(binarise="sampled", held_out=0))
    assert np.array_equal(turned.values[::-1], whole.values)
    np.save(tmp_path / "images.npy", images)
    config = DataConfig(source=str(tmp_path / "images.npy"), binarise="sampled", first=100)
    store = open_data(config)
    held_out = open_held_out(config, store)
    assert held_out is not None and len(store) == 100 and len(held_out) == 50
    known = {image.tobytes(): binary for image, binary in zip(images, whole.values, strict=True)}
    parts = open_data(config.model_copy(update={"binarise": "no"}))
    assert parts.held_out is not None
    for part, plain in ((store, parts), (held_out, parts.held_out)):
        expected = np.stack([known[image.tobytes()] for image in plain.values])
        assert np.array_equal(part.values, expected)
    assert store.fingerprint == held_out.fingerprint == whole.fingerprint != parts.fingerprint


def test_the_draw_does_not_change_from_version_to_version():
    """What was published with it could not be compared otherwise."""
    store = open_data(DataConfig(source="digits", binarise="sampled"))
    assert sha256(store.values.tobytes()).hexdigest()[:16] == "f7026b9569d3e7ee"
    assert store.name == "binarised digits"


def test_points_are_refused():
    with pytest.raises(DataError, match="cannot be binarised"):
        open_data(DataConfig(source="gaussian(4, 1.25)", binarise="sampled"))
    with pytest.raises(DataError, match="cannot be binarised"):
        from_object(np.zeros((9, 2), np.float32), config=DataConfig(binarise="threshold"))
