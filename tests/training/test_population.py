"""A population: each member is the run that it would be alone, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import saddle
from saddle.base.chance import stream
from saddle.base.progress import Silent
from saddle.base.tensors import load_tensors, save_tensors
from saddle.cli.commands import app
from saddle.config import Config, load_config, load_recipe, resolve
from saddle.config.members import member_config
from saddle.config.resolve import merge_settings, nest, settle
from saddle.data import open_data
from saddle.data.scaling import Scaling
from saddle.errors import CheckpointError, ConfigError, Diverged, RunError, TooLarge
from saddle.training import assemble
from saddle.training.assemble import Networks, make_feed, make_gan, try_out
from saddle.training.engine import Engine
from saddle.training.gan import GAN

CPU = torch.device("cpu")
MEMBERS = 3
# Adam divides by the size of a gradient: with its usual eps, a gradient that is zero but for rounding moves a weight
# by a whole step in either direction.
SMOOTH = {"generator.optimizer.eps": 1e-2, "discriminator.optimizer.eps": 1e-2}
SMALL: dict[str, Any] = {
    "images": 320,
    "batch_size": 16,
    "threads": 1,
    "latent.size": 4,
    "generator.network.widths": [8],
    "discriminator.network.widths": [8],
    "discriminator.network.dropout": 0.2,
    "checkpoint.every": 96,
    "samples.every": 96,
    "samples.count": 4,
    "log.every": 48,
    "average.half_life": 100,
    **SMOOTH,
}
SMALL_IMAGES = {"data.source": "digits", "data.size": 16, "batch_size": 8}
SGD = {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.5}
GAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "batch norm, average": ("digits", SMOOTH),
    "dropout": ("mlp-dropout", {"data.source": "digits", **SMOOTH}),
    "labels": (
        "cgan",
        {
            "data.source": "digits",
            "generator.optimizer": SGD,
            "discriminator.optimizer": SGD,
            "precision": "float32",  # auto may find another one for one of the runs
        },
    ),
    "convolutions": (
        "dcgan",
        {**SMALL_IMAGES, "generator.network.width": 8, "discriminator.network.width": 8, **SMOOTH},
    ),
    "convolutions in blocks, classes told": (
        "dcgan",
        {
            **SMALL_IMAGES,
            "conditional": True,
            "generator.network": {"family": "dcgan", "width": 8, "blocks": 1, "upsampling": "resize"},
            "discriminator.network": {"family": "dcgan", "width": 8, "norm": "none"},
            "discriminator.condition": "projection",
            "game.classification": 0.5,
            **SMOOTH,
        },
    ),
    "residual blocks, lazy penalties": (
        "r3gan-small",
        {
            **SMALL_IMAGES,
            "generator.network": {"family": "r3gan", "widths": [4, 8], "group_width": 4},
            "discriminator.network": {"family": "r3gan", "widths": [4, 8], "group_width": 4},
            **SMOOTH,
        },
    ),
    "pairs and patches": (
        "pix2pix",
        {
            "batch_size": 8,
            "generator.network": {"family": "unet", "width": 4, "max_width": 8, "norm": "batch"},
            "latent": {"size": 96, "distribution": "uniform", "low": 0.0, "high": 1.0},
            "discriminator.network.width": 4,
            "data.mirror": True,
            **SMOOTH,
        },
    ),
    "points, codes, packing, clip": (
        "ring8-pacgan",
        {"latent.codes": 4, "game.packing": 2, "game.clip": 0.1, **SMOOTH},
    ),
    "labelled samples, noise, feature matching": (
        "semi-supervised",
        {
            "data.source": "digits",
            "data.labelled": 20,
            "generator.network.widths": [16],
            "discriminator.network.widths": [16, 16],
            "generator.optimizer": SGD,
            "discriminator.optimizer": SGD,
        },
    ),
    "ada, mirrored": (
        "digits",
        {"game.augment": {"kind": "ada", "rise": 200}, "data.mirror": True, "game.r1": 0.5, **SMOOTH},
    ),
    "gradient penalty, steps, history": (
        "digits",
        {
            "game.loss": "wasserstein",
            "game.gradient_penalty": 1.0,
            "game.discriminator_steps": 2,
            "game.historical_averaging": 0.1,
            **SMOOTH,
        },
    ),
    "what differs": (
        "digits",
        {
            "game.r1": 1.0,
            "vary.generator.optimizer.learning_rate": [1e-3, 2e-3, 5e-4],
            "vary.discriminator.optimizer.learning_rate": [1e-3, 1e-4, 1e-3],
            "vary.game.discriminator_weight": [1.0, 2.0, 0.5],
            "vary.game.r1": [0.0, 1.0, 10.0],
            "vary.game.r2": [1.0, 0.0, 0.0],
            **SMOOTH,
        },
    ),
    "what differs, with momentum": (
        "mlp-dropout",
        {
            "data.source": "digits",
            "generator.optimizer": SGD,
            "discriminator.optimizer": SGD,
            "vary.discriminator.optimizer.learning_rate": [0.05, 0.01, 0.02],
        },
    ),
}


def configure(recipe: str, settings: dict[str, Any], **more: Any) -> Config:
    layer = merge_settings(nest(key.split("."), value) for key, value in {**settings, **more}.items())
    config = resolve(load_recipe(recipe), {"members": MEMBERS, "seed": 5, "images": 10_000, "threads": 1}, layer)
    return settle(config, {"conditional": config.conditional in (True, "auto")}, total=10_000)


def play(
    config: Config, rounds: int, prepare: Callable[[GAN], None] = lambda _: None
) -> tuple[GAN, list[dict[str, Tensor]]]:
    """The learner after some rounds, and the figures of each; ``prepare`` is called before the first."""
    store = open_data(config.data)
    scaling = Scaling.fit(store, config.generator.network.output)
    learner = make_gan(config, store, scaling, Networks(), CPU)
    prepare(learner)
    feed, engine = make_feed(config, store, scaling, CPU), Engine(learner)
    figures: list[dict[str, Tensor]] = []
    position = 0
    for number in range(rounds):
        learner.schedule(position)
        batches = [feed.batch(position + turn * config.batch_size, config.batch_size) for turn in range(learner.turns)]
        figures.append(engine.play(batches, number, stream(config.seed, "round", position)))
        position += config.batch_size * learner.turns
        learner.follow(position, config.batch_size * learner.turns)
    return learner, figures


@pytest.mark.parametrize("game", GAMES)
def test_a_member_is_the_run_with_its_seed_and_settings(game: str):
    """Losses and weights after five rounds; to rounding in float32, so every draw must be the same."""
    config = configure(*GAMES[game])
    learner, figures = play(config, 5)
    for number in range(MEMBERS):
        alone, own = play(member_config(config, number), 5)
        for together, single in zip(figures, own, strict=True):
            for name in single.keys() & together.keys():
                torch.testing.assert_close(together[name][[number]], single[name], rtol=1e-3, atol=1e-5)
        found = learner.member(number).result.state_dict()
        for name, value in alone.averaged.state_dict().items():
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5)


def test_members_never_influence_one_another():
    """One is broken from the beginning; the bytes of the others stay."""
    config = configure("digits", {"game.gradient_penalty": 1.0})

    def break_one(learner: GAN) -> None:
        for parameter in learner.generator.parameters:
            parameter.data[1] *= torch.inf

    learner, _ = play(config, 4)
    other, _ = play(config, 4, prepare=break_one)
    state = other.state()
    assert any(not tensor[1].isfinite().all() for tensor in state.values() if tensor.dim())
    for name, tensor in learner.state().items():
        assert torch.equal(tensor[[0, 2]], state[name][[0, 2]]) if tensor.dim() else torch.equal(tensor, state[name]), (
            name
        )


def train(out: Path, **changes: Any) -> saddle.Run:
    """20 rounds on the bundled digits, with ``changes`` to SMALL (dots written as __)."""
    recipe = out.parent / "small.toml"
    recipe.write_text("")
    settings = SMALL | {"members": MEMBERS} | {key.replace("__", "."): value for key, value in changes.items()}
    own = {key: settings.pop(key) for key in ("generator", "progress") if key in settings}
    return saddle.train(str(recipe), out=out, settings=settings, **{"progress": Silent(), **own})


def shared_bytes(run: saddle.Run) -> dict[str, bytes]:
    """Of the pictures and of the files that one shares; a checkpoint also holds the seconds."""
    files = (path for path in run.path.rglob("*") if path.suffix in (".safetensors", ".png"))
    return {str(path.relative_to(run.path)): path.read_bytes() for path in files if path.parent.name != "checkpoints"}


def figures(run: saddle.Run) -> list[Any]:
    return [{key: value for key, value in entry.items() if "second" not in key} for entry in run.log]


def test_a_population_writes_what_each_run_would(tmp_path: Path):
    run = train(tmp_path / "all", evaluate__every=96, evaluate__count=64)
    entries = [run.member(number).log for number in range(MEMBERS)]
    for number in range(MEMBERS):
        member, alone = (
            run.member(number),
            train(tmp_path / f"{number}", members=1, seed=number, evaluate__every=96, evaluate__count=64),
        )
        assert member.config == alone.config
        assert [entry["images"] for entry in member.scores] == [96, 192, 288, 320]
        for key in ("discriminator_loss", "generator_loss", "d_real"):
            assert [entry[key] for entry in member.log] == pytest.approx([entry[key] for entry in alone.log], rel=1e-3)
        torch.testing.assert_close(member.sample(4), alone.sample(4), rtol=1e-3, atol=1e-4)
        assert [path.name for _, path in member.folder.sample_grids()] == [
            path.name for _, path in alone.folder.sample_grids()
        ]
        assert member.folder.best.is_file()
    for number, entry in enumerate(run.log):  # the mean
        mean = sum(own[number]["generator_loss"] for own in entries) / MEMBERS
        assert entry["generator_loss"] == pytest.approx(mean, abs=2e-6)
    assert len(run.folder.sample_grids()) == 5


def test_a_resumed_population_gives_the_same_bytes(tmp_path: Path):
    settings = {"evaluate__every": 96, "evaluate__count": 64}
    whole, parts = train(tmp_path / "whole", **settings), train(tmp_path / "parts", **settings, images=192)
    assert parts.status.images == 192
    parts = train(tmp_path / "parts", **settings)
    assert shared_bytes(whole) == shared_bytes(parts)
    for number in range(MEMBERS):
        assert figures(whole.member(number)) == figures(parts.member(number))
        assert whole.member(number).scores == parts.member(number).scores


def test_a_member_taken_out_goes_on_as_the_run_it_would_be(tmp_path: Path):
    run = train(tmp_path / "all", images=192, evaluate__every=96, evaluate__count=64)
    forked = saddle.fork(run, member=2, out=tmp_path / "two")
    assert (forked.config.seed, forked.config.members, forked.status.images) == (2, 1, 192)
    settings = {"members": 1, "seed": 2, "evaluate__every": 96, "evaluate__count": 64}
    forked, alone = train(tmp_path / "two", **settings), train(tmp_path / "alone", **settings)
    assert [entry["images"] for entry in forked.log] == [entry["images"] for entry in alone.log]
    assert forked.log[-1]["generator_loss"] == pytest.approx(alone.log[-1]["generator_loss"], rel=1e-3)
    torch.testing.assert_close(forked.sample(4), alone.sample(4), rtol=1e-3, atol=1e-4)


def test_one_that_diverges_is_told_and_left_out(tmp_path: Path):
    told: list[str] = []

    class Listener(Silent):
        def say(self, text: str) -> None:
            told.append(text)

    rates = {"vary__discriminator__optimizer__learning_rate": [1e-3, 1e25, 1e-3]}
    run = train(tmp_path / "run", **rates, progress=Listener())
    assert run.status.state == "finished" and not run.folder.diverged.exists()
    assert [run.member(number).status.state for number in range(MEMBERS)] == ["finished", "diverged", "finished"]
    assert sum("member 1 has diverged and is left out; 2 go on" in line for line in told) == 1
    assert run.member(1).log[-1]["images"] < 320 and run.member(2).log[-1]["images"] == 320
    means = [entry["generator_loss"] for entry in run.log]
    assert means == [value for value in means if isinstance(value, float)]  # what is not finite is written as text
    with pytest.raises(RunError, match="member 1 of") as caught:
        saddle.fork(run, member=1, out=tmp_path / "out")
    assert "no longer finite" in str(caught.value.got)
    before = len(run.member(1).log)
    resumed = train(tmp_path / "run", **rates, images=400)
    assert resumed.member(0).status.images == 400
    assert resumed.member(1).status.state == "diverged" and len(resumed.member(1).log) == before


def test_all_that_diverge_end_the_run(tmp_path: Path):
    with pytest.raises(Diverged, match="all 2 members have diverged"):
        train(tmp_path / "run", members=2, discriminator__optimizer__learning_rate=1e25)
    assert saddle.Run(tmp_path / "run").status.state == "diverged"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": 0}, "members: expected greater than 0"),
        ({"vary.game.r1": [1.0, 2.0]}, "vary.game.r1 needs a number for each member"),
        ({"members": 1, "vary.game.r1": [1.0]}, "vary needs members > 1"),
        ({"vary.generator.optimizer.learning_rate": [1.0, 0.0, 1.0]}, "expected greater than 0"),
        ({"vary.game.r1": [0.0, 1.0, 1.0], "game.penalty_every": 4}, "game.penalty_every = 4 has no effect"),
        ({"execution": "compile"}, "execution = compile needs members = 1"),
        ({"seed": 2**63 - 2}, "the seeds of the last members are too large"),
    ],
)
def test_settings_that_make_no_population_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as caught:
        configure("digits", {"members": MEMBERS, **settings})
    assert message in str(caught.value) + "".join(map(str, caught.value.details))


def test_a_module_of_the_users_own_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        train(tmp_path / "run", generator=torch.nn.Linear(4, 64))
    assert "members > 1 needs networks that saddle builds" in "".join(map(str, caught.value.details))


def test_members_that_would_not_fit_are_counted(monkeypatch: pytest.MonkeyPatch):
    config = configure("digits", {"members": 1000})
    store = open_data(config.data)
    monkeypatch.setattr(assemble, "free_on", lambda _: 50_000_000)
    with pytest.raises(TooLarge, match="a population of 1,000: the weights") as caught:
        try_out(config, store, Scaling.fit(store, "sigmoid"), Networks(), CPU)
    fitting = int(str(caught.value.remedy).split()[1])
    smaller = config.model_copy(update={"members": fitting})
    assemble._check_networks(smaller, store, CPU)
    with pytest.raises(TooLarge):
        assemble._check_networks(config.model_copy(update={"members": fitting + 1}), store, CPU)


def test_commands(tmp_path: Path):
    run = train(tmp_path / "run", images=96)

    def answer(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(word) for word in words])
        return result.exit_code, result.output

    assert answer("sample", str(run.path), "--member", "2", "--count", "4", "--out", str(tmp_path / "x.npy"))[0] == 0
    assert answer("evaluate", str(run.path), "--member", "1", "--count", "64", "--seeds", "1", "--metric", "fd")[0] == 0
    assert run.member(1).folder.evaluation.is_file() and not run.folder.evaluation.exists()
    code, text = answer("fork", str(run.path), "--member", "2", "--out", str(tmp_path / "two"))
    assert code == 0 and "96 of 96 images" in text
    assert "members:      3" in answer("info", str(run.path))[1]
    assert "take it out: saddle fork" in answer("info", str(run.member(2).path))[1]
    assert answer("list", str(tmp_path))[1].count("finished") == 2  # the members are in their population
    assert answer("report", str(run.path))[0] == 0 and answer("report", str(run.member(0).path))[0] == 0
    assert load_config(run.member(2).folder.config).seed == 2


def test_what_does_not_fit_a_population_is_told(tmp_path: Path):
    run = train(tmp_path / "run", images=96)
    with pytest.raises(CheckpointError, match="is a population of 3"):
        saddle.load(run.path)
    with pytest.raises(RunError, match="has no member 3"):
        run.member(3)
    with pytest.raises(RunError, match="is no population"):
        run.member(0).member(0)
    with pytest.raises(RunError, match="is a member of a population"):
        train(run.member(1).path, members=1, seed=1)
    with pytest.raises(RunError, match="is not empty"):
        saddle.fork(run, member=0, out=run.path)
    with pytest.raises(RunError, match="is a single run"):
        saddle.fork(run.member(0).path, member=0, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    link = run.folder.members / "03"
    link.symlink_to(tmp_path)
    with pytest.raises(RunError, match="03 is a link"):
        train(run.path, images=192)


def test_a_damaged_list_of_the_lost_is_refused(tmp_path: Path):
    run = train(tmp_path / "run", images=96)
    _, path = run.folder.all_checkpoints()[-1]
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, header | {"record": header["record"] | {"lost": [7]}})
    with pytest.raises(CheckpointError, match="holds nothing that saddle wrote"):
        train(run.path, images=192)
