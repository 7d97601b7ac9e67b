"""Fine-tuning: runs that begin with the networks of others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import saddle
from saddle.base.progress import Silent
from saddle.base.tensors import load_tensors
from saddle.errors import CheckpointError, ConfigError, RunError

SMALL: dict[str, Any] = {
    "batch_size": 8,
    "threads": 1,
    "conditional": "auto",
    "latent.size": 4,
    "generator.network": {"family": "dcgan", "width": 4},
    "discriminator.network": {"family": "dcgan", "width": 4, "norm": "none"},
    "discriminator.condition": "projection",
    "average.half_life": 100,
    "generator.optimizer.learning_rate": 1e-3,
    "discriminator.optimizer.learning_rate": 1e-3,
    "data.held_out": 0.0,
    "samples.count": 4,
}


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def pictures(classes: int, side: int = 8, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    values = np.random.default_rng(seed).integers(0, 256, (32, 3, side, side), dtype=np.uint8)
    return values, [number % classes for number in range(32)] if classes else []


def train(out: Path, classes: int = 3, images: int = 64, *, side: int = 8, seed: int = 0, **changes: Any) -> saddle.Run:
    values, labels = pictures(classes, side)
    listener = changes.pop("progress", Silent())
    return saddle.train(
        data=values, labels=labels or None, out=out, images=images, seed=seed,
        settings=SMALL | {key.replace("__", "."): value for key, value in changes.items()}, progress=listener,
    )  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("source") / "run").path


def state(run: saddle.Run, position: int) -> dict[str, torch.Tensor]:
    return load_tensors(run.folder.checkpoint(position))[0]


def first_grid(run: saddle.Run) -> bytes:
    return run.folder.sample_grids()[0][1].read_bytes()


def test_a_run_begins_where_its_source_ended(source: Path, tmp_path: Path):
    run = train(
        tmp_path / "run", images=8, seed=5, begin__source=str(source), average__half_life=1e9, average__rampup=0
    )
    fresh = train(tmp_path / "fresh", images=8, seed=5)
    ends, begins, alone = (state(saddle.Run(source), 64), state(run, 8), state(fresh, 8))
    for name in ("generator.network.body.project.weight", "discriminator.network.projection.weight"):
        near, far = ((each[name] - ends[name]).abs().mean() for each in (begins, alone))
        assert near < 0.1 * far, name
    assert run.config.begin.digest is not None


def test_what_is_frozen_stays(source: Path, tmp_path: Path):
    run = train(tmp_path / "run", begin__source=str(source), discriminator__freeze=1)
    before, after = state(saddle.Run(source), 64), state(run, 64)
    same = {
        name for name in before if name.startswith("discriminator.network") and torch.equal(before[name], after[name])
    }
    assert same == {"discriminator.network.body.layers.0.weight", "discriminator.network.body.layers.0.bias"}


def test_a_generator_file_is_a_source_too(source: Path, tmp_path: Path):
    listener = Listener()
    run = train(tmp_path / "run", images=8, begin__source=str(source / "generator.safetensors"), progress=listener)
    assert any("D begins anew" in text for text in listener.said)
    ends, begins = state(saddle.Run(source), 64), state(run, 8)
    name = "body.project.weight"
    torch.testing.assert_close(begins[f"generator.network.{name}"], ends[f"averaged.{name}"], rtol=0, atol=0.01)


@pytest.mark.parametrize("classes", [0, 2, 5])
def test_other_classes_are_made_to_fit_and_that_is_said(source: Path, tmp_path: Path, classes: int):
    listener = Listener()
    run = train(tmp_path / "run", classes, images=8, begin__source=str(source), progress=listener)
    assert any(f"3 classes there, {classes} here" in text for text in listener.said)
    assert run.sample(2).shape == (2, 3, 8, 8)
    ends, begins = state(saddle.Run(source), 64), state(run, 8)
    prefix = "body." if classes else ""
    weight = begins[f"generator.network.{prefix}project.weight"][:, :4]
    torch.testing.assert_close(weight, ends["generator.network.body.project.weight"][:, :4], rtol=0, atol=0.01)


@pytest.mark.parametrize("weights", ["plain", "spectral"])
def test_a_d_that_told_no_classes_learns_to(tmp_path: Path, weights: str):
    train(tmp_path / "source", images=8, discriminator__weights=weights)
    begin: dict[str, Any] = {"begin__source": str(tmp_path / "source"), "discriminator__weights": weights}
    listener = Listener()
    told = train(tmp_path / "run", images=8, game__classification=0.5, progress=listener, **begin)
    assert any("tells no classes" in text for text in listener.said)
    again = Listener()
    begin["begin__source"] = str(told.path)
    train(tmp_path / "next", images=8, game__classification=0.5, progress=again, **begin)
    assert not any("tells no classes" in text for text in again.said)


def test_a_tuned_run_resumes_without_its_source(source: Path, tmp_path: Path):
    gone = tmp_path / "source"
    train(gone)
    train(tmp_path / "half", images=64, begin__source=str(gone))
    whole = train(tmp_path / "whole", images=128, begin__source=str(gone))
    (gone / "config.toml").unlink()
    resumed = train(tmp_path / "half", images=128, begin__source=str(gone))
    assert state(resumed, 128).keys() == state(whole, 128).keys()
    assert all(torch.equal(tensor, state(whole, 128)[name]) for name, tensor in state(resumed, 128).items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side": 16}, r"another shape(.|\n)*--set data.size=\[8,8\] --set data.channels=3"),
        (
            {"generator__network": {"family": "dcgan", "width": 8}},
            r"other networks(.|\n)*width: 4 there, 8 here(.|\n)*network.width=4",
        ),
        ({"latent__size": 6}, r"latent.size: 4 there, 6 here"),
        ({"discriminator__freeze": 99}, "D's body has fewer layers"),
    ],
)
def test_a_source_with_other_networks_is_refused(source: Path, tmp_path: Path, changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as caught:
        train(tmp_path / "run", begin__source=str(source), **changes)
    text = "\n".join([str(caught.value), *map(str, caught.value.details), str(caught.value.remedy)])
    assert re.search(message, text), text
    assert not (tmp_path / "run" / "config.toml").exists()


def test_no_source(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="holds no run"):
        train(tmp_path / "run", begin__source=str(tmp_path / "empty"))
    with pytest.raises(ConfigError) as caught:
        train(tmp_path / "run", discriminator__freeze=1)
    assert "discriminator.freeze needs begin.source" in "".join(map(str, caught.value.details))


R3GAN = {
    "generator.network": {"family": "r3gan", "widths": [8, 8], "blocks": [1]},
    "discriminator.network": {"family": "r3gan", "widths": [8, 8], "blocks": [1]},
}


def r3gan(out: Path, classes: int, **changes: Any) -> saddle.Run:
    return train(out, classes, images=8, **{key.replace(".", "__"): value for key, value in R3GAN.items()}, **changes)


@pytest.mark.parametrize("condition", ["projection", "concatenate"])
def test_networks_that_knew_no_classes_learn_some(tmp_path: Path, condition: str):
    without = r3gan(tmp_path / "without", 0, discriminator__condition=condition)
    listener = Listener()
    r3gan(tmp_path / "run", 3, discriminator__condition=condition, begin__source=str(without.path), progress=listener)
    assert any("0 classes there, 3 here" in text for text in listener.said)


def test_the_first_layers_of_an_r3gan_are_frozen_and_no_label(tmp_path: Path):
    settings: dict[str, Any] = {"discriminator__condition": "concatenate", "generator__condition": "concatenate"}
    begun = r3gan(tmp_path / "source", 3, **settings)
    run = r3gan(tmp_path / "run", 3, begin__source=str(begun.path), discriminator__freeze=1, **settings)
    before, after = state(begun, 8), state(run, 8)
    parts = [name for name in before if name.startswith("discriminator.network.")]
    same = {name for name in parts if torch.equal(before[name], after[name])}
    assert "discriminator.network.body.first.weight" in same
    assert not same & {f"discriminator.network.body.{name}" for name in ("basis", "label.weight")}


def test_labels_that_enter_g_otherwise_are_refused(source: Path, tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        train(tmp_path / "run", begin__source=str(source), generator__condition="embedding")
    assert caught.value.remedy == "--set 'generator.condition=\"concatenate\"'"


def test_a_d_of_another_game_is_refused_before_there_is_a_folder(source: Path, tmp_path: Path):
    other: dict[str, Any] = {"conditional": False, "discriminator__condition": "concatenate"}
    semi = train(tmp_path / "semi", images=12, game__rule="semi_supervised", data__labelled=6, **other)
    with pytest.raises(CheckpointError, match="another game") as caught:
        train(tmp_path / "run", begin__source=str(semi.path), **other)
    assert str(semi.folder.generator) in str(caught.value.remedy)
    assert not (tmp_path / "run").exists()
    train(tmp_path / "run", images=8, begin__source=str(semi.folder.generator), **other)


def test_a_digest_that_is_given_is_compared(source: Path, tmp_path: Path):
    with pytest.raises(RunError, match=r"begin\.digest"):
        train(tmp_path / "run", begin__source=str(source), begin__digest="0" * 64)
    run = train(tmp_path / "run", images=8, begin__source=str(source))
    with pytest.raises(RunError, match=r"begin\.digest"):
        train(tmp_path / "run", images=16, begin__source=str(source), begin__digest="0" * 64)
    train(tmp_path / "run", images=16, begin__source=str(source), begin__digest=run.config.begin.digest)


def test_without_averaging_g_begins_as_the_one_that_d_played_against(source: Path, tmp_path: Path):
    slow = {"generator__optimizer__learning_rate": 1e-9, "discriminator__optimizer__learning_rate": 1e-9}
    run = train(tmp_path / "run", images=8, begin__source=str(source), average__half_life=0, **slow)
    name = "generator.network.body.project.weight"
    torch.testing.assert_close(state(run, 8)[name], state(saddle.Run(source), 64)[name], rtol=0, atol=1e-6)


def test_only_layers_that_were_trained_are_frozen(source: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="holds G alone"):
        train(tmp_path / "run", begin__source=str(source / "generator.safetensors"), discriminator__freeze=1)
    assert not (tmp_path / "run").exists()


def test_networks_of_another_family_need_another_recipe(source: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="other networks") as caught:
        r3gan(tmp_path / "run", 3, begin__source=str(source))
    assert caught.value.remedy == "train the recipe that the source was trained by"
