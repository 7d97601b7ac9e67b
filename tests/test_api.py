"""What ``import saddle`` offers, called as a user would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import saddle
from saddle.base.progress import Silent

SMALL = {"generator.network.widths": [8], "discriminator.network.widths": [8], "latent.size": 4}


def train(**options: object) -> saddle.Run:
    given = {"images": 320, "threads": 1, "settings": SMALL} | options
    return saddle.train("digits", progress=Silent(), **given)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> saddle.Run:
    return train(out=tmp_path_factory.mktemp("api") / "run")


def test_length_and_batch_are_arguments(tmp_path: Path):
    run = train(out=tmp_path / "run", images=None, epochs=0.1, batch_size=30)
    assert (run.config.epochs, run.config.images, run.config.batch_size) == (0.1, None, 30)
    assert run.log[-1]["images"] == 150
    with pytest.raises(saddle.ConfigError, match="either epochs or images"):
        train(out=tmp_path / "other", epochs=1)


def test_trainings_that_differ_in_the_seed_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert train(images=64).path == Path("runs/digits")
    assert train(images=64, seed=3).path == Path("runs/digits-seed-3")


def test_a_run_tells_what_it_is(run: saddle.Run):
    assert run.config.recipe == "digits"
    assert run.status.state == "finished"
    assert run.scores == []
    assert run.log


def test_a_run_is_used_without_its_generator_being_loaded_by_hand(run: saddle.Run):
    assert torch.equal(run.sample(5, seed=1), run.generator.sample(5, seed=1))
    assert run.interpolate(1, 2, 4).shape == (4, 1, 8, 8)
    assert len(list(run.walk([1, 2], 3))) == 6
    assert run.evaluate(metrics=["fd"], count=60, seeds=1)["fd"].value > 0


def test_runs_are_compared(run: saddle.Run, tmp_path: Path):
    other = train(out=tmp_path / "other", seed=1)
    found = saddle.compare(run, other, out=tmp_path / "page.html")
    assert ("seed", "0", "1") in found.settings
    assert (tmp_path / "page.html").is_file()
    with pytest.raises(saddle.RunError, match="two runs"):
        saddle.compare(run)


def test_samples_are_saved(run: saddle.Run, tmp_path: Path):
    saddle.save_samples(run.generator, tmp_path / "samples.npy", 7)
    assert (tmp_path / "samples.npy").is_file()


@pytest.mark.parametrize(("first", "bounded"), [("saddle", True), ("torch", False)])
def test_spinning_is_bounded_where_that_is_still_possible(first: str, bounded: bool):
    script = f"import {first}, saddle; from saddle.base.machine import bound_spinning; print(bound_spinning())"
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == str(bounded)
