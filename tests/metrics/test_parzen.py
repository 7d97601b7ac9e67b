from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from saddle.errors import MetricError
from saddle.metrics.parzen import SIGMAS, log_likelihoods, parzen


def images(count: int, width: int, seed: int) -> Tensor:
    return torch.rand(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loop(samples: Tensor, image: Tensor, sigma: float) -> float:
    """The authors' formula, window by window, with the largest exponent taken out as they do."""
    d = len(image)
    exponents = []
    for sample in samples.tolist():
        square = sum((x - y) ** 2 for x, y in zip(image.tolist(), sample, strict=True))
        exponents.append(-square / (2 * sigma**2))
    largest = max(exponents)
    mean = sum(math.exp(e - largest) for e in exponents) / len(exponents)
    return largest + math.log(mean) - d * math.log(sigma * math.sqrt(2 * math.pi))


@pytest.mark.parametrize("rows", [1, 4, 500])
def test_log_likelihoods_equal_a_plain_loop(rows: int):
    samples, real, sigmas = images(15, 6, 0), images(9, 6, 1), (0.02, 0.1, 0.7)
    wanted = [[by_loop(samples, image, sigma) for image in real] for sigma in sigmas]
    found = log_likelihoods(samples, real, sigmas, rows=rows)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_one_window_is_a_normal_density():
    found = log_likelihoods(torch.zeros(1, 1), torch.tensor([[0.0], [0.2]]), [0.1])
    normal = [math.log(1 / (0.1 * math.sqrt(2 * math.pi))) - x**2 / 2 for x in (0, 2)]
    assert found[0].tolist() == pytest.approx(normal, rel=1e-6)


def test_images_far_from_all_samples_have_a_finite_log_likelihood():
    """The densities themselves are below the smallest double."""
    assert log_likelihoods(torch.zeros(5, 784), torch.ones(3, 784), [0.1]).isfinite().all()


def test_width_is_the_best_on_the_validation_images_whatever_suits_the_test_images():
    samples = images(40, 5, 2)
    chance = torch.Generator().manual_seed(3)
    near = samples[:30] + 0.1 * torch.randn(30, 5, generator=chance, dtype=torch.float64)
    far = samples[:25] + 1 * torch.randn(25, 5, generator=chance, dtype=torch.float64)
    found = parzen(samples, near, far)

    def mean(real: Tensor, sigma: float) -> float:
        return sum(by_loop(samples, image, sigma) for image in real) / len(real)

    best = max(SIGMAS, key=lambda sigma: mean(near, sigma))
    assert found.sigma == best != max(SIGMAS, key=lambda sigma: mean(far, sigma))
    assert found.validation == pytest.approx(mean(near, best), rel=1e-12)
    assert found.value == pytest.approx(mean(far, best), rel=1e-12)


def test_error_is_the_standard_error_over_the_test_images_as_the_authors_take_it():
    samples, real = images(20, 4, 4), images(50, 4, 5)
    found = parzen(samples, real, real, [0.2])
    values = [by_loop(samples, image, 0.2) for image in real]
    assert found.error == pytest.approx(np.std(values) / math.sqrt(50), rel=1e-12)


def test_widths_are_the_authors():
    assert pytest.approx(np.logspace(-1, 0, 10), rel=1e-15) == SIGMAS


@pytest.mark.parametrize("sigmas", [(), (0.1, 0), (0.1, -1)])
def test_no_width_or_one_that_is_not_positive_is_an_error(sigmas: tuple[float, ...]):
    real = images(5, 3, 0)
    with pytest.raises(MetricError, match=r"no window to choose from\n  expected: widths above 0\n  got: \["):
        parzen(real, real, real, sigmas)
