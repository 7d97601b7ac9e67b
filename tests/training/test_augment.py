"""A run with augmentation: what it keeps, what it writes down, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import saddle
from saddle.base.progress import Silent
from saddle.config import load_recipe, resolve
from saddle.config.keys import identity_of
from saddle.config.resolve import Recipe
from saddle.data import Store
from saddle.data.scaling import Scaling
from saddle.errors import CheckpointError, ConfigError
from saddle.game.feed import Feed
from saddle.training.assemble import Networks, make_feed, make_gan
from saddle.training.engine import Engine
from saddle.training.gan import GAN

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {
    "batch_size": 16,
    "threads": 1,
    "latent.size": 4,
    "generator.network.widths": [8],
    "discriminator.network.widths": [8],
    "checkpoint.every": 96,
    "samples.every": 96,
    "samples.count": 4,
    "log.every": 48,
    "data.mirror": True,
}
ADA = {
    "game": {"augment": {"kind": "ada", "rise": 200, "target": 0.1}},
    "discriminator": {"optimizer": {"learning_rate": 1e-2}},
}
CUTOUT = {"game": {"augment": {"kind": "diffaugment", "transformations": ["cutout"]}}}


def train(out: Path, kind: dict[str, Any], images: int = 192, **changes: Any) -> saddle.Run:
    recipe = out.parent / "small.toml"
    recipe.write_text("")
    settings = {**SMALL, "images": images, **kind, **changes}
    return saddle.train(str(recipe), out=out, settings=settings, progress=Silent(), device="cpu")


def shared_bytes(run: saddle.Run) -> dict[str, bytes]:
    files = (path for path in run.path.rglob("*") if path.suffix in (".safetensors", ".png"))
    return {str(path.relative_to(run.path)): path.read_bytes() for path in files if path.parent.name != "checkpoints"}


def play(gan: GAN, feed: Feed, numbers: range) -> list[dict[str, Tensor]]:
    engine, figures = Engine(gan), []
    for number in numbers:
        gan.schedule(16 * number)
        figures.append(engine.play([feed.batch(16 * number, 16)], number, number))
    return figures


def test_a_learner_that_is_loaded_goes_on_to_the_bit(tiny_images: Store):
    config = resolve(load_recipe("mlp-tanh"), {"batch_size": 16, **ADA})
    scaling = Scaling.fit(tiny_images, "tanh")
    feed = make_feed(config, tiny_images, scaling, CPU)
    whole, parts, rest = (make_gan(config, tiny_images, scaling, Networks(), CPU) for _ in range(3))
    play(parts, feed, range(6))
    rest.load({name: tensor.clone() for name, tensor in parts.state().items()})
    figures, again = play(whole, feed, range(12)), play(rest, feed, range(6, 12))
    for ours, theirs in zip(again, figures[6:], strict=True):
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert all(torch.equal(tensor, rest.state()[name]) for name, tensor in whole.state().items())
    assert len({each["augment_p"].item() for each in figures}) > 3  # it did move
    assert all(-1 <= each["r_t"] <= 1 for each in figures)


@pytest.mark.slow
def test_a_run_that_was_stopped_and_resumed_gives_the_same_bytes(tmp_path: Path):
    whole = train(tmp_path / "whole", ADA)
    train(tmp_path / "parts", ADA, images=96)
    parts = train(tmp_path / "parts", ADA)
    assert shared_bytes(parts) == shared_bytes(whole)
    for one, other in zip(parts.log, whole.log, strict=True):
        assert {key: one[key] for key in ("augment_p", "r_t")} == {key: other[key] for key in ("augment_p", "r_t")}
    whole.report()
    for text in ("What D sees", "The probability of each transformation"):
        assert text in (whole.path / "report.html").read_text(encoding="utf-8")


def test_the_picture_of_what_d_sees_has_rows_of_real_images_between(tmp_path: Path):
    """With cutout alone, D sees the real image or grey."""
    run = train(tmp_path / "run", CUTOUT, images=32)
    picture = np.asarray(Image.open(run.path / "augmented.png")).astype(int)
    cell = 48 + 2  # an image of 8 pixels is enlarged sixfold
    rows = [picture[2 + cell * row : 50 + cell * row, -8 * cell :] for row in range(8)]
    for real, seen in zip(rows[::2], rows[1::2], strict=True):
        cut = (abs(seen - 127.5) < 1) & (seen != real)
        assert cut.mean() > 0.05 and np.array_equal(seen[~cut], real[~cut])


@pytest.mark.slow
def test_each_member_of_a_population_has_its_own_picture_and_strength(tmp_path: Path):
    run = train(tmp_path / "all", ADA, members=2)
    for number in range(2):
        alone = train(tmp_path / f"{number}", ADA, seed=number)
        assert alone.log[-1]["augment_p"] > 0
        assert run.member(number).log[-1]["augment_p"] == pytest.approx(alone.log[-1]["augment_p"])
        assert (run.member(number).path / "augmented.png").is_file()


@pytest.mark.parametrize(("key", "value"), [("data.mirror", True), ("game.augment.kind", "ada")])
def test_points_are_neither_mirrored_nor_augmented(tmp_path: Path, key: str, value: object):
    with pytest.raises(ConfigError, match=rf"ring.* holds points\n.*got: {key.removesuffix('.kind')}"):
        saddle.train("ring8", out=tmp_path / "run", settings={key: value, "images": 512}, progress=Silent())


def test_a_run_without_augmentation_is_the_run_that_it_was_before_there_was_any():
    tables = {"images": 64}
    plain = identity_of(resolve(Recipe("own", "", "", "", tables)))
    off = {"game": {"augment": {"kind": "none"}}, "data": {"mirror": False}}
    assert identity_of(resolve(Recipe("own", "", "", "", {**tables, **off}))) == plain
    on = {"game": {"augment": {"kind": "ada"}}}
    assert identity_of(resolve(Recipe("own", "", "", "", {**tables, **on}))) != plain


@pytest.mark.parametrize(
    ("augment", "told"),
    [
        ({"target": 0.5}, "game.augment.target: not a setting of the family or kind chosen here"),
        ({"kind": "ada", "strength": 0.5}, "game.augment.strength: not a setting of the family or kind"),
        ({"kind": "stochastic"}, "game.augment.strength is missing"),
        ({"kind": "stochastic", "strength": {"value": 0.0, "to": 1.5}}, "must stay within 1, got 1.5"),
        ({"kind": "diffaugment", "transformations": ["color", "color"]}, "names one of them twice"),
        ({"kind": "ada", "transformations": ["xflip"], "color_share": 0.5}, "color_share has no effect"),
    ],
)
def test_settings_that_make_no_sense_are_refused(augment: dict[str, Any], told: str):
    with pytest.raises(ConfigError) as refused:
        resolve(load_recipe("digits"), {"game": {"augment": augment}})
    assert told in str(refused.value)


def test_a_checkpoint_with_a_strength_that_cannot_be_is_refused(tiny_images: Store):
    config = resolve(load_recipe("mlp-tanh"), {"game": {"augment": {"kind": "ada"}}})
    gan = make_gan(config, tiny_images, Scaling.fit(tiny_images, "tanh"), Networks(), CPU)
    state = gan.state()
    gan.load({**state, "augment.strength": torch.tensor(0.25)})
    assert gan.state()["augment.strength"] == 0.25
    with pytest.raises(CheckpointError, match="does not fit"):
        gan.load({**state, "augment.strength": torch.tensor(7.0)})
