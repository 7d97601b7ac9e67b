"""Prototypes: other learners and families go through the same loop, with nothing changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import saddle
from saddle.base.progress import Silent
from saddle.config import Config
from saddle.config.networks import REGISTERED, CustomNetworkConfig
from saddle.config.section import Section
from saddle.data.scaling import Scaling
from saddle.data.store import make_store
from saddle.errors import ConfigError
from saddle.game.batch import Batch
from saddle.game.feed import Feed
from saddle.networks.families import FAMILIES, Family, register
from saddle.runs.folder import RunFolder
from saddle.trained.files import GeneratorHeader
from saddle.training.checkpoint import Checkpoints
from saddle.training.engine import Engine
from saddle.training.loop import train
from saddle.training.record import Record
from saddle.training.scorer import Scorer
from saddle.training.steering import Steering


class Gaussian(nn.Module):
    """N(mean, exp(log_std)²) on the line, fitted by maximum likelihood: a learner without a discriminator."""

    device = torch.device("cpu")
    turns = 1

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.log_std = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self._optimizer = torch.optim.SGD(self.parameters(), lr=0.3)

    @property
    def result(self) -> nn.Module:
        return self

    def retune(self, config: Config) -> None:
        pass

    def schedule(self, position: int) -> None:
        pass

    def kind(self, number: int) -> int:
        return 0

    @property
    def obstacle(self) -> str | None:
        return None

    @property
    def generators(self) -> Sequence[torch.Generator]:
        return ()

    def play(self, batches: Sequence[Batch], number: int) -> dict[str, Tensor]:
        (real,) = batches
        scaled = (real.samples - self.mean) / self.log_std.exp()
        nats = real.mean(0.5 * scaled.square().sum(1) + self.log_std)
        self._optimizer.zero_grad()
        nats.sum().backward()
        self._optimizer.step()
        return {"negative_log_likelihood": nats.detach()}

    def follow(self, position: int, since: int) -> None:
        pass

    @torch.no_grad()
    def sample(self, seed: int, start: int, count: int, labels: Tensor | None) -> Tensor:
        noise = torch.randn(start + count, 1, generator=torch.Generator().manual_seed(seed))[start:]
        return self.mean + self.log_std.exp() * noise

    def state(self) -> dict[str, Tensor]:
        return dict(self.state_dict())

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.load_state_dict({name: tensors[name] for name in ("mean", "log_std")})


def fit(out: Path, images: int) -> Gaussian:
    chance = np.random.default_rng(0)
    store = make_store("points", (4 + 1.25 * chance.standard_normal((4000, 1))).astype(np.float32))
    config = Config.model_validate(
        {"recipe": "likelihood", "images": images, "batch_size": 100, "samples": {"every": 4_000}}
    )
    run, learner, scaling = RunFolder(out), Gaussian(), Scaling.fit(store, "linear")
    for folder in (run.path, run.samples, run.checkpoints):
        folder.mkdir(exist_ok=True)
    scorer = Scorer(config, run, store, learner, scaling, Silent())
    record = Record(config, run, store, learner, scaling, Silent())
    header = GeneratorHeader(
        recipe="likelihood", images_seen=0, kind="points", shape=(1,), class_names=(), data="points",
        latent=config.latent, network=CustomNetworkConfig(name="Gaussian", parameters=2), condition="concatenate",
    )  # fmt: skip
    checkpoints = Checkpoints(run, "gaussian", 2, learner, record, scorer, scaling, header)
    position = checkpoints.restore(lambda _: None)
    record.begin(position, images)
    feed = Feed(store, scaling, seed=0, device=learner.device)
    engine = Engine(learner)
    steering = Steering(config, images, run, learner, engine, feed, record, checkpoints, Silent())
    steering.begin(position)
    train(
        config, images, position, feed=feed, learner=learner, engine=engine, record=record, scorer=scorer,
        checkpoints=checkpoints, steering=steering,
    )  # fmt: skip
    return learner


def test_a_gaussian_fitted_by_maximum_likelihood_trains_through_the_loop(tmp_path: Path):
    learner = fit(tmp_path / "run", 10_000)
    assert learner.mean.item() == pytest.approx(4, abs=0.1)
    assert math.exp(learner.log_std.item()) == pytest.approx(1.25, abs=0.1)
    run = RunFolder(tmp_path / "run")
    assert run.read_log()[-1]["negative_log_likelihood"] < run.read_log()[0]["negative_log_likelihood"]
    assert len(run.sample_grids()) == 3
    fit(tmp_path / "parts", 4_000)
    fit(tmp_path / "parts", 10_000)
    whole, parts = (RunFolder(tmp_path / name).generator.read_bytes() for name in ("run", "parts"))
    assert whole == parts


class SineConfig(Section):
    """Settings of the family below."""

    width: int = 8


class SineBody(nn.Module):
    def __init__(self, config: SineConfig, shape: Sequence[int], labels: int) -> None:
        super().__init__()
        self.features = config.width
        self.linear = nn.Linear(math.prod(shape) + labels, config.width)

    def forward(self, samples: Tensor, vector: Tensor | None) -> Tensor:
        values = samples.flatten(1)
        return torch.sin(self.linear(values if vector is None else torch.cat([values, vector], 1)))


def _sine_generator(config: SineConfig, latents: int, labels: int, shape: Sequence[int]) -> nn.Module:
    hidden = nn.Linear(latents + labels, config.width)
    return nn.Sequential(
        hidden, nn.SiLU(), nn.Linear(config.width, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape)
    )


@pytest.fixture
def sine() -> Iterator[None]:
    register("sine", SineConfig, Family(_sine_generator, SineBody))
    yield
    del FAMILIES["sine"], REGISTERED["sine"]


@pytest.mark.usefixtures("sine")
def test_a_family_registered_from_outside_trains_resumes_and_loads(tmp_path: Path):
    def run(out: str, images: int, **network: Any) -> saddle.Run:
        settings: dict[str, Any] = {
            "images": images,
            "threads": 1,
            "generator.network": {"family": "sine", **network},
            "discriminator.network": {"family": "sine"},
            "discriminator.minibatch_kernels": 2,
            "game.r1": 0.1,
        }
        return saddle.train(str(recipe), out=tmp_path / out, settings=settings, progress=Silent())

    recipe = tmp_path / "small.toml"
    recipe.write_text("batch_size = 16\nconditional = true\n")
    whole = run("whole", 320, width=12)
    run("parts", 160, width=12)
    parts = run("parts", 320, width=12)
    assert whole.folder.generator.read_bytes() == parts.folder.generator.read_bytes()
    assert saddle.load(whole.path).sample(4, label=3).shape == (4, 1, 8, 8)
    with pytest.raises(ConfigError, match="widht"):
        run("wrong", 320, widht=12)


def test_a_family_is_registered_once():
    with pytest.raises(ConfigError, match="'mlp'"):
        register("mlp", SineConfig, Family(_sine_generator, SineBody))
