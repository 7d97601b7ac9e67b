"""Runs on points that are drawn fresh at each position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saddle
from saddle.base.progress import Silent

SETTINGS: dict[str, Any] = {
    "images": 320,
    "batch_size": 16,
    "threads": 1,
    "latent.size": 3,
    "generator.network.widths": [8],
    "discriminator.network.widths": [8],
    "checkpoint.every": 96,
    "samples.every": 320,  # each picture of points takes a fifth of a second
    "log.every": 48,
    "average.half_life": 100,
}


def train(out: Path, data: str, **changes: Any) -> saddle.Run:
    recipe = out.parent / "small.toml"
    recipe.write_text("")
    settings = SETTINGS | {key.replace("__", "."): value for key, value in changes.items()}
    return saddle.train(str(recipe), data=data, out=out, settings=settings, progress=Silent())


def figures(run: saddle.Run) -> list[dict[str, Any]]:
    return [{key: entry[key] for key in entry if "second" not in key} for entry in run.log]


@pytest.mark.parametrize("data", ["gaussian(4, 1.25)", "gaussian(dimensions=10)", "ring(8)"])
@pytest.mark.parametrize("output", ["linear", "tanh"])
def test_ten_rounds_and_ten_more_are_twenty(tmp_path: Path, data: str, output: str):
    whole = train(tmp_path / "whole", data, generator__network__output=output)
    train(tmp_path / "parts", data, generator__network__output=output, images=160)
    parts = train(tmp_path / "parts", data, generator__network__output=output)
    assert parts.folder.generator.read_bytes() == whole.folder.generator.read_bytes()
    assert figures(parts)[-3:] == figures(whole)[-3:]
    for _, path in whole.folder.sample_grids()[-1:]:
        assert (parts.folder.samples / path.name).read_bytes() == path.read_bytes()


def test_the_log_follows_mean_and_standard_deviation_of_values_on_the_line(tmp_path: Path):
    line = train(tmp_path / "line", "gaussian(4, 1.25)")
    samples = line.sample(64)  # the first 64 latents of seed 0 are those of the pictures
    assert line.log[-1]["sample_mean"] == pytest.approx(samples.mean().item(), abs=1e-5)
    assert line.log[-1]["sample_std"] == pytest.approx(samples.std().item(), abs=1e-5)
    assert "sample_mean" in train(tmp_path / "vector", "uniform(dimensions=5)").log[-1]
    assert "sample_mean" not in train(tmp_path / "plane", "ring").log[-1]


def test_the_report_of_points(tmp_path: Path):
    text = train(tmp_path / "run", "gaussian(4, 1.25)").report().read_text(encoding="utf-8")
    for words in ("errors of D on real", "Mean and standard deviation", "The dashed lines are the true ones"):
        assert words in text
    other = train(tmp_path / "other", "ring", game__loss="relativistic").report().read_text(encoding="utf-8")
    for words in ("errors of D on real", "Mean and standard deviation"):
        assert words not in other
    assert "cannot tell real" in other  # of pairs, D says how sure it is
    critic = train(tmp_path / "critic", "ring", game__loss="wasserstein").report().read_text(encoding="utf-8")
    assert "cannot tell real" not in critic


def test_a_table_trains(tmp_path: Path):
    table = np.random.default_rng(0).normal(5, 2, (200, 3))
    np.savetxt(tmp_path / "table.csv", table, delimiter=",", header="x,y,z", comments="")
    run = train(tmp_path / "run", str(tmp_path / "table.csv"), data__columns=["z", "x"])
    assert run.sample(5).shape == (5, 2)
    again = train(tmp_path / "run", str(tmp_path / "table.csv"), data__columns=["z", "x"], images=480)
    assert again.log[-1]["images"] == 480


def test_points_that_are_no_longer_finite_are_a_divergence(tmp_path: Path):
    rates = {f"{player}__optimizer__learning_rate": 1e30 for player in ("generator", "discriminator")}
    quiet = {"samples__every": 10**9, "average__half_life": 0, "generator__network__output": "linear"}
    with pytest.raises(saddle.Diverged):
        train(tmp_path / "run", "gaussian(4, 1.25)", **rates, **quiet)
    assert (tmp_path / "run" / "diverged.txt").exists()
