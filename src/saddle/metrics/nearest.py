"""Nearest neighbours by brute force, in pieces, and the scores that ask only for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from saddle.errors import MetricError
from saddle.metrics.inputs import check_pair, check_points, rows_at_once
from saddle.metrics.products import middle, squared_distances


class Neighbours(NamedTuple):
    """The nearest rows of each query.

    Args:
        distances: Euclidean, (B, k), nearest first.
        indices: of the rows, (B, k).
    """

    distances: Tensor
    indices: Tensor


def nearest(queries: Tensor, points: Tensor, count: int, *, rows: int | None = None) -> Neighbours:
    """The ``count`` rows of ``points`` nearest to each query.

    Args:
        queries: (B, d).
        points: (N, d); they may be memory-mapped.
        count: at least 1.
        rows: read at a time.

    Raises:
        MetricError: shapes that do not fit, or fewer than ``count`` neighbours.
    """
    check_pair(queries, points, ("queries", "points"), fewest=1)
    _check_count(count, len(points))
    rows, centre = rows or rows_at_once(points.shape[1]), middle(points)
    found: list[Neighbours] = []
    for some in queries.split(rows):
        best = Neighbours(torch.empty(len(some), 0, dtype=torch.float64), torch.empty(len(some), 0, dtype=torch.long))
        for j, piece in zip(range(0, len(points), rows), points.split(rows), strict=True):
            squares = squared_distances(some, piece, centre)
            near, where = squares.topk(min(count, len(piece)), largest=False)
            squares, where = torch.cat([best.distances, near], 1), torch.cat([best.indices, where + j], 1)
            squares, order = squares.topk(min(count, squares.shape[1]), largest=False)
            best = Neighbours(squares, where.gather(1, order))
        found.append(best)
    distances, indices = (torch.cat(pieces) for pieces in zip(*found, strict=True))
    return Neighbours(distances.sqrt(), indices)


def neighbour_distances(points: Tensor, count: int, *, rows: int | None = None) -> Tensor:
    """How far each of the points (N, d) is from its ``count`` nearest others: (N, count), nearest first.

    Raises:
        MetricError: no finite rows, or fewer than ``count`` others.
    """
    check_points(points, "points")
    _check_count(count, len(points) - 1)
    rows, centre = rows or rows_at_once(points.shape[1]), middle(points)
    pieces = points.split(rows)
    best = torch.full((len(points), count), torch.inf, dtype=torch.float64)
    best_of = best.split(rows)  # views
    for i, left in enumerate(pieces):
        for j, right in enumerate(pieces[i:], i):  # each pair once
            squares = squared_distances(left, right, centre)
            if i == j:
                squares.fill_diagonal_(torch.inf)
            else:
                _keep_smallest(best_of[j], squares.T)
            _keep_smallest(best_of[i], squares)
    return best.sqrt()


def _keep_smallest(best: Tensor, others: Tensor) -> None:
    """The smallest numbers of each row of both, in order, in place of ``best``."""
    count = best.shape[1]
    some = others.topk(min(count, others.shape[1]), largest=False).values
    best.copy_(torch.cat([best, some], 1).topk(count, largest=False).values)


def _check_count(count: int, there: int) -> None:
    if not 1 <= count <= there:
        raise MetricError("the number of neighbours is impossible", expected=f"1 to {there:,}", got=count)


def for_pairs(a: Tensor, b: Tensor, visit: Callable[[slice, slice, Tensor], None], *, rows: int | None = None) -> None:
    """Call ``visit(rows of a, rows of b, their squared distances)`` for pieces that cover all pairs."""
    rows, centre = rows or rows_at_once(b.shape[1]), middle(b)
    for i, left in zip(range(0, len(a), rows), a.split(rows), strict=True):
        for j, right in zip(range(0, len(b), rows), b.split(rows), strict=True):
            visit(slice(i, i + len(left)), slice(j, j + len(right)), squared_distances(left, right, centre))


def neighbour_error(
    samples: Tensor, sample_labels: Tensor, queries: Tensor, query_labels: Tensor, *, rows: int | None = None
) -> float:
    """The share of real images that the label of their nearest *generated* image gets wrong.

    Generated images as the training set of a 1-nearest-neighbour classifier (Radford et al. 2015, appendix).

    Args:
        samples: generated images, flat (M, d), with the labels they were asked for (M,).
        queries: real held-out images, flat (N, d), with their labels (N,).

    Raises:
        MetricError: shapes that do not fit.
    """
    shapes = [tuple(labels.shape) for labels in (sample_labels, query_labels)]
    wanted = [(len(samples),), (len(queries),)]
    if shapes != wanted:
        raise MetricError("labels do not fit", expected=f"one for each row, {wanted}", got=shapes)
    found = nearest(queries, samples, 1, rows=rows).indices[:, 0]
    return (sample_labels.cpu()[found] != query_labels.cpu()).double().mean().item()


def copy_limit(reference: Tensor, held_out: Tensor, *, quantile: float = 0.01) -> float:
    """How near to a training image only the share ``quantile`` of held-out images comes.

    Args:
        reference: what the generator learned from, flat (N, d).
        held_out: what it did not see, (K, d).

    Raises:
        MetricError: shapes that do not fit, or fewer held-out images than the quantile needs.
    """
    check_points(held_out, "held-out samples", fewest=round(1 / quantile))
    return nearest(held_out, reference, 1).distances[:, 0].quantile(quantile).item()


def copied_share(samples: Tensor, reference: Tensor, limit: float) -> float:
    """The share of samples (M, d) that are no farther than ``limit`` from a training image of ``reference`` (N, d).

    With the limit of ``copy_limit``, held-out images themselves score about its quantile, and a generator that repeats
    its training images scores 1.

    Raises:
        MetricError: shapes that do not fit.
    """
    return (nearest(samples, reference, 1).distances[:, 0] <= limit).double().mean().item()
