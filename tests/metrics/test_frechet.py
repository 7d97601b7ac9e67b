from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor, nn

from saddle.errors import MetricError, ScoreWarning
from saddle.metrics.frechet import Moments, frechet_distance


def features(count: int, width: int, seed: int, *, scale: float = 1, mean: float = 0) -> Tensor:
    """Correlated, of full rank in general."""
    chance = torch.Generator().manual_seed(seed)
    mix = torch.eye(width).double() + torch.randn(width, width, generator=chance, dtype=torch.float64) / width**0.5
    return torch.randn(count, width, generator=chance, dtype=torch.float64) @ mix * scale + mean


def moments_of(covariance: Tensor, mean: Tensor | None = None) -> Moments:
    """Exactly these moments, as of very many samples."""
    count = 1_000_001
    return Moments(count, torch.zeros(len(covariance)).double() if mean is None else mean, covariance * (count - 1))


def by_scipy(a: Tensor, b: Tensor) -> float:
    """The paper's equation 6 to the letter."""
    first, second = (np.cov(x.numpy(), rowvar=False) for x in (a, b))
    shift = np.square(a.mean(0).numpy() - b.mean(0).numpy()).sum()
    return shift + np.trace(first + second - 2 * sqrtm(first @ second).real)


def distance(a: Tensor, b: Tensor) -> float:
    return frechet_distance(Moments.of(a), Moments.of(b))


@pytest.mark.parametrize("width", [2, 8, 64])
@pytest.mark.parametrize(("scale", "mean"), [(1, 0), (1.5, 0.3), (0.1, 5)])
def test_distance_equals_the_formula_with_scipys_matrix_root(width: int, scale: float, mean: float):
    a, b = features(500, width, 0, scale=scale, mean=mean), features(700, width, 1)
    assert distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-9)


def test_distance_equals_an_established_fid_library_on_the_same_features():
    fid = pytest.importorskip("torchmetrics.image.fid")

    class Same(nn.Module):
        num_features = 64

        def forward(self, x: Tensor) -> Tensor:
            return x

    a, b = features(1500, 64, 2, scale=1.1, mean=0.1).float(), features(2000, 64, 2).float()
    theirs = fid.FrechetInceptionDistance(feature=Same())
    theirs.update(a, real=False)
    theirs.update(b, real=True)
    assert distance(a, b) == pytest.approx(theirs.compute().item(), rel=1e-4)


@pytest.mark.parametrize("few", [0, 40])
@pytest.mark.parametrize("decay", [3, 6])
def test_variances_of_very_different_size_lose_nothing(decay: int, few: int):
    """Held against singular values of the rows themselves, whose squares are never taken."""
    spread = torch.logspace(0, -decay, 128, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(128, 128, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    a, b = (features(count, 128, seed) * spread @ turn for count, seed in ((few or 400, 4), (500, 5)))
    x, y = ((rows - rows.mean(0)) / (len(rows) - 1) ** 0.5 for rows in (a, b))
    first, second = (torch.linalg.qr(rows, mode="r").R for rows in (x, y))
    true = (a.mean(0) - b.mean(0)).square().sum() + x.square().sum() + y.square().sum()
    true -= 2 * torch.linalg.svdvals(first @ second.T).sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScoreWarning)
        assert distance(a, b) == pytest.approx(true.item(), rel=1e-11)


def test_known_axes_change_nothing():
    a, b = Moments.of(features(200, 16, 1)), Moments.of(features(300, 16, 2))
    assert frechet_distance(a, b, axes=Moments.of(features(300, 16, 2)).axes) == frechet_distance(a, b)


def test_moments_are_the_mean_and_the_covariance_that_torch_computes():
    x = features(300, 16, 3)
    moments = Moments.of(x, rows=37)
    torch.testing.assert_close(moments.mean, x.mean(0), rtol=0, atol=1e-12)
    torch.testing.assert_close(moments.covariance, torch.cov(x.T), rtol=0, atol=1e-12)


def test_moments_of_single_precision_features_far_from_zero_lose_nothing():
    x = (features(300, 4, 4) + 1e5).float()
    torch.testing.assert_close(Moments.of(x, rows=50).covariance, torch.cov(x.double().T), rtol=1e-9, atol=0)


def test_distance_of_commuting_covariances_is_that_of_their_standard_deviations():
    """With common axes it is ‖μ₁ - μ₂‖² + Σ (σ₁ - σ₂)², also where deviations are 0."""
    chance = torch.Generator().manual_seed(5)
    axes, _ = torch.linalg.qr(torch.randn(20, 20, generator=chance, dtype=torch.float64))
    first, second = 3 * torch.rand(2, 20, generator=chance, dtype=torch.float64)
    first[:12] = 0
    second[8:16] = 0
    shift = torch.randn(20, generator=chance, dtype=torch.float64)
    found = frechet_distance(
        moments_of(axes * first.square() @ axes.T), moments_of(axes * second.square() @ axes.T, shift)
    )
    assert found == pytest.approx((shift.square().sum() + (first - second).square().sum()).item(), rel=1e-7)


@pytest.mark.filterwarnings("ignore:.*span at most:UserWarning")
@pytest.mark.parametrize(("m", "n", "width"), [(20, 30, 64), (40, 40, 256), (20, 600, 256), (2, 3, 8)])
def test_fewer_samples_than_dimensions_give_the_distance_of_the_spaces_they_span(m: int, n: int, width: int):
    """The trace of (Σ₁ Σ₂)^½ is the nuclear norm of X₁ X₂ᵀ over the roots of N - 1, which has no null space to fear."""
    a, b = features(m, width, 6, scale=1.5, mean=0.3), features(n, width, 7)
    x, y = a - a.mean(0), b - b.mean(0)
    true = (
        (a.mean(0) - b.mean(0)).square().sum()
        + x.square().sum() / (m - 1)
        + y.square().sum() / (n - 1)
        - 2 * torch.linalg.matrix_norm(x @ y.T, "nuc") / ((m - 1) * (n - 1)) ** 0.5
    )
    assert distance(a, b) == pytest.approx(true.item(), rel=1e-6)


@pytest.mark.filterwarnings("ignore:.*span at most:UserWarning")
def test_a_shift_alone_is_the_distance_also_of_singular_covariances():
    a = features(20, 64, 8)
    assert distance(a, a + 0.5) == pytest.approx(64 * 0.25, rel=1e-6)


def test_doubled_columns_double_the_distance():
    a, b = features(200, 8, 9, scale=2), features(200, 8, 10)
    assert distance(torch.cat([a, a], 1), torch.cat([b, b], 1)) == pytest.approx(2 * distance(a, b), rel=1e-7)


def test_a_constant_column_adds_what_its_mean_moves():
    a, b = features(200, 8, 11, scale=2), features(200, 8, 12)
    constant = torch.ones(200, 1).double()
    found = distance(torch.cat([a, 3 * constant], 1), torch.cat([b, constant], 1))
    assert found == pytest.approx(distance(a, b) + 4, rel=1e-7)


@pytest.mark.filterwarnings("ignore:.*span at most:UserWarning")
@pytest.mark.parametrize("count", [10, 64, 500])
def test_equal_sets_are_at_no_distance(count: int):
    a = features(count, 64, 13, mean=2)
    found = distance(a, a.flip(0))
    assert 0 <= found < 1e-6


@pytest.mark.filterwarnings("ignore:.*span at most:UserWarning")
@pytest.mark.parametrize("count", [40, 400])
def test_distance_is_symmetric_and_knows_neither_order_nor_pieces(count: int):
    a, b = features(count, 64, 14, scale=1.3), features(350, 64, 15, mean=0.2)
    found = distance(a, b)
    assert distance(b, a) == pytest.approx(found, rel=1e-6)
    assert distance(a.flip(0), b.roll(100, 0)) == pytest.approx(found, rel=1e-7)
    for rows in (1, 7, 350):
        pieces = frechet_distance(Moments.of(a, rows=rows), Moments.of(b, rows=rows))
        assert pieces == pytest.approx(found, rel=1e-7)


def test_too_few_samples_for_the_dimensions_warn_with_the_rank():
    few, enough = Moments.of(features(16, 16, 16)), Moments.of(features(17, 16, 17))
    with pytest.warns(UserWarning, match=r"16 samples span at most 15 of 16 dimensions"):
        frechet_distance(few, enough)
    with pytest.warns(UserWarning, match=r"16 reference samples span at most 15 of 16 dimensions"):
        frechet_distance(enough, few)
    frechet_distance(enough, enough)  # a warning would be an error


def test_a_single_sample_and_different_widths_are_errors():
    with pytest.raises(MetricError, match=r"too few features\n  expected: at least 2\n  got: 1"):
        Moments.of(features(1, 4, 0))
    with pytest.raises(MetricError, match=r"different widths\n  expected: 5\n  got: 4"):
        frechet_distance(Moments.of(features(9, 4, 0)), Moments.of(features(9, 5, 0)))
