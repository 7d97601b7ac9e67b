from __future__ import annotations

import pytest
import torch

from saddle.config.schedules import scheduled
from saddle.config.schema import ExponentialSchedule, LinearSchedule, SGDConfig
from saddle.training.players import Player


def test_exponential_divides_at_every_step_down_to_its_minimum():
    schedule = ExponentialSchedule(divisor=1.5, every=100, minimum=0.01)
    assert scheduled(0.1, schedule, 0) == 0.1
    assert scheduled(0.1, schedule, 300) == pytest.approx(0.1 / 1.5**3)
    assert scheduled(0.1, schedule, 10_000_000) == 0.01


def test_linear_is_constant_outside_its_range():
    schedule = LinearSchedule(to=0.7, start=100, end=300)
    assert [scheduled(0.5, schedule, at) for at in (0, 100, 200, 300, 999)] == pytest.approx([0.5, 0.5, 0.6, 0.7, 0.7])


def test_without_a_schedule_a_value_stays():
    assert scheduled(0.3, None, 12345) == 0.3


def test_the_optimizer_follows_both_schedules():
    config = SGDConfig(
        learning_rate=0.1,
        schedule=LinearSchedule(to=0.0, end=100),
        momentum=0.5,
        momentum_schedule=LinearSchedule(to=0.9, end=100),
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
