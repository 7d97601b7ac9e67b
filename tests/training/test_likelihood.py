"""A likelihood model goes through the same loop, run folder, sampling, scores and pages as a GAN."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import saddle
from saddle.base.progress import Silent
from saddle.config import Config, load_config, parse_settings, resolve
from saddle.config.resolve import Recipe, settle
from saddle.data import Store
from saddle.data.scaling import Scaling
from saddle.errors import ConfigError, DataError, MetricError
from saddle.networks.pixelcnn import PixelCNN
from saddle.runs.folder import RunFolder
from saddle.runs.status import resume_command
from saddle.scoring.likelihood import nats
from saddle.scoring.sides import Extracted
from saddle.trained.likelihood import log_likelihoods
from saddle.training.assemble import Networks, make_feed, make_learner
from saddle.training.likelihood import Likelihood, settled_latent

CPU = torch.device("cpu")
TINY = [
    "learner=likelihood",
    "images=1200",
    "batch_size=20",
    "threads=1",
    "data.binarise=threshold",
    "generator.network={family='pixelcnn',levels=2,width=6,blocks=1,kernel=3,dropout=0.1}",
    "generator.optimizer={learning_rate=2e-2,betas=[0.9,0.99]}",
    "average.half_life=100",
    "samples={every=600,count=4}",
    "checkpoint.every=1000",
    "log.every=200",
]
RECIPE = Recipe("tiny", "", "", "", {"data": {"source": "digits"}})


def config_of(*settings: str) -> Config:
    return resolve(RECIPE, parse_settings([*TINY, *settings]))


def train(out: Path, *settings: str, progress: Silent | None = None, data: str = "") -> saddle.Run:
    """A run on 600 images of 4×4 pixels with one bright column: with the first row, all is said."""
    if not data:
        columns = np.arange(600) * 7 % 4
        bright = np.broadcast_to(np.where(columns[:, None] == np.arange(4), 255, 0)[:, None, None], (600, 1, 4, 4))
        data = str(out.parent / "columns.npz")
        np.savez(data, images=bright.astype(np.uint8), labels=columns)
    recipe = out.parent / "tiny.toml"
    recipe.write_text('[data]\nsource = "digits"\n', encoding="utf-8")
    given = parse_settings([*TINY, *settings])
    return saddle.train(str(recipe), data=data, out=out, settings=given, progress=progress or Silent())


class Stopped(Silent):
    """Asks this process to stop after some rounds."""

    rounds = 0

    def advance(self, n: int) -> None:
        self.rounds += 1
        if self.rounds == 25:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> saddle.Run:
    return train(tmp_path_factory.mktemp("likelihood") / "run")


def test_it_learns_what_there_is_to_learn(run: saddle.Run):
    log = run.log
    assert list(log[-1])[:4] == ["images", "epoch", "nats", "bits_per_dim"]
    assert log[-1]["bits_per_dim"] == pytest.approx(log[-1]["nats"] / 16 / np.log(2), abs=1e-5)
    assert log[0]["nats"] > 6  # 16 ln 2 = 11.1 of an image about which nothing is known
    scores = run.evaluate(metrics=["nats", "bits_per_dim"], seeds=2)
    assert np.log(4) < scores["nats"].value < 2.2  # one of four columns
    assert scores["bits_per_dim"].value == pytest.approx(scores["nats"].value / 16 / np.log(2))
    assert scores["nats"].floor is None and scores["nats"].spread is None and scores["nats"].seeds == 1
    assert (scores["nats"].protocol, scores["nats"].count) == ("nats-50", 50)
    samples = run.sample(200)
    assert (samples - samples.round()).abs().max() < 1e-6
    samples = samples.round()
    columns = samples[:, 0].sum(1)
    assert ((columns == 4).sum(1) == 1).float().mean() > 0.7
    assert len(columns.argmax(1).unique()) == 4


def test_a_stopped_run_resumes_to_the_same_bytes(run: saddle.Run, tmp_path: Path):
    shutil.copy(run.path.parent / "columns.npz", tmp_path)
    with pytest.raises(saddle.Interrupted):
        train(tmp_path / "run", progress=Stopped())
    parts = train(tmp_path / "run")
    assert parts.folder.generator.read_bytes() == run.folder.generator.read_bytes()
    times = {"seconds": 0, "images_per_second": 0}
    assert [line | times for line in parts.log] == [line | times for line in run.log]


def test_a_saved_file_loads_and_draws_the_same_samples(run: saddle.Run, tmp_path: Path):
    run.generator.save(tmp_path / "copy.safetensors")
    copy = saddle.load(tmp_path / "copy.safetensors")
    assert torch.equal(copy.sample(20, seed=3), run.sample(20, seed=3))
    assert torch.equal(copy.sample(20, seed=3)[:5], copy.sample(5, seed=3))
    assert not torch.equal(copy.sample(20, seed=3), copy.sample(20, seed=4))
    assert copy.header.latent.size == 16 and copy.header.latent.distribution == "uniform"


def test_there_is_no_smooth_latent_space(run: saddle.Run):
    generator = run.generator
    for ask in (
        lambda: generator.interpolate(1, 2, 3),
        lambda: next(generator.walk([1, 2], 3)),
        lambda: generator.invert(torch.zeros(1, 1, 4, 4)),
        lambda: generator.mean_latent([1, 2]),
    ):
        with pytest.raises(ConfigError, match="no smooth latent space"):
            ask()


def test_the_folder_names_no_discriminator_and_its_pages_are_made(run: saddle.Run, tmp_path: Path):
    text = run.folder.config.read_text(encoding="utf-8")
    assert "[discriminator" not in text and "[game" not in text
    assert load_config(run.folder.config).latent.size == 16
    page = run.report().read_text(encoding="utf-8")
    assert "negative log-likelihood" in page and "bits per dimension" in page
    assert "discriminator" not in page and "Interpolation" not in page
    gan = saddle.train("digits", out=tmp_path / "gan", images=64, threads=1, progress=Silent())
    found = saddle.compare(run, gan, out=tmp_path / "both.html")
    figures = {name: values for name, *values in found.figures}
    assert figures["nats"][1] == "–" and figures["loss of D"][0] == "–"
    assert float(figures["nats"][0]) < 4 and float(figures["loss of D"][1]) > 0
    with pytest.raises(MetricError, match="nats") as refused:
        gan.evaluate(metrics="nats")
    assert "likelihood" in str(refused.value.expected)


@pytest.mark.slow
def test_labels_tell_it_which_column(tmp_path: Path):
    run = train(tmp_path / "run", "conditional=auto")
    score = run.evaluate(metrics="nats")["nats"]
    assert score.value < 0.9  # the class is the column
    assert score.protocol == "nats-given-class-50"
    second = run.sample(50, label="2")[:, 0].sum(1)
    assert (second.argmax(1) == 2).float().mean() > 0.8


def test_validation_images_choose_the_best_network(tmp_path: Path):
    settings = ("images=400", "data.first=1300", "evaluate={every=200,metric='nats_validation'}", "data.size=4")
    run = train(tmp_path / "run", *settings, data="digits")
    values = [entry["nats_validation"] for entry in run.scores]
    assert len(values) == 2 and values[-1] < values[0]
    assert run.folder.best.is_file()
    with pytest.raises(ConfigError, match="held-out data, which must not choose"):
        train(tmp_path / "other", *settings, "evaluate.metric=nats", data="digits")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("game.r1=1", "game.r1 have no effect"),
        ("discriminator.network.widths=[9]", "discriminator.network have no effect"),
        ("latent.size=9", "latent follows from the data"),
        ("members=2", "members > 1 needs learner = gan"),
        ("learner=gan", "go together"),
        ("generator.network.kernel=4", "odd"),
        ("health.on_collapse=stop", "needs learner = gan"),
    ],
)
def test_settings_without_effect_are_refused(setting: str, told: str):
    with pytest.raises(ConfigError) as refused:
        config_of(setting)
    assert any(told in line for line in refused.value.details)


def test_data_between_the_levels_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="between the 2 levels") as refused:
        train(tmp_path / "run", "data.binarise=no", data="digits")
    assert "data.binarise=sampled" in str(refused.value.remedy)
    assert not RunFolder(tmp_path / "run").exists()
    run = train(tmp_path / "run", "data.binarise=no", "generator.network.levels=17", "images=20", data="digits")
    levels = (run.sample(9) * 16).flatten()  # as exact as a pixel of 8 bits
    assert (levels - levels.round()).abs().max() < 1e-6


def test_only_what_the_network_knows_has_a_likelihood(run: saddle.Run):
    network = run.generator.network
    assert isinstance(network, PixelCNN) and network.levels == 2
    shape = run.generator.shape
    for value in (0.5, 100 / 255, 1.01):
        with pytest.raises(DataError, match="between the 2 levels"):
            log_likelihoods(network, torch.full((2, *shape), value))
    with pytest.raises(DataError, match="between the 2 levels"):
        log_likelihoods(network, torch.full((2, *shape), 100, dtype=torch.uint8))
    assert log_likelihoods(network, torch.full((2, *shape), 255, dtype=torch.uint8)).shape == (2,)


def test_a_network_with_labels_is_asked_with_labels(tmp_path: Path):
    run = train(tmp_path / "run", "conditional=true", "images=20", data="digits")
    network = run.generator.network
    assert isinstance(network, PixelCNN)
    black = torch.zeros(3, *run.generator.shape)
    with pytest.raises(ConfigError, match="no classes are given"):
        log_likelihoods(network, black)
    assert log_likelihoods(network, black, torch.arange(3)).isfinite().all()


def test_one_image_has_no_error():
    samples = Extracted(torch.zeros(1, 1, 2, 2), None, torch.zeros(1, 0), None, torch.tensor([-3.0]))
    assert nats(samples, None)[:2] == (3.0, 0.0)  # pyright: ignore[reportArgumentType]


def test_a_run_is_resumed_by_the_recipe_alone(tmp_path: Path):
    run = train(tmp_path / "run", "images=20", data="digits")
    write = tmp_path / "run" / "environment.json"
    write.write_text('{"command": "saddle train tiny"}', encoding="utf-8")
    command = resume_command(run.folder, run.config.model_copy(update={"recipe": "pixelcnn"}))
    assert command is not None and "latent" not in command


class NeverWaits(TorchDispatchMode):
    """Refuses what a recording cannot hold: operations that wait for the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.overloadpacket.__name__ not in ("_local_scalar_dense", "nonzero")
        return func(*args, **(kwargs or {}))


def test_a_round_can_be_recorded(tiny_images: Store):
    binary = replace(tiny_images, values=np.where(tiny_images.values > 199, 255, 0).astype(np.uint8))
    config = config_of("data.binarise=no", "conditional=false")
    config = settle(config, {"latent": settled_latent(config, binary)}, total=2000)
    scaling = Scaling.fit(binary, "sigmoid")
    learner = make_learner(config, binary, scaling, Networks(), CPU)
    assert isinstance(learner, Likelihood) and learner.obstacle is None and learner.kind(0) == learner.kind(1)
    batches = [make_feed(config, binary, scaling, CPU).batch(0, 20)]
    for number in range(3):
        learner.schedule(20 * number)
        with NeverWaits():
            learner.play(batches, number)
