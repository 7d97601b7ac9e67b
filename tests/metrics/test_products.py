"""Pixels are multiplied in single precision, and nothing is rounded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saddle.metrics.frechet import Moments, frechet_distance
from saddle.metrics.kernel import kernel_distance
from saddle.metrics.manifold import density_coverage, precision_recall
from saddle.metrics.parzen import parzen
from saddle.metrics.points import sliced_wasserstein
from saddle.metrics.products import inner_products, middle, squared_distances


def pixels(count: int, width: int, seed: int) -> Tensor:
    """Random ones, among them the darkest and the brightest."""
    rows = torch.randint(0, 256, (count, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    rows[0], rows[1] = 0, 255
    return rows


@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize("width", [1, 1024, 1025, 5000])
def test_products_and_distances_of_pixels_are_exact(width: int, precision: str):
    a, b = pixels(40, width, 0), pixels(30, width, 1)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        products, squares = inner_products(a, b), squared_distances(a, b, middle(b))
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal((products * 255**2).round(), (a.long() @ b.long().T).double())
    true = (a.long()[:, None] - b.long()).square().sum(2)
    assert torch.equal(squares, true.double() / 255**2)


def test_moments_of_pixels_are_exact():
    rows = pixels(2500, 7, 2)
    rows[:, 3] = 200  # one that is always the same
    rows[:, 4], rows[0, 4] = 0, 1  # and one that is nearly
    moments, whole = Moments.of(rows), rows.long()
    torch.testing.assert_close(moments.mean, whole.double().mean(0) / 255, rtol=1e-15, atol=0)
    sums = whole.sum(0)
    scatter = (2500 * (whole.T @ whole) - torch.outer(sums, sums)).double() / (2500 * 255**2)
    torch.testing.assert_close(moments.scatter, scatter, rtol=1e-15, atol=0)
    assert moments.scatter[3].eq(0).all() and torch.equal(moments.scatter, moments.scatter.T)


def test_scores_of_pixels_are_those_of_numbers_from_0_to_1():
    a, b, c = (pixels(150, 20, seed) for seed in (3, 4, 5))
    x, y, z = (rows.double() / 255 for rows in (a, b, c))
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(
        frechet_distance(Moments.of(x), Moments.of(y)), rel=1e-10
    )
    assert kernel_distance(a, b) == pytest.approx(kernel_distance(x, y), rel=1e-9)
    assert precision_recall(a, b) == precision_recall(x, y)
    assert density_coverage(a, b) == density_coverage(x, y)
    assert parzen(a, b, c) == pytest.approx(parzen(x, y, z), rel=1e-10)
    assert sliced_wasserstein(a, b) == pytest.approx(sliced_wasserstein(x, y), rel=1e-10)
    assert frechet_distance(Moments.of(a), Moments.of(y)) > 0.01  # they mix
