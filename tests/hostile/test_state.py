"""Checkpoints and cached features that are whole by their checksum, and yet not what saddle wrote."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import saddle
from saddle.base.progress import Silent
from saddle.base.tensors import load_tensors, save_tensors
from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.data.cache import cache_folder
from saddle.errors import CheckpointError
from saddle.features.extractors import find_extractor
from saddle.scoring.sides import RealData

Tensors = dict[str, Tensor]
MOMENT, STEP = "discriminator.optimizer.0.exp_avg", "discriminator.optimizer.0.step"


def train(out: Path, images: int) -> saddle.Run:
    settings = {
        "generator.network.widths": [6],
        "discriminator.network.widths": [6],
        "checkpoint.every": 64,
        "log.every": 9999,
    }
    return saddle.train("digits", out=out, images=images, threads=1, settings=settings, progress=Silent())


def shorten(tensors: Tensors, header: dict[str, Any]) -> None:
    tensors[MOMENT] = tensors[MOMENT].flatten()[:1]  # torch would read and write beyond its end


CHANGES: dict[str, Callable[[Tensors, dict[str, Any]], object]] = {
    "a moment too short": shorten,
    "a moment of another type": lambda tensors, _: tensors.update({MOMENT: tensors[MOMENT].to(torch.complex64)}),
    "no moment": lambda tensors, _: tensors.pop(MOMENT),
    "no step": lambda tensors, _: tensors.pop(STEP),
    "an empty step": lambda tensors, _: tensors.update({STEP: torch.zeros(0)}),
    "another moment": lambda tensors, _: tensors.update({"discriminator.optimizer.0.x": torch.zeros(1)}),
    "a moment of no parameter": lambda tensors, _: tensors.update({"discriminator.optimizer.99.step": torch.zeros(())}),
    "seconds as text": lambda _, header: header["record"].update(seconds="1"),
    "seconds without end": lambda _, header: header["record"].update(seconds=10**400),
    "no rounds": lambda _, header: header["record"].update(rounds=0),
    "other figures": lambda _, header: header["record"]["figures"].reverse(),
    "too many figures": lambda _, header: header["record"].update(figures=["x"] * 1000),
    "a best generator of another shape": lambda tensors, _: tensors.update({"best.x": torch.zeros(1)}),
    "a score as text": lambda _, header: header["scorer"].update(best="x", best_at=64),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose last checkpoint lies between two lines of the log, and so holds the sums for the next one."""
    made = train(tmp_path_factory.mktemp("state") / "run", 128)
    made.folder.checkpoint(128).unlink()
    return made.path


@pytest.mark.parametrize("name", CHANGES)
def test_a_checkpoint_that_is_none_is_refused(run: Path, tmp_path: Path, name: str):
    out = shutil.copytree(run, tmp_path / "run")
    (path,) = (out / "checkpoints").iterdir()
    tensors, header = load_tensors(path)
    assert "record.sums" in tensors
    CHANGES[name](tensors, header)
    save_tensors(path, tensors, header)
    with pytest.raises(CheckpointError):
        train(out, 128)


@pytest.mark.parametrize("extractor", ["digits-cnn-v1", "pixels"])
@pytest.mark.parametrize("change", ["gone", "renamed", "shorter", "complex", "format"])
def test_cached_features_that_are_others_are_computed_again(extractor: str, change: str):
    store = open_data(DataConfig(source="digits", first=30))

    def mean() -> Tensor:
        moments, axes = RealData(store, None, None, find_extractor(extractor, store)).train_moments
        return torch.cat([moments.mean, axes.variances])

    first = mean()
    (path,) = (cache_folder() / "features").iterdir()
    whole = path.read_bytes()
    tensors, header = load_tensors(path)
    name = sorted(tensors)[0]
    tensor = tensors.pop(name)
    match change:
        case "renamed":
            tensors["x"] = tensor
        case "shorter":
            tensors[name] = tensor[:-1]
        case "complex":
            tensors[name] = tensor.to(torch.complex64)
        case "format":
            tensors[name], header["format"] = tensor * 2, "saddle-features-0"
        case _:
            pass
    save_tensors(path, tensors, header)
    assert torch.equal(mean(), first)
    assert path.read_bytes() == whole
