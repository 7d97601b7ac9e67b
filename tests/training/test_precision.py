"""Rounds in half precision: what becomes coarser, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import saddle
from saddle.base.progress import Silent
from saddle.config import load_config, load_recipe, parse_settings, resolve
from saddle.data import Store
from saddle.data.scaling import Scaling
from saddle.errors import ConfigError
from saddle.training import assemble
from saddle.training.assemble import Networks, make_feed, make_gan
from saddle.training.engine import Engine, choose_execution, precisions, thread_counts

CPU = torch.device("cpu")
VARIANTS = {
    "plain": (),
    "relativistic with both penalties": ("game.loss=relativistic", "game.r1=1", "game.r2=1"),
    "gradient penalty": ("game.loss=wasserstein", "game.gradient_penalty=10"),
    "norms and dropout": ("generator.network.norm=batch", "discriminator.network.dropout=0.3"),
    "virtual norm and feature matching": ("generator.network.norm=virtual", "game.feature_matching=l2"),
    "minibatch discrimination": ("discriminator.minibatch_kernels=4",),
    "spectral": ("discriminator.weights=spectral", "game.loss=hinge"),
    "shared pass": ("game.share=pass", "game.update=simultaneous"),
    "projection": ("conditional=true", "discriminator.condition=projection"),
    "convolutions": ("generator.network.family=dcgan", "discriminator.network.family=dcgan", "data.size=16"),
    "residual blocks": ("generator.network.family=r3gan", "discriminator.network.family=r3gan", "data.size=16"),
}


def played(
    store: Store, precision: str, settings: tuple[str, ...], rounds: int = 3
) -> tuple[list[dict[str, Any]], Any]:
    config = resolve(load_recipe("mlp-tanh"), parse_settings(["batch_size=16", *settings]))
    scaling = Scaling.fit(store, "tanh")
    learner = make_gan(config, store, scaling, Networks(), CPU)
    feed, engine = make_feed(config, store, scaling, CPU), Engine(learner, precision)
    figures = [engine.play([feed.batch(16 * number, 16)], number, number) for number in range(rounds)]
    return figures, learner


@pytest.mark.parametrize("variant", VARIANTS)
def test_half_precision_is_near_single_precision(tiny_images: Store, variant: str):
    settings = VARIANTS[variant]
    store = tiny_images
    if "data.size=16" in settings:
        values = tiny_images.values.repeat(2, 2).repeat(2, 3)
        store = Store(tiny_images.name, values, tiny_images.labels, tiny_images.class_names, "0" * 64)
        settings = settings[:-1]
    single, exact = played(store, "float32", settings)
    half, learner = played(store, "bfloat16", settings)
    for ours, wanted in zip(half, single, strict=True):
        assert ours.keys() == wanted.keys()
        for name, value in ours.items():
            assert value.dtype == torch.float32, name
            # bfloat16 has 8 bits: a step of 0.4 % in each product, and some in a row.
            torch.testing.assert_close(
                value, wanted[name], rtol=0.08, atol=0.02, msg=lambda text, n=name: f"{n}: {text}"
            )
    assert any(not torch.equal(ours[name], single[0][name]) for ours in half[:1] for name in ours)
    moved: dict[str, Tensor] = learner.state()
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in moved.values())
    for name, tensor in exact.state().items():
        if "exp_avg" in name and "sq" not in name and tensor.norm() > 1e-6:  # the direction that the optimizer takes
            cosine = torch.cosine_similarity(tensor.flatten(), moved[name].flatten(), dim=0)
            assert cosine > 0.97, (name, cosine)


def test_a_network_judges_with_weights_that_moved_within_the_round(tiny_images: Store):
    """Autocast may keep cast weights, and would then not see what an optimizer did to them."""
    figures: list[Tensor] = []
    for rate in ("1e-12", "0.3"):
        settings = (f"discriminator.optimizer.learning_rate={rate}", "game.share=samples")
        figures.append(played(tiny_images, "bfloat16", settings, rounds=1)[0][0]["generator_loss"])
    assert abs(figures[0] - figures[1]) > 0.05


SETTINGS: dict[str, Any] = {
    "batch_size": 16,
    "threads": 1,
    "generator.network.widths": [8],
    "discriminator.network.widths": [8],
    "checkpoint.every": 64,
}


def train(out: Path, **changes: Any) -> saddle.Run:
    length = changes.pop("images", 256)
    settings = SETTINGS | changes
    return saddle.train("mlp-tanh", data="digits", out=out, images=length, settings=settings, progress=Silent())


def test_a_run_in_half_precision_resumes_exactly(tmp_path: Path):
    whole = train(tmp_path / "whole", precision="bfloat16")
    train(tmp_path / "parts", precision="bfloat16", images=96)
    parts = train(tmp_path / "parts", precision="bfloat16")
    single = train(tmp_path / "single", precision="float32")
    assert whole.folder.generator.read_bytes() == parts.folder.generator.read_bytes()
    assert whole.folder.generator.read_bytes() != single.folder.generator.read_bytes()


def test_the_precision_that_was_found_belongs_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(assemble, "choose_execution", lambda _, threads, precisions: (threads[0], precisions[-1]))
    train(tmp_path / "run", precision="auto", images=96)
    assert load_config(tmp_path / "run" / "config.toml").precision == "bfloat16"
    monkeypatch.setattr(assemble, "choose_execution", lambda _, threads, precisions: (threads[0], precisions[0]))
    train(tmp_path / "run", precision="auto")
    assert load_config(tmp_path / "run" / "config.toml").precision == "bfloat16"
    with pytest.raises(saddle.errors.RunError, match="precision: bfloat16 → float32"):
        train(tmp_path / "run", precision="float32")


def test_a_precision_that_the_device_lacks(tmp_path: Path):
    with pytest.raises(ConfigError, match="cpu has no products in tf32"):
        train(tmp_path / "run", precision="tf32")
    assert not (tmp_path / "run").exists()


# Milliseconds of a round with one thread and with two, in float32 and in bfloat16.
@pytest.mark.parametrize(
    ("one", "two", "chosen"),
    [
        ((50, 30), (36, 25), (2, "bfloat16")),
        ((50, 30), (36, 40), (1, "bfloat16")),  # a second thread pays in float32 alone
        ((50, 49), (36, 33), (2, "float32")),  # half precision must be worth its rounding
        ((12, 12), (300, 300), (1, "float32")),  # on a busy machine
    ],
)
def test_the_fastest_pair_of_threads_and_precision_is_taken(
    one: tuple[int, int], two: tuple[int, int], chosen: tuple[int, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("saddle.training.engine.usable_cores", lambda: 2)
    assert precisions(CPU) == ("float32", "bfloat16") and thread_counts() == [1, 2]
    before = torch.get_num_threads()
    found = {(count, precision): times[precision == "bfloat16"] for count, times in ((1, one), (2, two))
             for precision in precisions(CPU)}  # fmt: skip
    tried: list[tuple[int, str]] = []

    def trial(precision: str) -> float:
        tried.append((torch.get_num_threads(), precision))
        disturbed = 1_000 if len(tried) == 1 + list(found).index(chosen) else 0  # by other work, once
        return found[tried[-1]] + disturbed

    try:
        assert choose_execution(trial, thread_counts(), precisions(CPU)) == chosen
        assert torch.get_num_threads() == chosen[0]
    finally:
        torch.set_num_threads(before)


def test_what_is_given_is_not_tried():
    def trial(_: str) -> float:
        raise AssertionError

    before = torch.get_num_threads()
    try:
        assert choose_execution(trial, [before + 1], ["float32"]) == (before + 1, "float32")
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
