from __future__ import annotations

import pytest
import torch
from torch import nn

from saddle.base.chance import stream
from saddle.config.networks import LatentConfig, MLPConfig
from saddle.config.schedules import LinearSchedule
from saddle.config.schema import DiscriminatorConfig, GameConfig
from saddle.errors import ConfigError
from saddle.game.batch import Batch, packed_shape
from saddle.game.latents import BLOCK, draw, numbered
from saddle.game.rules import PlainRule, Turn
from saddle.networks.families import build_discriminator


def make(norm: str = "none", **game: object) -> tuple[PlainRule, nn.Module]:
    config = DiscriminatorConfig(network=MLPConfig(widths=(16,), norm=norm))
    settings = GameConfig(**game)
    torch.manual_seed(0)
    network = build_discriminator(config, packed_shape((1, 2, 2), settings.packing), classes=0)
    return PlainRule(settings, network), network


def samples(seed: int) -> torch.Tensor:
    return torch.randn(8, 1, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_packing_joins_neighbours_along_the_channels():
    batch = torch.arange(6 * 2).reshape(6, 2, 1, 1)
    packed = Batch(batch).packed(3).samples
    assert packed.shape == (2, 6, 1, 1)
    assert packed[1].flatten().tolist() == [6, 7, 8, 9, 10, 11]
    points = Batch(torch.arange(100.0).reshape(100, 1)).packed(100).samples
    assert points.shape == (1, 100)


@pytest.mark.parametrize("game", [{}, {"r1": 2.0}, {"r2": 3.0}, {"r1": 2.0, "r2": 3.0}, {"packing": 4}])
def test_one_pass_over_both_halves_gives_the_gradients_of_two(game: dict[str, float]):
    gradients = []
    for one_pass in (False, True):
        rule, network = make(**game)
        rule._judges_alone = one_pass
        turn = rule.discriminator_turn(Batch(samples(1)), Batch(samples(2)))
        turn.loss.backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_batch_norm_in_d_sees_real_and_generated_samples_apart():
    rule, network = make(norm="batch")
    real, fake = samples(1), samples(2) + 5
    figures = rule.discriminator_turn(Batch(real), Batch(fake)).figures
    alone = torch.sigmoid(network(real)).mean()
    assert figures["d_real"].item() == pytest.approx(alone.item(), rel=1e-5)


def test_penalties_are_in_the_loss_with_their_weight():
    rule, _ = make(r1=2.0)
    turn = rule.discriminator_turn(Batch(samples(1)), Batch(samples(2)))
    plain_rule, _ = make()
    plain = plain_rule.discriminator_turn(Batch(samples(1)), Batch(samples(2)))
    assert (turn.loss - plain.loss).item() == pytest.approx(turn.figures["r1"].item(), rel=1e-4)
    assert turn.figures["r1"] > 0
    assert "r2" not in turn.figures


@pytest.mark.parametrize("game", [{"r1": 2.0}, {"r1": 2.0, "r2": 3.0}, {"gradient_penalty": 10.0}])
def test_lazy_penalties_join_every_nth_turn_n_times_as_heavy(game: dict[str, float]):
    def turn(number: int, every: int) -> Turn:
        rule, _ = make(**game, penalty_every=every)
        torch.manual_seed(1)  # for the points between
        return rule.discriminator_turn(Batch(samples(1)), Batch(samples(2)), number)

    plain_rule, _ = make()
    plain = plain_rule.discriminator_turn(Batch(samples(1)), Batch(samples(2)))
    always = turn(0, 1)
    for number in range(6):
        lazy = turn(number, 3)
        assert set(lazy.figures) == set(always.figures)
        for name in game:
            expected = 0.0 if number % 3 else 3 * always.figures[name].item()
            assert lazy.figures[name].item() == pytest.approx(expected)
        expected = plain.loss if number % 3 else plain.loss + 3 * (always.loss - plain.loss)
        assert lazy.loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_discriminator_turn_leaves_the_generator_alone():
    rule, _ = make()
    fake = samples(2).requires_grad_()
    rule.discriminator_turn(Batch(samples(1)), Batch(fake)).loss.backward()
    assert fake.grad is None


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("size", [1, 3, 7, 16, 33, 100])
def test_the_beginning_of_a_block_is_that_of_the_whole_block(size: int, distribution: str):
    """A few latents are drawn without the rest of their block, which rests on how torch fills a tensor."""
    config = LatentConfig(size=size, distribution=distribution)
    chance = torch.Generator().manual_seed(stream(4, "sample", 0))
    whole = draw(config, BLOCK, torch.device("cpu"), chance)
    for start, count in ((0, 1), (5, 2), (17, 33), (BLOCK - 40, 20), (BLOCK - 1, 1), (0, BLOCK)):
        assert torch.equal(numbered(config, 4, start, count), whole[start : start + count])


def test_numbered_latents_do_not_depend_on_how_they_are_asked_for():
    config = LatentConfig(size=3)
    whole = numbered(config, 7, 0, 2 * BLOCK + 5)
    assert torch.equal(numbered(config, 7, BLOCK - 2, 10), whole[BLOCK - 2 : BLOCK + 8])
    assert torch.equal(torch.cat([numbered(config, 7, 0, 3), numbered(config, 7, 3, 9)]), whole[:12])
    assert not torch.equal(numbered(config, 8, 0, 5), whole[:5])


def test_uniform_latents_fill_their_range():
    latents = numbered(LatentConfig(size=4, distribution="uniform", low=-3.0, high=1.0), 0, 0, 4000)
    assert -3 <= latents.min() < -2.9
    assert 0.9 < latents.max() <= 1
    assert latents.mean().item() == pytest.approx(-1, abs=0.05)


def test_codes_are_equally_likely_and_leave_z_as_it_is():
    config = LatentConfig(size=3, codes=5)
    latents = numbered(config, 7, 0, 3000)
    assert latents.shape == (3000, config.width) == (3000, 8)
    z, codes = latents[:, :3], latents[:, 3:]
    assert torch.equal(z[:BLOCK], numbered(LatentConfig(size=3), 7, 0, BLOCK))
    assert (codes.sum(1) == 1).all() and ((codes == 0) | (codes == 1)).all()
    assert codes.mean(0).tolist() == pytest.approx([0.2] * 5, abs=0.03)


def test_relativistic_d_says_how_sure_it_is_of_pairs():
    rule, network = make(loss="relativistic")
    real, fake = samples(1), samples(2)
    figures = rule.discriminator_turn(Batch(real), Batch(fake)).figures
    sure = torch.sigmoid(network(real) - network(fake)).mean().item()
    assert figures["d_real"].item() == pytest.approx(sure, rel=1e-5)
    assert figures["d_fake"].item() == pytest.approx(1 - sure, rel=1e-5)


def test_relativistic_g_compares_with_the_real_batch():
    rule, _ = make(loss="relativistic")
    fake = samples(2)
    near = rule.generator_turn(Batch(fake), Batch(fake)).loss
    far = rule.generator_turn(Batch(fake + 3), Batch(fake)).loss
    assert near.item() == pytest.approx(0.6931, abs=1e-3)
    assert near != far


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_feature_matching_compares_mean_features(norm: str):
    rule, network = make(feature_matching=norm)
    real, fake = samples(1), samples(2)
    gap = network.features(fake).mean(0) - network.features(real).mean(0)
    expected = gap.abs().mean() if norm == "l1" else gap.square().mean()
    assert rule.generator_turn(Batch(real), Batch(fake)).loss.item() == pytest.approx(expected.item())
    assert rule.generator_turn(Batch(real), Batch(real.flip(0))).loss.item() == pytest.approx(0, abs=1e-6)


def told(weight: float) -> tuple[PlainRule, nn.Module, Batch, Batch]:
    """A game with labels, whose D tells them with ``weight``; and what it judges."""
    config = DiscriminatorConfig(network=MLPConfig(widths=(16,)), condition="projection")
    torch.manual_seed(0)
    network = build_discriminator(config, (1, 2, 2), classes=3, classify=True)
    labels = torch.arange(8) % 3
    return (
        PlainRule(GameConfig(classification=weight), network, classes=3),
        network,
        Batch(samples(1), labels),
        Batch(samples(2), labels),
    )


def test_both_losses_hold_the_cross_entropy_of_the_classes():
    (plain, *_), (rule, network, real, fake) = told(0), told(0.5)
    for turn, without, batch, name in (
        (rule.discriminator_turn(real, fake), plain.discriminator_turn(real, fake), real, "class_real"),
        (rule.generator_turn(real, fake), plain.generator_turn(real, fake), fake, "class_fake"),
    ):
        chances = network.class_head(network.features(batch.samples)).log_softmax(1)
        expected = -chances[torch.arange(8), batch.condition].mean()
        assert turn.figures[name].item() == pytest.approx(expected.item(), rel=1e-5)
        assert (turn.loss - without.loss).item() == pytest.approx(0.5 * expected.item(), rel=1e-4)
        assert name not in without.figures


def test_d_learns_classes_from_real_samples_alone():
    rule, network, real, fake = told(0.5)
    rule.discriminator_turn(real, fake).loss.backward()
    gradient = network.class_head.weight.grad.clone()
    network.zero_grad()
    rule.discriminator_turn(real, Batch(samples(3), fake.condition)).loss.backward()
    torch.testing.assert_close(network.class_head.weight.grad, gradient)


def test_what_is_told_of_a_class_does_not_depend_on_the_label_that_was_given():
    _, network, real, _ = told(0.5)
    logits, classes = network.judge_and_classify(real.samples, real.condition)
    torch.testing.assert_close(logits, network(real.samples, real.condition))
    torch.testing.assert_close(classes, network.judge_and_classify(real.samples, real.condition.flip(0))[1])


class Own(nn.Module):
    """A D of a user's that answers with ``answer``."""

    def __init__(self, answer: object = None) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return images.flatten(1).sum(1)


class OwnTelling(Own):
    def judge_and_classify(self, images: torch.Tensor, labels: torch.Tensor) -> object:
        return self.answer


def test_telling_classes_needs_a_d_that_can():
    game = GameConfig(classification=0.3)
    assert PlainRule(game, Own()).judge(Batch(samples(1))).classes is None  # without labels there is nothing to tell
    with pytest.raises(ConfigError, match="classes apart") as caught:
        PlainRule(game, Own(), classes=3)
    assert caught.value.remedy == "--set game.classification=0"


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (torch.zeros(8), "Tensor"),
        ((torch.zeros(8),), r"shapes \(8,\)"),
        ((torch.zeros(8), torch.zeros(8, 2)), r"shapes \(8,\), \(8, 2\)"),
        ((torch.zeros(8), torch.zeros(4, 3)), r"shapes \(8,\), \(4, 3\)"),
    ],
)
def test_a_wrong_answer_about_classes_is_refused(answer: object, got: str):
    rule = PlainRule(GameConfig(classification=0.3), OwnTelling(answer), classes=3)
    with pytest.raises(ConfigError, match=got) as caught:
        rule.judge(Batch(samples(1), torch.arange(8) % 3))
    assert "(8, 3)" in str(caught.value)


def test_a_d_without_class_head_says_so():
    config = DiscriminatorConfig(network=MLPConfig(widths=(16,)), condition="projection")
    rule = PlainRule(GameConfig(classification=0.3), build_discriminator(config, (1, 2, 2), classes=3), classes=3)
    with pytest.raises(ConfigError, match="without a layer that tells classes"):
        rule.judge(Batch(samples(1), torch.arange(8) % 3))


def test_feature_matching_needs_features():
    with pytest.raises(ConfigError, match="feature matching"):
        PlainRule(GameConfig(feature_matching="l2"), nn.Linear(4, 1))


def test_the_gradient_penalty_is_in_the_loss():
    rule, _ = make(loss="wasserstein", gradient_penalty=10.0)
    torch.manual_seed(3)
    turn = rule.discriminator_turn(Batch(samples(1)), Batch(samples(2)))
    plain_rule, _ = make(loss="wasserstein")
    plain = plain_rule.discriminator_turn(Batch(samples(1)), Batch(samples(2)))
    assert (turn.loss - plain.loss).item() == pytest.approx(turn.figures["gradient_penalty"].item(), rel=1e-4)


def test_a_discriminator_of_the_wrong_output_is_told_at_once():
    rule = PlainRule(GameConfig(), nn.Sequential(nn.Flatten(), nn.Linear(4, 1)))
    with pytest.raises(ConfigError, match="one logit for each sample"):
        rule.discriminator_turn(Batch(samples(1)), Batch(samples(2)))


def test_a_penalty_that_has_fallen_to_zero_costs_nothing_and_counts_zero():
    rule, _ = make(r1=LinearSchedule(value=2.0, to=0.0, end=100))
    rule.schedule(0)
    assert rule.discriminator_turn(Batch(samples(1)), Batch(samples(2))).figures["r1"] > 0
    rule.schedule(100)
    real = samples(1)
    assert rule.discriminator_turn(Batch(real), Batch(samples(2))).figures["r1"] == 0
    assert not real.requires_grad
