from __future__ import annotations

import pytest
import torch

from saddle.config.networks import GeneratorMLPConfig
from saddle.config.schema import AverageConfig, Config, GameConfig, GeneratorConfig
from saddle.game.batch import Batch
from saddle.networks.families import build_discriminator, build_generator
from saddle.training.gan import GAN
from saddle.training.loop import crosses
from saddle.training.players import averaging_weight

CPU = torch.device("cpu")


def make(half_life: int = 0, **game: object) -> GAN:
    torch.manual_seed(0)
    network = GeneratorMLPConfig(widths=(8,), norm="batch")
    config = Config(
        recipe="x",
        images=1,
        average=AverageConfig(half_life=half_life, rampup=0.0),
        generator=GeneratorConfig(network=network),
        game=GameConfig(**game),
    )
    generator = build_generator(config.generator, config.latent, (3,), 0)
    return GAN(config, generator, build_discriminator(config.discriminator, (3,), 0), CPU)


def weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().flatten().clone() for value in network.parameters()])


@pytest.mark.parametrize(
    ("update", "share"),
    [
        ("alternating", "nothing"),
        ("alternating", "samples"),
        ("simultaneous", "nothing"),
        ("simultaneous", "samples"),
        ("simultaneous", "pass"),
    ],
)
def test_both_players_move_once_a_round(update: str, share: str):
    gan = make(update=update, share=share)
    before = weights(gan.generator.network), weights(gan.discriminator.network)
    gan.play([Batch(torch.randn(8, 3))], 0)
    after = weights(gan.generator.network), weights(gan.discriminator.network)
    for player, old, new in zip((gan.generator, gan.discriminator), before, after, strict=True):
        assert not torch.equal(old, new)
        assert {int(player.optimizer.state[parameter]["step"]) for parameter in player.parameters} == {1}


def test_in_a_simultaneous_round_g_learns_from_d_as_it_was():
    """With D's learning rate huge, only an alternating G sees the moved D."""
    moved = {}
    for update in ("alternating", "simultaneous"):
        for rate in (1e-3, 1.0):
            gan = make(update=update, share="samples")
            for group in gan.discriminator.optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(1)
            gan.play([Batch(torch.randn(8, 3))], 0)
            moved[update, rate] = weights(gan.generator.network)
    assert torch.equal(moved["simultaneous", 1e-3], moved["simultaneous", 1.0])
    assert not torch.equal(moved["alternating", 1e-3], moved["alternating", 1.0])


def test_one_pass_for_both_turns_moves_both_as_two_passes_do():
    """D has no dropout here, so judging once or twice is the same."""
    moved = {}
    for share in ("samples", "pass"):
        gan = make(update="simultaneous", share=share)
        torch.manual_seed(1)
        batch = Batch(torch.randn(8, 3))
        gan.play([batch], 0)
        moved[share] = torch.cat([weights(gan.generator.network), weights(gan.discriminator.network)])
    torch.testing.assert_close(moved["samples"], moved["pass"])


def test_d_plays_its_turns_before_g():
    gan = make(discriminator_steps=3)
    gan.play([Batch(torch.randn(8, 3)) for _ in range(3)], 0)
    steps = [int(player.optimizer.state[player.parameters[0]]["step"]) for player in (gan.discriminator, gan.generator)]
    assert steps == [3, 1]


def test_lazy_penalties_come_in_every_nth_round_in_all_of_its_turns():
    gan = make(r1=1.0, penalty_every=3, discriminator_steps=2)
    batches = [Batch(torch.randn(8, 3)) for _ in range(2)]
    logged = [gan.play(batches, number)["r1"].item() > 0 for number in range(7)]
    assert logged == [True, False, False, True, False, False, True]


def test_averaged_generator_follows_weights_and_statistics():
    gan = make(half_life=64)
    live, averaged = gan.generator.network, gan.averaged
    with torch.no_grad():
        for parameter in live.parameters():
            parameter.fill_(1.0)
        for parameter in averaged.parameters():
            parameter.zero_()
    norm = next(layer for layer in live.modules() if isinstance(layer, torch.nn.BatchNorm1d))
    norm.running_mean.fill_(1.0)
    norm.num_batches_tracked.fill_(9)
    gan.follow(position=1_000_000, since=64)
    assert weights(averaged).tolist() == pytest.approx([0.5] * len(weights(averaged)))
    averaged_norm = next(layer for layer in averaged.modules() if isinstance(layer, torch.nn.BatchNorm1d))
    assert averaged_norm.running_mean[0].item() == pytest.approx(0.5)
    assert averaged_norm.num_batches_tracked == 9
    for _ in range(40):
        gan.follow(position=1_000_000, since=64)
    assert weights(averaged).min() > 0.999


def test_the_half_life_ramps_up():
    config = AverageConfig(half_life=10_000, rampup=0.1)
    assert averaging_weight(config, images_seen=1_000, images_since=100) == pytest.approx(0.5, rel=1e-3)
    assert averaging_weight(config, images_seen=1_000_000, images_since=10_000) == pytest.approx(0.5)


def test_the_first_weights_are_not_in_the_average():
    """Whatever the half-life: a mean of what came after each round, the newest weighing most."""
    config = AverageConfig(half_life=200, rampup=0)
    values, average = [3.0, -1.0, 4.0, 1.0], 1e6
    for number, value in enumerate(values, start=1):
        average += averaging_weight(config, images_seen=100 * number, images_since=100) * (value - average)
    shares = [0.5 ** ((len(values) - number) / 2) for number in range(1, len(values) + 1)]
    expected = sum(share * value for share, value in zip(shares, values, strict=True)) / sum(shares)
    assert average == pytest.approx(expected)


def test_without_averaging_the_averaged_generator_is_g():
    gan = make()
    assert gan.averaged is gan.generator.network
    assert not any(name.startswith("averaged") for name in gan.state())


@pytest.mark.parametrize(
    ("before", "after", "due"), [(0, 9, False), (0, 10, True), (9, 11, True), (10, 19, False), (5, 35, True)]
)
def test_intervals_are_crossed_however_rounds_fall(before: int, after: int, due: bool):
    assert crosses(before, after, 10) is due


def test_clipping_holds_every_weight_of_d():
    gan = make(loss="wasserstein", clip=0.01)
    gan.play([Batch(torch.randn(8, 3))], 0)
    assert weights(gan.discriminator.network).abs().max() <= 0.01
    assert weights(gan.generator.network).abs().max() > 0.01


def conditional(shares: tuple[float, ...], loss: str = "non_saturating") -> GAN:
    torch.manual_seed(0)
    config = Config(recipe="x", images=1, conditional=True, game=GameConfig.model_validate({"loss": loss}))
    generator = build_generator(config.generator, config.latent, (3,), len(shares))
    return GAN(config, generator, build_discriminator(config.discriminator, (3,), len(shares)), CPU, shares)


@pytest.mark.parametrize(("loss", "paired"), [("relativistic", True), ("non_saturating", False)])
def test_pairs_of_a_relativistic_loss_have_one_label(loss: str, paired: bool):
    gan = conditional((0.25, 0.25, 0.25, 0.25), loss)
    told: list[torch.Tensor] = []
    gan.generator.network.register_forward_pre_hook(lambda _, given: told.append(given[1]))
    real = Batch(torch.randn(64, 3), torch.arange(64) % 4)
    gan.play([real], 0)
    gan.turn("G", real, 0)
    assert len(told) == 3
    assert [torch.equal(labels, real.condition) for labels in told] == [paired] * 3


def test_labels_of_generated_samples_occur_as_often_as_the_real_ones():
    shares = (0.5, 0.0, 0.3, 0.2)
    labels = conditional(shares).generate(4000).condition
    assert (labels.bincount(minlength=4) / 4000).tolist() == pytest.approx(shares, abs=0.03)
