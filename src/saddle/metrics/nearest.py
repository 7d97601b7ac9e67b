"""Nearest neighbours by brute force, in pieces, and the scores that ask only for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from saddle.errors import MetricError
from saddle.metrics.inputs import check_pair, check_points, rows_at_once


class Neighbours(NamedTuple):
    """The nearest rows of each query.

    Args:
        distances: Euclidean, (B, k), nearest first.
        indices: of the rows, (B, k).
    """

    distances: Tensor
    indices: Tensor


def middle(points: Tensor) -> Tensor:
    """Where distances between points like these are best computed from, (d,): the mean of the first of them.

    Rounding grows with the squared distance from there: of years in a table, seen from zero, nothing would be left.
    Bytes stay as they are, since their distances are exact.
    """
    if points.dtype == torch.uint8:
        return torch.zeros(points.shape[1], dtype=torch.float64)
    return points[: rows_at_once(points.shape[1])].cpu().double().mean(0)


def squared_distances(queries: Tensor, points: Tensor, centre: Tensor) -> Tensor:
    """‖a - b‖² of all pairs in double precision, (B, N): one matrix product, harmless near ``centre``; see ``middle``.

    On the CPU, as all that metrics compute: not every accelerator has double precision.
    """
    a, b = queries.cpu().double() - centre, points.cpu().double() - centre
    return torch.addmm(b.square().sum(1), a, b.T, alpha=-2).add_(a.square().sum(1, keepdim=True)).clamp_(min=0)


def nearest(
    queries: Tensor, points: Tensor, count: int, *, itself: bool = False, rows: int | None = None
) -> Neighbours:
    """The ``count`` rows of ``points`` nearest to each query.

    Args:
        queries: (B, d).
        points: (N, d), floats or uint8; they may be memory-mapped.
        count: at least 1.
        itself: ``queries`` are the ``points``, and none is its own neighbour.
        rows: read at a time.

    Raises:
        MetricError: shapes that do not fit, or fewer than ``count`` neighbours.
    """
    check_pair(queries, points, ("queries", "points"), fewest=1)
    if not 1 <= count <= len(points) - itself:
        raise MetricError("there are not so many neighbours", expected=f"1 to {len(points) - itself:,}", got=count)
    rows = rows or rows_at_once(points.shape[1])
    centre = middle(points)
    found: list[Neighbours] = []
    for i, some in zip(range(0, len(queries), rows), queries.split(rows), strict=True):
        best = Neighbours(torch.empty(len(some), 0, dtype=torch.float64), torch.empty(len(some), 0, dtype=torch.long))
        for j, piece in zip(range(0, len(points), rows), points.split(rows), strict=True):
            squares = squared_distances(some, piece, centre)
            if itself and i == j:
                squares.fill_diagonal_(torch.inf)
            near, where = squares.topk(min(count, len(piece)), largest=False)
            squares, where = torch.cat([best.distances, near], 1), torch.cat([best.indices, where + j], 1)
            squares, order = squares.topk(min(count, squares.shape[1]), largest=False)
            best = Neighbours(squares, where.gather(1, order))
        found.append(best)
    distances, indices = (torch.cat(pieces) for pieces in zip(*found, strict=True))
    return Neighbours(distances.sqrt(), indices)


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


def copied_share(samples: Tensor, reference: Tensor, held_out: Tensor, *, quantile: float = 0.01) -> float:
    """The share of samples as near to a training image as hardly a held-out image is.

    No farther than the ``quantile`` of the held-out images' distances: held-out images themselves score about
    ``quantile``, and a generator that repeats its training images scores 1.

    Args:
        samples, reference, held_out: flat (M, d), (N, d) and (K, d); reference is what the generator learned from.

    Raises:
        MetricError: shapes that do not fit, or fewer held-out images than the quantile needs.
    """
    check_points(held_out, "held-out samples", fewest=round(1 / quantile))
    limit = nearest(held_out, reference, 1).distances[:, 0].quantile(quantile)
    return (nearest(samples, reference, 1).distances[:, 0] <= limit).double().mean().item()
