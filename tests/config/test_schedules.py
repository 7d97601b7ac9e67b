from __future__ import annotations

import pytest
import torch

from saddle.config import Config, load_recipe, parse_settings, resolve, to_toml
from saddle.config.resolve import settle
from saddle.config.schedules import CosineSchedule, ExponentialSchedule, LinearSchedule, value_at
from saddle.config.schema import AdamConfig, SGDConfig
from saddle.errors import ConfigError
from saddle.training.players import Player


def test_exponential_divides_at_every_step_down_to_its_minimum():
    schedule = ExponentialSchedule(value=0.1, divisor=1.5, every=100, minimum=0.01)
    assert value_at(schedule, 0) == 0.1
    assert value_at(schedule, 300) == pytest.approx(0.1 / 1.5**3)
    assert value_at(schedule, 10_000_000) == 0.01


def test_linear_is_constant_outside_its_range():
    schedule = LinearSchedule(value=0.5, to=0.7, start=100, end=300)
    assert [value_at(schedule, at) for at in (0, 100, 200, 300, 999)] == pytest.approx([0.5, 0.5, 0.6, 0.7, 0.7])


def test_cosine_is_slow_at_both_ends_and_constant_outside():
    schedule = CosineSchedule(value=0.5, to=0.7, start=100, end=300)
    expected = [0.5, 0.5, 0.5 + 0.2 * (1 - 0.5**0.5) / 2, 0.6, 0.7, 0.7]
    assert [value_at(schedule, at) for at in (0, 100, 150, 200, 300, 999)] == pytest.approx(expected)


def test_without_a_schedule_a_value_stays():
    assert value_at(0.3, 12345) == 0.3


def test_the_optimizer_follows_both_schedules():
    config = SGDConfig(
        learning_rate=LinearSchedule(value=0.1, to=0.0, end=100),
        momentum=LinearSchedule(value=0.5, to=0.9, end=100),
    )
    player = Player(torch.nn.Linear(1, 1), config)
    player.schedule(50)
    assert player.optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    assert player.optimizer.param_groups[0]["momentum"] == pytest.approx(0.7)


def test_historical_averaging_pulls_towards_the_mean_of_all_past_weights():
    """With no other loss, one step of SGD moves by -2 · lr · weight · (θ - mean)."""
    layer = torch.nn.Linear(1, 1, bias=False)
    player = Player(layer, SGDConfig(learning_rate=0.1), historical=0.5)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    player._past[0].fill_(0.0)
    player.step(layer.weight.sum() * 0)
    assert layer.weight.item() == pytest.approx(1 - 0.1 * 2 * 0.5 * 1)
    assert player._past[0].item() == pytest.approx(0.9 / 2)


def test_the_past_is_part_of_the_state():
    torch.manual_seed(0)
    first, second = (Player(torch.nn.Linear(2, 2), SGDConfig(), historical=0.1) for _ in range(2))
    for _ in range(3):
        first.step(first.network(torch.randn(4, 2)).square().mean())
    second.load({name: value.clone() for name, value in first.state().items()})
    assert second._steps.item() == 4
    assert all(torch.equal(a, b) for a, b in zip(first._past, second._past, strict=True))


def test_betas_may_be_schedules():
    player = Player(torch.nn.Linear(1, 1), AdamConfig(betas=(LinearSchedule(value=0.9, to=0.0, end=100), 0.99)))
    player.schedule(50)
    assert player.optimizer.param_groups[0]["betas"] == pytest.approx((0.45, 0.99))


FALLING = ["generator.optimizer.learning_rate={value=0.1, to=0.0, start='50%'}", "images=300"]


def falling(*more: str) -> Config:
    return resolve(load_recipe("mlp-tanh"), parse_settings([*FALLING, *more]))


def rate(config: Config, images_seen: int) -> float:
    return value_at(config.generator.optimizer.learning_rate, images_seen)


def test_a_share_of_the_length_is_fixed_when_the_run_begins_and_stays_when_it_goes_on_longer():
    begun = settle(falling(), {}, total=300)
    assert [rate(begun, at) for at in (0, 150, 225, 300)] == pytest.approx([0.1, 0.1, 0.05, 0.0])
    assert "50% of 300" in to_toml(begun)
    longer = settle(falling("images=900"), {}, total=900, recorded=begun)
    assert longer.generator == begun.generator
    assert rate(settle(falling("images=900"), {}, total=900), 450) == pytest.approx(0.1)


def test_another_share_is_another_setting():
    begun = settle(falling(), {}, total=300)
    other = falling("generator.optimizer.learning_rate.start='80%'")
    assert settle(other, {}, total=300, recorded=begun).generator != begun.generator


def test_a_shorter_run_keeps_its_decay():
    """Shares in lists, such as those of the betas, too."""
    config = resolve(
        load_recipe("digits"),
        parse_settings(["images=20000", "generator.optimizer.betas=[{value=0.5, to=0.0, start='10%'}, 0.99]"]),
    )
    config = settle(config, {}, total=20_000)
    assert rate(config, 20_000) == 0
    assert value_at(config.generator.optimizer.betas[0], 11_000) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("game.r1={to=0.1}", "game.r1.value is missing"),
        ("generator.optimizer.learning_rate={value=1, to=0, start='half'}", "a share of the run's length"),
        ("generator.optimizer.learning_rate={value=1, to=0, start=-1}", "a number of images seen"),
        ("generator.optimizer.learning_rate={value=1, to=0, start='60%', end='50%'}", "must start before it ends"),
        ("generator.optimizer.betas=[{value=0.5, to=1}, 0.99]", "betas must stay below 1"),
        ("game.r1={value=-1, to=1}", "greater than or equal to 0"),
    ],
)
def test_schedules_that_make_no_sense(setting: str, words: str):
    with pytest.raises(ConfigError, match=words):
        falling(setting)


def test_what_auto_means_is_validated_like_what_is_written():
    config = resolve(
        load_recipe("mlp-tanh"),
        parse_settings(
            ["conditional=auto", "generator.network.label_widths=[4]", "generator.network.joint_widths=[4]"]
        ),
    )
    with pytest.raises(ConfigError, match="no effect without labels"):
        settle(config, {"conditional": False}, total=100)


def test_shares_of_a_very_short_length_are_valid():
    config = settle(falling("images=40", "generator.optimizer.learning_rate.start='99%'"), {}, total=40)
    assert rate(config, 39) == pytest.approx(0.1)
    assert rate(config, 41) == 0
