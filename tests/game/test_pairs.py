"""The game on pairs: G is given inputs, D sees them behind the samples, and may judge patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from saddle.config.augment import DiffAugmentConfig, StochasticConfig
from saddle.config.schema import DataConfig, GameConfig
from saddle.data import Store, open_data
from saddle.data.scaling import Scaling
from saddle.errors import ConfigError
from saddle.game.augment import Augment
from saddle.game.batch import Batch
from saddle.game.feed import Feed
from saddle.game.rules import PlainRule

CPU = torch.device("cpu")


class Patches(nn.Module):
    """A logit for each pixel: a fixed weight for each channel, and a square so that gradients differ."""

    judges_alone = judges_patches = True

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, channels))

    def forward(self, samples: Tensor) -> Tensor:
        self.seen = samples
        mixed = (samples * self.weight[:, None, None]).sum(1)
        return (mixed + mixed.square()).flatten(1)


def pairs(count: int = 6, channels: int = 1, seed: int = 0) -> Batch:
    chance = torch.Generator().manual_seed(seed)
    samples, inputs = (torch.rand(count, each, 4, 4, generator=chance) for each in (1, channels))
    return Batch(samples, inputs)


def rule(channels: int = 2, augment: Augment | None = None, **game: object) -> PlainRule:
    return PlainRule(GameConfig.model_validate(game), Patches(channels), augment=augment)


def test_d_sees_the_input_behind_the_sample():
    batch = pairs(channels=3)
    seen = rule().see(batch)
    assert seen.condition is None
    assert torch.equal(seen.samples[:, :1], batch.samples)
    assert torch.equal(seen.samples[:, 1:], batch.condition)
    labels = Batch(batch.samples, torch.zeros(6, dtype=torch.int64))
    assert labels.inputs is None
    assert torch.equal(rule().see(labels).samples, labels.samples)


def test_the_loss_is_the_mean_of_the_patches_losses_and_not_that_of_their_mean_logit():
    playing, real, fake = rule(), pairs(seed=1), pairs(seed=2)
    logits = playing.logits(real)
    assert logits.shape == (6, 16)
    turn = playing.discriminator_turn(real, fake)
    expected = nn.functional.softplus(-logits).mean()
    assert turn.figures["loss_real"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert turn.figures["loss_real"].item() != pytest.approx(
        nn.functional.softplus(-logits.mean(1)).mean().item(), 1e-3
    )
    assert turn.figures["d_real"].item() == pytest.approx(logits.sigmoid().mean().item(), rel=1e-5)


@pytest.mark.parametrize("loss", ["non_saturating", "least_squares", "hinge", "wasserstein", "relativistic"])
def test_patches_that_agree_are_judged_as_one(loss: str):
    """With one colour all over, each patch says what a D of whole images would (tolerance 1e-5)."""
    real, fake = (torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))

    class Whole(nn.Module):
        def forward(self, samples: Tensor) -> Tensor:
            return (samples + samples.square()).mean((1, 2, 3))

    class Each(Whole):
        judges_patches = True

        def forward(self, samples: Tensor) -> Tensor:
            return (samples + samples.square()).flatten(1)

    turns = []
    for judge in (Whole(), Each()):
        playing = PlainRule(GameConfig(loss=loss, r1=1.0, gradient_penalty=1.0), judge)
        torch.manual_seed(0)
        batches = Batch(real.expand(5, 1, 4, 4).clone()), Batch(fake.expand(5, 1, 4, 4).clone())
        turns.append(playing.discriminator_turn(*batches).figures | playing.generator_turn(*batches).figures)
    for name, value in turns[0].items():
        torch.testing.assert_close(turns[1][name], value, rtol=1e-5, atol=1e-6)


def test_r1_is_on_the_gradient_of_the_mean_logit_with_respect_to_the_sample_alone():
    """D(x) = mean over p of w·c_p + (w·c_p)²: the gradient at a pixel of the sample is w₀ (1 + 2 w·c) / 16."""
    playing, real = rule(r1=2.0), pairs()
    weight = playing._discriminator.weight.detach()
    mixed = weight[0] * real.samples[:, 0] + weight[1] * real.condition[:, 0]
    gradient = weight[0] * (1 + 2 * mixed) / 16
    figures = playing.discriminator_turn(real, pairs(seed=2)).figures
    expected = gradient.square().sum((1, 2)).mean()
    assert figures["r1"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("share", ["nothing", "pass"])
def test_g_is_drawn_to_the_targets(share: str):
    playing, real = rule(l1={"value": 100.0, "to": 0.0, "end": 100}), pairs()
    fake = real._replace(samples=(real.samples + torch.linspace(-0.3, 0.5, 6)[:, None, None, None]).requires_grad_())
    distance = (fake.samples - real.samples).abs().mean().item()
    for images, weight in ((0, 100.0), (50, 50.0), (100, 0.0)):
        playing.schedule(images)
        turn = playing.joint_turn(real, fake)[1] if share == "pass" else playing.generator_turn(real, fake)
        assert turn.figures["l1"].item() == pytest.approx(distance, rel=1e-5)
        assert turn.loss.item() == pytest.approx(turn.figures["generator_loss"].item() + weight * distance, rel=1e-5)
    assert "l1" not in rule(1).generator_turn(Batch(real.samples), Batch(fake.samples)).figures


def test_a_discriminator_of_patches_has_to_say_so():
    silent = Patches(2)
    silent.judges_patches = False
    with pytest.raises(ConfigError, match="one logit for each sample"):
        PlainRule(GameConfig(), silent).logits(pairs())


@pytest.mark.parametrize("kind", ["diffaugment", "stochastic"])
@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_moves_a_sample_and_its_input_alike_and_recolours_the_sample_alone(kind: str, channels: int):
    if kind == "diffaugment":
        moves, colours = (DiffAugmentConfig(transformations=names) for names in (("translation", "cutout"), ("color",)))
    else:
        moves, colours = (
            StochasticConfig(transformations=names, strength=1.0)
            for names in (("xflip", "rotate", "scale"), ("brightness", "contrast", "hue", "saturation"))
        )
    samples = torch.rand(8, channels, 12, 12) * 2 - 1
    torch.manual_seed(0)
    seen = Augment(moves, CPU)(Batch(samples, samples.clone()))
    assert seen.condition is None
    assert torch.equal(seen.samples[:, :channels], seen.samples[:, channels:])
    assert not torch.equal(seen.samples[:, :channels], samples)
    seen = Augment(colours, CPU)(Batch(samples, samples.clone()))
    assert torch.equal(seen.samples[:, channels:], samples)
    assert not torch.equal(seen.samples[:, :channels], samples)


def opposites() -> Store:
    """Digits whose inputs are their negatives."""
    store = open_data(DataConfig(source="digits", pairs="edges"))
    return Store(store.name, store.values, None, (), "", inputs=255 - np.asarray(store.values))


@pytest.mark.parametrize("mirror", [False, True])
def test_a_batch_holds_the_inputs_of_its_samples_mirrored_with_them(mirror: bool):
    store = opposites()
    feed = Feed(store, Scaling.fit(store, "tanh"), seed=[0, 7], device=CPU, mirror=mirror)
    batch = feed.batch(1490, 20)  # over the end of an epoch
    assert batch.inputs is not None
    torch.testing.assert_close(batch.inputs, -batch.samples)
    plain = Feed(store, Scaling.fit(store, "tanh"), seed=[0, 7], device=CPU).batch(1490, 20)
    turned = (batch.samples != plain.samples).flatten(1).any(1)
    assert turned.any().item() == mirror
    torch.testing.assert_close(batch.inputs[turned], plain.inputs[turned].flip(-1))
