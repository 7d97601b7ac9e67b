from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from saddle.data.named.distributions import Univariate
from saddle.data.named.points import gaussian, mixture, uniform
from saddle.errors import MetricError
from saddle.metrics.points import kolmogorov_smirnov, sliced_wasserstein, wasserstein


def line(count: int, seed: int, *, mean: float = 0, std: float = 1) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator=chance, dtype=torch.float64) * std + mean


KNOWN = [(gaussian(4, 1.25), stats.norm(4, 1.25)), (uniform(2, 5), stats.uniform(2, 3))]


@pytest.mark.parametrize(("truth", "theirs"), KNOWN)
@pytest.mark.parametrize("count", [1, 10, 1000])
def test_kolmogorov_smirnov_against_a_known_distribution_equals_scipys(truth: Univariate, theirs, count: int):
    for values in (line(count, 0, mean=4, std=1.25), line(count, 1, mean=7), line(count, 2, mean=4).round()):
        wanted = stats.kstest(values.numpy(), theirs.cdf).statistic
        assert kolmogorov_smirnov(values, truth) == pytest.approx(wanted, abs=1e-12)


SIZES = [(1, 1), (50, 50), (50, 70), (300, 7)]


@pytest.mark.parametrize(("m", "n"), SIZES)
def test_distances_of_two_samples_equal_scipys(m: int, n: int):
    for a, b in (
        (line(m, 3, mean=0.3), line(n, 4)),
        (line(m, 5, std=2).round(), line(n, 6).round()),  # with ties
        (line(m, 7), line(n, 8, mean=20)),  # apart
    ):
        ks = stats.ks_2samp(a.numpy(), b.numpy(), method="exact").statistic
        assert kolmogorov_smirnov(a, b) == kolmogorov_smirnov(b, a) == pytest.approx(ks, abs=1e-12)
        w1 = stats.wasserstein_distance(a.numpy(), b.numpy())
        assert wasserstein(a, b) == pytest.approx(w1, rel=1e-12, abs=1e-12)
        assert wasserstein(b, a) == pytest.approx(w1, rel=1e-12, abs=1e-12)


def test_wasserstein_against_a_known_distribution_is_the_mean_gap_of_the_quantiles():
    values, truth = line(400, 9, mean=5, std=2), gaussian(4, 1.25)
    middles = stats.norm(4, 1.25).ppf((np.arange(400) + 0.5) / 400)
    assert wasserstein(values, truth) == pytest.approx(np.abs(values.sort().values.numpy() - middles).mean(), rel=1e-12)
    fine = stats.norm(4, 1.25).ppf((np.arange(400 * 500) + 0.5) / (400 * 500))
    integral = np.abs(np.repeat(values.sort().values.numpy(), 500) - fine).mean()
    assert wasserstein(values, truth) == pytest.approx(integral, rel=2e-3)


def test_true_draws_are_near_and_a_shift_is_the_distance():
    truth = mixture(-2.0, 3.0, std=0.5)
    values = torch.from_numpy(truth.draw(np.random.default_rng(0), 4_000)[:, 0])
    assert kolmogorov_smirnov(values, truth) < 1.63 / math.sqrt(4_000)  # the 1 % point of Kolmogorov's distribution
    assert wasserstein(values, truth) < 0.1
    assert wasserstein(values + 8, truth) == pytest.approx(8, abs=0.1)
    assert wasserstein(values + 8, values) == pytest.approx(8, rel=1e-6)
    assert kolmogorov_smirnov(values, values) == wasserstein(values, values) == 0
    assert kolmogorov_smirnov(values + 100, values) == 1


@pytest.mark.parametrize("distance", [kolmogorov_smirnov, wasserstein])
def test_distances_on_the_line_refuse_what_is_not_on_it(distance):
    good = line(5, 10)
    for bad, wrong in (
        (good.reshape(5, 1), r"are not a row of numbers\n  expected: floats \(N,\)\n  got: \(5, 1\)"),
        (good[:0], r"too few .*\n  expected: at least 1\n  got: 0"),
        (good.long(), r"not rows of numbers\n  expected: floats .*\n  got: torch.int64"),
        (good / 0, r"NaN or infinity"),
    ):
        with pytest.raises(MetricError, match=wrong):
            distance(bad, good)
        with pytest.raises(MetricError, match=wrong):
            distance(good, bad)
        with pytest.raises(MetricError, match=wrong):
            distance(bad, gaussian(4, 1.25))


def cloud(count: int, width: int, seed: int) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=chance, dtype=torch.float64)


@pytest.mark.parametrize(("m", "n"), [(80, 80), (80, 50)])
def test_sliced_distance_equals_that_of_another_library_along_the_same_directions(m: int, n: int):
    ot = pytest.importorskip("ot")
    a, b = cloud(m, 4, 0) * 1.5 + 0.2, cloud(n, 4, 1)
    directions = torch.randn(4, 30, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    directions /= directions.norm(dim=0)
    theirs = ot.sliced_wasserstein_distance(a.numpy(), b.numpy(), p=1, projections=directions.numpy())
    assert sliced_wasserstein(a, b, projections=30, seed=5) == pytest.approx(theirs, rel=1e-10)


def test_sliced_distance_of_a_shift_is_what_directions_see_of_it():
    """On the plane the mean of |cos| is 2 / π."""
    a = cloud(30, 2, 2)
    b = a + torch.tensor([3.0, 4.0])
    assert sliced_wasserstein(a, b) == pytest.approx(5 * 2 / math.pi, rel=0.04)


def test_sliced_distance_on_a_line_is_the_distance_there():
    a, b = cloud(40, 1, 3), cloud(60, 1, 4) + 1
    assert sliced_wasserstein(a, b, projections=3) == pytest.approx(wasserstein(a[:, 0], b[:, 0]), rel=1e-12)


def test_sliced_distance_is_repeatable_symmetric_and_does_not_know_order():
    a, b = cloud(40, 3, 5), cloud(40, 3, 6) + 0.5
    found = sliced_wasserstein(a, b, projections=20, seed=1)
    assert sliced_wasserstein(a, b, projections=20, seed=1) == found
    assert sliced_wasserstein(a, b, projections=20, seed=2) != found
    assert sliced_wasserstein(b, a, projections=20, seed=1) == pytest.approx(found, rel=1e-12)
    assert sliced_wasserstein(a.flip(0), b.roll(7, 0), projections=20, seed=1) == pytest.approx(found, rel=1e-12)
    assert sliced_wasserstein(a, a.flip(0), projections=20) == pytest.approx(0, abs=1e-12)
