"""Precision, recall, density and coverage: how much of each set lies within the other's neighbourhood.

Precision and recall: Kynkäänniemi et al. 2019, equations 1 and 2. Density and coverage: Naeem et al. 2020, equations 4
and 5. Each set is described by balls round its points that reach to their k-th nearest neighbour in the same set.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from saddle.metrics.inputs import check_pair, rows_at_once
from saddle.metrics.nearest import for_pairs, neighbour_distances
from saddle.metrics.products import doubles, middle

# Of squared distances, relative to the squared distances from the middle: well above the rounding of double precision.
_ROUNDING = 1e-12


class PrecisionRecall(NamedTuple):
    """Both in [0, 1], higher is better.

    Args:
        precision: share of the samples that lie within the reference's balls: how many are plausible.
        recall: share of the reference that lies within the samples' balls: how much of the variety is there.
    """

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Higher is better.

    Args:
        density: how many of the reference's balls a sample lies in, over k; 1 for equal distributions, may exceed it.
        coverage: share of the reference's balls that hold a sample, in [0, 1].
    """

    density: float
    coverage: float


def precision_recall(
    samples: Tensor, reference: Tensor, *, k: int = 3, neighbours: Tensor | None = None, rows: int | None = None
) -> PrecisionRecall:
    """Precision and recall of samples (M, d) against a reference (N, d); M and N above k.

    Args:
        samples, reference: features.
        k: which neighbour the balls reach to.
        neighbours: ``neighbour_distances`` of the reference to k or more, where they are known.
        rows: read at a time.

    Raises:
        MetricError: shapes that do not fit, or too few rows.
    """
    check_pair(samples, reference, fewest=k + 1)
    real, fake = _balls(reference, neighbours, k, rows, closed=True), _balls(samples, None, k, rows, closed=True)
    precise, recalled = torch.zeros(len(samples), dtype=torch.bool), torch.zeros(len(reference), dtype=torch.bool)

    def visit(i: slice, j: slice, squares: Tensor) -> None:
        precise[i] |= (squares <= real[j]).any(1)
        recalled[j] |= (squares <= fake[i, None]).any(0)

    for_pairs(samples, reference, visit, rows=rows)
    return PrecisionRecall(precise.double().mean().item(), recalled.double().mean().item())


def density_coverage(
    samples: Tensor, reference: Tensor, *, k: int = 5, neighbours: Tensor | None = None, rows: int | None = None
) -> DensityCoverage:
    """Density and coverage of samples (M, d) against a reference (N, d); M and N above k.

    Args:
        samples, reference, k, neighbours, rows: as for ``precision_recall``.

    Raises:
        MetricError: shapes that do not fit, or too few rows.
    """
    check_pair(samples, reference, fewest=k + 1)
    real = _balls(reference, neighbours, k, rows, closed=False)
    inside, covered = 0, torch.zeros(len(reference), dtype=torch.bool)

    def visit(_: slice, j: slice, squares: Tensor) -> None:
        nonlocal inside
        within = squares < real[j]
        inside += int(within.sum())
        covered[j] |= within.any(0)

    for_pairs(samples, reference, visit, rows=rows)
    return DensityCoverage(inside / (k * len(samples)), covered.double().mean().item())


def _balls(points: Tensor, neighbours: Tensor | None, k: int, rows: int | None, *, closed: bool) -> Tensor:
    """Squared radii. A closed ball holds its surface, an open one does not.

    Copies of real images lie exactly on surfaces. There rounding must not decide, so the surface has a thickness.
    """
    distances = neighbour_distances(points, k, rows=rows) if neighbours is None else neighbours
    squares = distances[:, k - 1].square()
    centre, pieces = middle(points), points.split(rows_at_once(points.shape[1]))
    norms = torch.cat([(doubles(piece) - centre).square().sum(1) for piece in pieces])
    thickness = _ROUNDING * (norms + squares)
    return squares + thickness if closed else squares - thickness
