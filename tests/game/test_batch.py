from __future__ import annotations

import pytest
import torch

from saddle.config.networks import MLPConfig
from saddle.config.schema import DiscriminatorConfig, GameConfig
from saddle.game.batch import Batch
from saddle.game.order import Step, order_of_play
from saddle.game.rules import PlainRule
from saddle.networks.families import build_discriminator


def batch(members: int, each: int, offset: float = 0.0) -> Batch:
    """Member m's samples are 100 m, 100 m + 1, ..."""
    values = [100.0 * member + number + offset for member in range(members) for number in range(each)]
    samples = torch.tensor(values)[:, None]
    return Batch(samples, samples[:, 0].long() % 7, members=members)


def test_joining_keeps_the_samples_of_each_member_together():
    joined = batch(2, 3).joined(batch(2, 3, offset=50))
    assert joined.samples.flatten().tolist() == [0, 1, 2, 50, 51, 52, 100, 101, 102, 150, 151, 152]
    assert joined.condition.tolist() == [value % 7 for value in joined.samples.flatten().int().tolist()]
    assert joined.size == 6


@pytest.mark.parametrize("members", [1, 2, 5])
def test_splitting_undoes_joining(members: int):
    first, second = batch(members, 3), batch(members, 3, offset=0.5)
    halves = first.split(first.joined(second).samples)
    assert torch.equal(halves[0], first.samples)
    assert torch.equal(halves[1], second.samples)


def test_means_are_taken_over_the_batch_of_one_member():
    assert batch(3, 5).mean(batch(3, 5).samples).tolist() == [[2.0], [102.0], [202.0]]


def test_packing_joins_samples_of_one_member():
    packed = batch(2, 4)._replace(condition=None).packed(2)
    assert packed.samples.tolist() == [[0, 1], [2, 3], [100, 101], [102, 103]]
    assert packed.size == 2


@pytest.mark.parametrize("game", [{}, {"r1": 1.0, "r2": 1.0}, {"packing": 2, "r1": 1.0}, {"loss": "relativistic"}])
def test_no_member_hears_of_another(game: dict[str, float]):
    """The figures of two members are those that each has alone, and their losses are summed (tolerance 1e-5)."""
    settings = GameConfig(**game)
    torch.manual_seed(0)
    network = build_discriminator(DiscriminatorConfig(network=MLPConfig(widths=(8,))), (2 * settings.packing,), 0)
    rule = PlainRule(settings, network)
    real, fake = torch.randn(2, 12, 2)

    def turn(rows: slice, members: int):
        return rule.discriminator_turn(Batch(real[rows].clone(), members=members), Batch(fake[rows], members=members))

    both, first, second = turn(slice(12), 2), turn(slice(6), 1), turn(slice(6, 12), 1)
    for name, values in both.figures.items():
        torch.testing.assert_close(values, torch.cat([first.figures[name], second.figures[name]]), rtol=1e-5, atol=1e-6)
    assert both.loss.item() == pytest.approx((first.loss + second.loss).item(), rel=1e-5)


def test_g_plays_once_a_round_and_d_as_often_as_it_should():
    for share in ("nothing", "samples"):
        order = order_of_play(GameConfig(discriminator_steps=3, share=share))
        steps = [step for turn in order for step in turn]
        assert len(order) == 3
        assert (steps.count(Step.MOVE_D), steps.count(Step.MOVE_G)) == (3, 1)
        assert steps.index(Step.MOVE_G) == len(steps) - 1
