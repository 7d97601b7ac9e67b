from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch import Tensor

from saddle.data.named.distributions import Mixture
from saddle.data.named.points import grid, ring
from saddle.errors import MetricError
from saddle.metrics.labels import (
    MixtureModes,
    agreement,
    category_modes,
    class_shares,
    inception_score,
    mixture_modes,
)


def probabilities(count: int, classes: int, seed: int) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(count, classes, generator=chance, dtype=torch.float64)).softmax(1)


def score_by_loop(rows: list[list[float]]) -> float:
    """Salimans et al. 2016: the exponential of the mean KL(p(y|x) ‖ p(y))."""
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    total = sum(p * math.log(p / q) for row in rows for p, q in zip(row, mean, strict=True) if p > 0)
    return math.exp(total / len(rows))


@pytest.mark.parametrize("splits", [1, 4, 7])
def test_inception_score_equals_a_plain_loop_over_the_parts(splits: int):
    rows = probabilities(60, 5, 0)
    rows[:10] = torch.eye(5).double().repeat(2, 1)  # with zeros
    parts = [score_by_loop(part.tolist()) for part in np.array_split(rows.numpy(), splits)]
    found = inception_score(rows, splits=splits)
    assert found.value == pytest.approx(np.mean(parts), rel=1e-12)
    assert found.spread == pytest.approx(np.std(parts), rel=1e-10, abs=1e-12)


def test_inception_score_is_one_without_a_notion_and_the_number_of_classes_at_best():
    assert inception_score(torch.full((100, 8), 1 / 8)) == pytest.approx((1, 0))
    assert inception_score(torch.eye(8).repeat(20, 1), splits=10) == pytest.approx((8, 0))
    assert inception_score(torch.eye(8)[[3]].expand(50, 8)) == pytest.approx((1, 0))  # sure, but always of one class


@pytest.mark.parametrize("rows", [torch.rand(20, 4), torch.randn(20, 4).softmax(1).log(), -torch.eye(4).repeat(5, 1)])
def test_what_are_no_probabilities_have_no_inception_score(rows: Tensor):
    with pytest.raises(
        MetricError, match=r"not probabilities\n  expected: rows of numbers that are not negative and sum to 1"
    ):
        inception_score(rows)


def test_inception_score_needs_a_sample_for_each_part():
    with pytest.raises(MetricError, match=r"too few probabilities\n  expected: at least 10\n  got: 9"):
        inception_score(probabilities(9, 3, 1))


def test_agreement_is_the_share_of_equal_labels():
    assert agreement(torch.tensor([0, 1, 2, 1]), torch.tensor([0, 1, 1, 1])) == 0.75
    for found, asked in (((3,), (4,)), ((3,), (1,)), ((3,), (3, 1)), ((0,), (0,)), ((2, 2), (2, 2))):
        with pytest.raises(MetricError, match=r"labels do not fit\n  expected: .*\n  got: "):
            agreement(torch.zeros(found), torch.zeros(asked))


def test_category_divergence_equals_scipys():
    chance = np.random.default_rng(0)
    shares = chance.dirichlet(np.ones(30))
    labels = chance.choice(20, size=200)  # the last ten never occur
    counts = np.bincount(labels, minlength=30)
    found = category_modes(torch.from_numpy(labels), torch.from_numpy(shares))
    assert found.modes == (counts > 0).sum()
    assert found.kl == pytest.approx(entropy(counts / 200, shares), rel=1e-12)


def test_category_divergence_of_one_category_is_the_logarithm_of_all_and_of_exact_shares_nothing():
    uniform = torch.full((10,), 0.1, dtype=torch.float64)
    assert category_modes(torch.full((50,), 7), uniform) == pytest.approx((1, math.log(10)))
    assert category_modes(torch.arange(10).repeat(5), uniform) == pytest.approx((10, 0), abs=1e-12)


@pytest.mark.parametrize(("count", "floor"), [(26_000, 0.0194), (50_000, 0.0101)])
def test_perfect_stacked_digits_score_the_known_floor(count: int, floor: float):
    uniform = torch.full((1000,), 1e-3, dtype=torch.float64)
    labels = torch.randint(1000, (5, count), generator=torch.Generator().manual_seed(0))
    found = [category_modes(row, uniform) for row in labels]
    assert all(modes == 1000 for modes, _ in found)
    assert np.mean([kl for _, kl in found]) == pytest.approx(floor, abs=1e-3)


def test_class_shares_are_those_of_the_labels_also_of_classes_that_do_not_occur():
    assert class_shares(torch.tensor([2, 0, 2, 2]), 5).tolist() == [0.25, 0, 0.75, 0, 0]


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([0, 3]),
        torch.tensor([-1, 2]),
        torch.tensor([]),
        torch.tensor([0.0, 1.0]),
        torch.tensor([True, False]),
        torch.tensor([[0, 1]]),
        torch.tensor(1),
    ],
)
def test_what_are_no_labels_of_the_classes_is_an_error(labels: Tensor):
    for score in (lambda: class_shares(labels, 3), lambda: category_modes(labels, torch.full((3,), 1 / 3))):
        with pytest.raises(
            MetricError, match=r"not labels\n  expected: a row of whole numbers from 0 to 2\n  got: torch"
        ):
            score()


def modes_of(points: Tensor, mixture: Mixture) -> MixtureModes:
    return mixture_modes(points, torch.from_numpy(mixture.centres), mixture.sigma)


@pytest.mark.parametrize(("mixture", "modes", "floor"), [(ring(8), 8, 0.0014), (grid(25), 25, 0.0049)])
def test_true_samples_of_a_mixture_score_the_known_floors(mixture: Mixture, modes: int, floor: float):
    chance = np.random.default_rng(0)
    found = [modes_of(torch.from_numpy(mixture.draw(chance, 2500)), mixture) for _ in range(20)]
    assert all(one.modes == modes for one in found)
    # Within three standard deviations on the plane: 1 - exp(-9 / 2).
    assert np.mean([one.high_quality for one in found]) == pytest.approx(1 - math.exp(-4.5), abs=0.002)
    assert np.mean([one.reverse_kl for one in found]) == pytest.approx(floor, rel=0.25)
    # The variance that a normal distribution on the plane keeps within three standard deviations.
    assert np.mean([one.spread for one in found]) == pytest.approx(math.sqrt(1 - 4.5 / (math.exp(4.5) - 1)), abs=0.01)


def test_collapsed_samples_cover_one_mode():
    mixture = ring(8)
    points = torch.from_numpy(mixture.draw(np.random.default_rng(1), 1000)) * 0
    assert modes_of(points + torch.tensor([1.0, 0]), mixture) == pytest.approx((1, 1, math.log(8), 0))


def test_the_spread_within_modes_is_blind_to_where_they_are_and_how_full():
    mixture = ring(4, std=0.1)
    points = torch.tensor([[1.1, 0], [0.9, 0], [1.1, 0], [0.9, 0], [0, 1.2], [-5, 0]])
    # Squares of 0.1 along one of two axes, four points: 4 / 3 of 0.005. A mode with one point says nothing of it.
    assert modes_of(points, mixture).spread == pytest.approx(math.sqrt(0.02 / 3) / 0.1)
    assert modes_of(points[:4] + 0.05, mixture).spread == pytest.approx(math.sqrt(0.02 / 3) / 0.1)


def test_a_mode_counts_with_a_sample_within_three_standard_deviations_and_only_these_share_in_the_divergence():
    mixture = ring(4, std=0.1)  # modes at 1 and -1 on the axes
    points = torch.tensor([[1.29, 0], [-1.31, 0], [-0.69, 0], [0, 1], [0, -5], [0, -6]])
    assert modes_of(points, mixture) == pytest.approx((2, 2 / 6, entropy([1 / 2, 1 / 2, 0, 0], [1 / 4] * 4), 0))
    assert modes_of(points[4:], mixture) == pytest.approx((0, 0, math.log(4), 0))  # none is near a mode
