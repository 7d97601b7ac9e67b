"""The kernel distance: the squared maximum mean discrepancy under a cubic polynomial kernel, without bias.

Bińkowski et al. 2018, section 4, with k(x, y) = (x·y / d + 1)³. With Inception features this is the KID. Unlike
the Fréchet distance its expectation does not depend on how many samples there are; it may fall below zero.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from saddle.metrics.inputs import check_pair, rows_at_once
from saddle.metrics.products import inner_products


class KernelDistance(NamedTuple):
    """An estimate.

    Args:
        value: of the squared discrepancy.
        error: its standard error.
    """

    value: float
    error: float


class KernelSums(NamedTuple):
    """Sums over a matrix of kernel values.

    Args:
        rows, columns: of each row and of each column, in double precision.
        squares: of all squares.
    """

    rows: Tensor
    columns: Tensor
    squares: float


def kernel_distance(
    samples: Tensor, reference: Tensor, *, within: KernelSums | None = None, rows: int | None = None
) -> KernelDistance:
    """The U-statistic of Gretton et al. 2012, equation 3, over all pairs, and its standard error.

    The error is that of both terms of the statistic's Hoeffding decomposition: the second, which is usually left out,
    is all there is where both distributions are the same.

    Args:
        samples: features (M, d), M at least 2.
        reference: features (N, d), N at least 2.
        within: ``sums_within(reference)``, where they are known.
        rows: read at a time.

    Raises:
        MetricError: shapes that do not fit, or numbers that are not finite.
    """
    check_pair(samples, reference, fewest=2)
    m, n = len(samples), len(reference)
    xx, xy = sums_within(samples, rows=rows), _sums_across(samples, reference, rows)
    yy = within or sums_within(reference, rows=rows)
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


def sums_within(points: Tensor, *, rows: int | None = None) -> KernelSums:
    """Of the kernel values of all pairs of different points (N, d)."""
    rows = rows or rows_at_once(points.shape[1])
    pieces = points.split(rows)
    sums, squares = torch.zeros(len(points)).double(), 0.0
    of_piece = sums.split(rows)  # views
    for i, left in enumerate(pieces):
        for j, right in enumerate(pieces[i:], i):  # each pair once
            kernel = _kernel(left, right)
            if i == j:
                kernel.fill_diagonal_(0)
            else:
                of_piece[j].add_(kernel.sum(0))
            of_piece[i].add_(kernel.sum(1))
            squares += (1 if i == j else 2) * kernel.square_().sum().item()
    return KernelSums(sums, sums, squares)


def _sums_across(a: Tensor, b: Tensor, rows: int | None) -> KernelSums:
    size = rows or rows_at_once(a.shape[1])
    by_row, by_column, squares = torch.zeros(len(a)).double(), torch.zeros(len(b)).double(), 0.0
    for left, of_left in zip(a.split(size), by_row.split(size), strict=True):
        for right, of_right in zip(b.split(size), by_column.split(size), strict=True):
            kernel = _kernel(left, right)
            of_left.add_(kernel.sum(1))
            of_right.add_(kernel.sum(0))
            squares += kernel.square_().sum().item()
    return KernelSums(by_row, by_column, squares)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (inner_products(a, b).div_(a.shape[1]).add_(1)) ** 3


def _interaction(square: float, a: Tensor, b: Tensor) -> Tensor:
    """The variance of k(x, y) that is left when what x and y do on their own is taken away."""
    mean = a.mean()
    return (square - a.square().mean() - b.square().mean() + mean.square()).clamp(min=0)
