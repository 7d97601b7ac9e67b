"""The kernel distance: the squared maximum mean discrepancy under a cubic polynomial kernel, without bias.

Bińkowski et al. 2018, section 4, with k(x, y) = (x·y / d + 1)³. With Inception features this is the KID. Unlike
the Fréchet distance its expectation does not depend on how many samples there are; it may fall below zero.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from saddle.metrics.inputs import check_pair, rows_at_once


class KernelDistance(NamedTuple):
    """An estimate.

    Args:
        value: of the squared discrepancy.
        error: its standard error.
    """

    value: float
    error: float


class _Block(NamedTuple):
    """Sums over a matrix of kernel values: of each row, of each column, and of all squares."""

    rows: Tensor
    columns: Tensor
    squares: float


def kernel_distance(samples: Tensor, reference: Tensor, *, rows: int | None = None) -> KernelDistance:
    """The U-statistic of Gretton et al. 2012, equation 3, over all pairs, and its standard error.

    The error is that of both terms of the statistic's Hoeffding decomposition: the second, which is usually left out,
    is all there is where both distributions are the same.

    Args:
        samples: features (M, d), M at least 2.
        reference: features (N, d), N at least 2.
        rows: read at a time.

    Raises:
        MetricError: shapes that do not fit, or numbers that are not finite.
    """
    check_pair(samples, reference, fewest=2)
    m, n = len(samples), len(reference)
    rows = rows or rows_at_once(samples.shape[1])
    xx, yy, xy = _sums(samples, None, rows), _sums(reference, None, rows), _sums(samples, reference, rows)
    x, y = xx.rows / (m - 1), yy.rows / (n - 1)  # the mean over the others
    across_x, across_y = xy.rows / n, xy.columns / m
    value = (x.mean() + y.mean() - 2 * across_x.mean()).item()

    # A mean over finitely many others spreads more than its expectation: ``first`` holds the second term, too, twice.
    # Without it, chance may leave less than nothing of ``first``.
    first = 4 * (x - across_x).var() / m + 4 * (y - across_y).var() / n
    second = (
        2 * _interaction(xx.squares / (m * (m - 1)), x, x) / (m * (m - 1))
        + 2 * _interaction(yy.squares / (n * (n - 1)), y, y) / (n * (n - 1))
        + 4 * _interaction(xy.squares / (m * n), across_x, across_y) / (m * n)
    )
    return KernelDistance(value, max((first - second).item(), second.item()) ** 0.5)


def _interaction(square: float, a: Tensor, b: Tensor) -> Tensor:
    """The variance of k(x, y) that is left when what x and y do on their own is taken away."""
    mean = a.mean()
    return (square - a.square().mean() - b.square().mean() + mean.square()).clamp(min=0)


def _sums(a: Tensor, others: Tensor | None, size: int) -> _Block:
    """Of ``a`` with others; or with itself, and then the diagonal is left out."""
    b = a if others is None else others
    by_row, by_column, squares = torch.zeros(len(a)).double(), torch.zeros(len(b)).double(), 0.0
    for i, some in zip(range(0, len(a), size), a.split(size), strict=True):
        left = some.cpu().double()
        for j, right in zip(range(0, len(b), size), b.split(size), strict=True):
            kernel = (left @ right.cpu().double().T / a.shape[1] + 1) ** 3
            if others is None and i == j:
                kernel.fill_diagonal_(0)
            by_row[i : i + len(left)] += kernel.sum(1)
            by_column[j : j + len(right)] += kernel.sum(0)
            squares += kernel.square_().sum().item()
    return _Block(by_row, by_column, squares)
