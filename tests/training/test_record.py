"""What a run writes down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import saddle
from saddle.base.machine import find_device
from saddle.base.progress import Silent
from saddle.config import Config
from saddle.data.scaling import Scaling
from saddle.data.store import make_store
from saddle.errors import DeviceError, Diverged
from saddle.show.preview import spread
from saddle.trained.draw import in_data_units
from saddle.training.health import watched
from saddle.training.record import _Grid

SETTINGS: dict[str, Any] = {"images": 32, "batch_size": 16, "threads": 1, "discriminator.network.widths": [4]}


class Broken(nn.Module):
    """Makes infinite values, which pixels would clamp."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.weight / 0 * torch.ones(len(latents), *self.shape)


@pytest.mark.parametrize(
    ("data", "shape"),
    [(torch.zeros(32, 1, 4, 4, dtype=torch.uint8), (1, 4, 4)), (torch.arange(64.0).view(32, 2), (2,))],
)
def test_samples_that_are_not_finite_end_the_run_without_a_picture(
    tmp_path: Path, data: torch.Tensor, shape: tuple[int, ...]
):
    (tmp_path / "small.toml").write_text("")
    with pytest.raises(Diverged, match="64 of 64 samples"):
        saddle.train(
            str(tmp_path / "small.toml"),
            data=data,
            out=tmp_path / "run",
            settings=SETTINGS,
            generator=Broken(shape),
            progress=Silent(),
        )
    assert not list((tmp_path / "run" / "samples").iterdir())


def test_broken_samples_are_counted():
    samples = torch.zeros(5, 1, 2, 2)
    scaling = Scaling(torch.ones(1), torch.zeros(1), images=True)
    in_data_units(samples, scaling)
    samples[1, 0, 1, 1], samples[3] = float("nan"), float("-inf")
    with pytest.raises(Diverged, match="before 7 images seen: 2 of 5 samples"), watched(7):
        in_data_units(samples, scaling)


@pytest.mark.parametrize(("count", "classes", "shape"), [(64, 10, (10, 6)), (4, 10, (4, 1)), (64, 100, (20, 3))])
def test_a_class_grid_keeps_to_the_count(count: int, classes: int, shape: tuple[int, int]):
    names = [str(number) for number in range(classes)]
    config = Config.model_validate({"recipe": "x", "images": 1, "conditional": True, "samples": {"count": count}})
    values, labels = np.zeros((classes, 1, 2, 2), np.uint8), np.arange(classes)
    grid = _Grid.of(config, make_store("x", values, labels, names))
    assert (len(grid.labels), grid.columns) == shape
    assert grid.names == tuple(names[: shape[0]])


def test_reference_points_come_from_all_over_the_store():
    store = make_store("sorted", np.arange(1000, dtype=np.float32)[:, None])
    chosen = spread(store, 11)[:, 0]
    assert chosen[[0, -1]].tolist() == [0, 999]
    assert np.diff(chosen).min() > 90
    assert len(spread(store, 5000)) == 1000


def test_a_missing_device_has_a_remedy_for_new_runs_and_old_ones():
    with pytest.raises(DeviceError, match="new --out"):
        find_device("cuda:99")
