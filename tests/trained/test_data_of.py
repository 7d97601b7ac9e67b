"""The data that a trained generator is compared with: the same part of them as in its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saddle
from saddle.base.progress import Silent
from saddle.data.splits import open_held_out
from saddle.trained.nearest import data_of

SMALL = {"images": 16, "batch_size": 8, "threads": 1, "generator.network.widths": [4]}


@pytest.mark.parametrize(("share", "trained"), [(0.05, 250), (0.5, 150), (0, 300)])
def test_the_part_of_the_training_is_found_again(tmp_path: Path, share: float, trained: int):
    values = np.arange(600, dtype=np.float32).reshape(300, 2)
    np.save(tmp_path / "x.npy", values)
    settings: dict[str, Any] = SMALL | {"discriminator.network.widths": [4], "data.held_out": share}
    run = saddle.train("mlp-tanh", data=tmp_path / "x.npy", out=tmp_path / "run", settings=settings, progress=Silent())
    for source in (None, str(tmp_path / "x.npy"), values):
        config, store = data_of(run.path, run.generator, source)
        assert len(store) == trained
        held_out = open_held_out(config, store)
        assert (0 if held_out is None else len(held_out)) == 300 - trained
        if held_out is not None:
            assert not set(held_out.values[:, 0].tolist()) & set(store.values[:, 0].tolist())
