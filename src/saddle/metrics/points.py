"""Distances between distributions of points: on the line, and in more dimensions through random projections."""

from __future__ import annotations

import torch
from torch import Tensor

from saddle.data.named.distributions import Univariate
from saddle.errors import MetricError
from saddle.metrics.inputs import check_pair, check_points
from saddle.metrics.products import doubles

_PROJECTIONS = 1000


def kolmogorov_smirnov(values: Tensor, truth: Univariate | Tensor) -> float:
    """The largest gap between two distribution functions, in [0, 1].

    Args:
        values: samples (N,).
        truth: a known distribution, or other samples (M,).

    Raises:
        MetricError: no finite values.
    """
    ordered = _ordered(values, "samples")
    if not isinstance(truth, Tensor):
        true = torch.from_numpy(truth.cumulative(ordered.numpy()))
        steps = torch.arange(len(ordered) + 1, dtype=torch.float64) / len(ordered)
        return max((steps[1:] - true).max().item(), (true - steps[:-1]).max().item())
    other = _ordered(truth, "reference samples")
    both = torch.cat([ordered, other])
    shares = [torch.searchsorted(side, both, right=True).double() / len(side) for side in (ordered, other)]
    return (shares[0] - shares[1]).abs().max().item()


def wasserstein(values: Tensor, truth: Univariate | Tensor) -> float:
    """The Wasserstein-1 distance on the line: the mean gap between two quantile functions, in the values' unit.

    Args:
        values: samples (N,).
        truth: a known distribution, whose quantiles are read in the middle of each of N equal shares; or samples (M,).

    Raises:
        MetricError: no finite values.
    """
    ordered = _ordered(values, "samples")
    if not isinstance(truth, Tensor):
        shares = (torch.arange(len(ordered), dtype=torch.float64) + 0.5) / len(ordered)
        return (ordered - torch.from_numpy(truth.quantile(shares.numpy()))).abs().mean().item()
    return _between(ordered, _ordered(truth, "reference samples")).item()


def sliced_wasserstein(points: Tensor, reference: Tensor, *, projections: int = _PROJECTIONS, seed: int = 0) -> float:
    """The mean Wasserstein-1 distance of projections onto random directions (Bonneel et al. 2015, section 3).

    Args:
        points: (N, d).
        reference: (M, d).
        projections: how many directions, drawn from ``seed``.

    Raises:
        MetricError: shapes that do not fit, or numbers that are not finite.
    """
    check_pair(points, reference, fewest=1)
    chance = torch.Generator().manual_seed(seed)
    directions = torch.randn(points.shape[1], projections, generator=chance, dtype=torch.float64)
    directions /= directions.norm(dim=0)
    left, right = doubles(points), doubles(reference)
    total = 0.0
    for direction in directions.T:
        a, b = ((side @ direction).sort().values for side in (left, right))
        total += _between(a, b).item()
    return total / projections


def _between(a: Tensor, b: Tensor) -> Tensor:
    """Wasserstein-1 of two sorted samples: the area between their distribution functions."""
    if len(a) == len(b):
        return (a - b).abs().mean()
    both = torch.cat([a, b]).sort().values
    gaps = both.diff()
    shares = [torch.searchsorted(side, both[:-1], right=True).double() / len(side) for side in (a, b)]
    return ((shares[0] - shares[1]).abs() * gaps).sum()


def _ordered(values: Tensor, name: str) -> Tensor:
    if values.ndim != 1:
        raise MetricError(f"the {name} are not a row of numbers", expected="floats (N,)", got=tuple(values.shape))
    check_points(values[:, None], name)
    return doubles(values).sort().values
