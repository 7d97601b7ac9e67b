from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.data.scaling import Scaling
from saddle.errors import DataError
from saddle.game.feed import Feed


def test_triples_are_three_digits_drawn_by_position(real_data: Path):
    digits = open_data(DataConfig(source="mnist")).values
    store = open_data(DataConfig(source="stacked-mnist"))
    assert store.shape == (3, 28, 28)
    known = {image.tobytes() for image in digits}
    for channel in store.values[:50].reshape(-1, 28, 28):
        assert channel.tobytes() in known
    feed = Feed(store, Scaling.fit(store, "tanh"), seed=0, device=torch.device("cpu"))
    first = feed.batch(640, 64).samples
    assert first.shape == (64, 3, 28, 28)
    assert torch.equal(first, feed.batch(640, 64).samples)
    assert not torch.equal(first, feed.batch(704, 64).samples)
    assert np.array_equal(store.values, open_data(DataConfig(source="stacked-mnist")).values)


def test_it_has_three_channels():
    with pytest.raises(DataError, match="three channels"):
        open_data(DataConfig(source="stacked-mnist", channels=1))
