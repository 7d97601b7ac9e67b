from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import saddle
from saddle import cli
from saddle.base.progress import Silent
from saddle.config import Config
from saddle.config.networks import MLPConfig
from saddle.config.schema import DataConfig, DiscriminatorConfig, GameConfig
from saddle.data import from_object, open_data
from saddle.errors import CheckpointError, ConfigError, DataError
from saddle.game.batch import Batch
from saddle.game.rules import SemiSupervisedRule
from saddle.networks.families import build_discriminator
from saddle.networks.layers import initialise_from_data
from saddle.trained.classifier import load_classifier
from saddle.training.assemble import choose_labelled

SETTINGS: dict[str, Any] = {
    "data.labelled": 100,
    "images": 30_000,
    "threads": 1,
    "generator.network.widths": [32],
    "discriminator.network.widths": [64, 64],
    "discriminator.network.noise": 0.1,
    "discriminator.input_noise": 0.1,
    "average.half_life": 2_000,
}


def make_config(labelled: int, seed: int = 0) -> Config:
    return Config(
        recipe="x", images=1, seed=seed, data=DataConfig(labelled=labelled), game=GameConfig(rule="semi_supervised")
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> saddle.Run:
    out = tmp_path_factory.mktemp("semi") / "run"
    return saddle.train("semi-supervised", data="digits", out=out, settings=SETTINGS, progress=Silent())


def test_the_discriminator_becomes_a_classifier(run: saddle.Run):
    """100 labels of 1,500; chance is 90 % wrong, nearest neighbour on the 100 labels about 15 %."""
    held_out = open_data(DataConfig(source="digits", split="test"))
    probabilities = load_classifier(run.path).probabilities(held_out)
    assert probabilities.sum(1) == pytest.approx(np.ones(len(held_out)), abs=1e-5)
    assert (probabilities.argmax(1) != held_out.labels).mean() < 0.25


def test_the_classify_command_counts_errors_and_writes_predictions(
    run: saddle.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "predictions.csv"
    words = ["classify", str(run.path), "--data", "digits", "--set", "data.split=test", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["saddle", *words])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 0
    assert "of 297 wrong" in capsys.readouterr().out
    lines = out.read_text().splitlines()
    assert lines[0] == "number,class,probability"
    assert len(lines) == 298


def test_a_short_run_of_the_recipe_is_a_classifier_too(tmp_path: Path):
    """Its average's half-life is hundreds of epochs of these data: the first weights must not be in it."""
    small = {"images": 12_000, "threads": 1, "discriminator.network.widths": [64, 64]}
    short = saddle.train("semi-supervised", data="digits", out=tmp_path / "run", settings=small, progress=Silent())
    held_out = open_data(DataConfig(source="digits", split="test"))
    probabilities = load_classifier(short.path).probabilities(held_out)
    assert (probabilities.argmax(1) != held_out.labels).mean() < 0.35


@pytest.mark.parametrize("classes", [None, np.zeros(40, np.int64)])
def test_data_without_classes_are_refused(tmp_path: Path, classes: Any):
    values = torch.zeros(40, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(ConfigError, match="no labels to show"):
        saddle.train("semi-supervised", data=values, labels=classes, out=tmp_path / "run", progress=Silent())
    assert not (tmp_path / "run").exists()


def test_samples_of_another_shape_are_refused(run: saddle.Run):
    store = from_object(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), config=DataConfig(source="small"))
    with pytest.raises(DataError, match="does not fit"):
        load_classifier(run.path).probabilities(store)


def test_a_run_without_classifier_is_no_classifier(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no classifier"):
        load_classifier(tmp_path)


def test_shown_labels_are_balanced_and_drawn_by_seed():
    store = open_data(DataConfig())
    chosen = choose_labelled(make_config(50), store)
    assert np.bincount(store.labels[chosen]).tolist() == [5] * 10
    assert len(set(chosen.tolist())) == 50
    assert chosen.tolist() == choose_labelled(make_config(50), store).tolist()
    assert chosen.tolist() != choose_labelled(make_config(50, seed=1), store).tolist()


@pytest.mark.parametrize("labelled", [55, 100_000, 5])
def test_counts_that_cannot_be_chosen(labelled: int):
    with pytest.raises(ConfigError, match=r"data\.labelled"):
        choose_labelled(make_config(labelled), open_data(DataConfig()))


def test_data_without_labels():
    with pytest.raises(ConfigError, match="no labels"):
        choose_labelled(make_config(10), from_object(torch.rand(20, 2), config=DataConfig(source="points")))


def make_discriminator(**config: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_discriminator(DiscriminatorConfig(network=MLPConfig(widths=(16, 8)), **config), (6,), 0, 3)


def test_the_logit_for_real_is_that_of_k_plus_one_classes():
    """D(x) = Σ_k p(k | x) over the real classes, of a softmax with a further class of logit 0."""
    network = make_discriminator()
    samples = torch.randn(5, 6)
    logits = network.class_logits(samples)
    with_fake = torch.cat([logits, torch.zeros(5, 1)], 1).softmax(1)
    torch.testing.assert_close(torch.sigmoid(network(samples)), with_fake[:, :3].sum(1))


def test_the_labelled_samples_add_their_cross_entropy():
    network = make_discriminator()
    game = GameConfig(rule="semi_supervised", discriminator_weight=0.5)
    real, fake = torch.randn(2, 4, 6)
    labels = torch.tensor([0, 2, 1, 1])
    turn = SemiSupervisedRule(game, network).discriminator_turn(Batch(real, None, (real, labels)), Batch(fake))
    expected = torch.nn.functional.cross_entropy(network.class_logits(real), labels)
    assert turn.figures["supervised"].item() == pytest.approx(expected.item())
    assert turn.loss.item() == pytest.approx((expected + turn.figures["discriminator_loss"]).item())


def test_data_dependent_initialisation_standardises_every_layer():
    network = make_discriminator(weights="weight")
    samples = torch.randn(400, 6) * 5 + 2
    initialise_from_data(network, lambda: network(samples))
    outputs: list[torch.Tensor] = []
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    for layer in layers:
        layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output.detach()))
    network(samples)
    assert len(outputs) == 3
    for output in outputs:
        assert output.mean(0).abs().max() < 1e-4
        assert output.std(0).sub(1).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("labels", "why"), [(None, "has no labels"), (np.array([0, 1] * 150), "has other classes: 0, 1")]
)
def test_the_classify_command_counts_classes_and_says_why_not_errors(
    run: saddle.Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    labels: np.ndarray | None,
    why: str,
):
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8)  # nothing is held out
    np.savez(tmp_path / "x.npz", **({"images": images} if labels is None else {"images": images, "labels": labels}))
    monkeypatch.setattr("sys.argv", ["saddle", "classify", str(run.path), "--data", str(tmp_path / "x.npz")])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert why in out
    assert sum(int(line.split()[-1]) for line in out.splitlines() if line.startswith("class ")) == 300
