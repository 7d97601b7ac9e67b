"""Scores that ask for classes: those an extractor finds in samples, and the modes of a known mixture."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from saddle.errors import MetricError
from saddle.metrics.inputs import check_pair, check_points, rows_at_once
from saddle.metrics.products import middle, squared_distances


class Split(NamedTuple):
    """A mean over parts of the samples, and the standard deviation of the parts."""

    value: float
    spread: float


class MixtureModes(NamedTuple):
    """How samples cover a mixture.

    Args:
        modes: with at least one high-quality sample.
        high_quality: share of the samples within three standard deviations of a mode; 0.989 for true 2-D samples.
        reverse_kl: KL(shares of the modes among the high-quality samples ‖ uniform), in nats; ln(modes) without any.
        spread: standard deviation of a mode's high-quality samples about their mean, over that of the mode; the mean of
            the modes with two such samples or more, 0 without any. 0.97 for true 2-D samples, and 0 where each mode is
            one point. Ours: the other three are at their best for such samples, too.
    """

    modes: int
    high_quality: float
    reverse_kl: float
    spread: float


class CategoryModes(NamedTuple):
    """How samples cover equally likely categories.

    Args:
        modes: categories that occur.
        kl: KL(shares ‖ expected shares), in nats.
    """

    modes: int
    kl: float


def inception_score(probabilities: Tensor, *, splits: int = 10) -> Split:
    """Exp E_x KL(p(y|x) ‖ p(y)), from 1 to the number of classes; Salimans et al. 2016, section 4.

    Args:
        probabilities: of each class for each sample, (N, classes), rows sum to 1.
        splits: equal parts, in the samples' order, each scored alone, as the authors' code does.

    Raises:
        MetricError: no probabilities, or fewer samples than parts.
    """
    check_points(probabilities, "probabilities", fewest=splits)
    sums = probabilities.double().sum(1)
    if (probabilities < 0).any() or not torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        raise MetricError("these are not probabilities", expected="rows of numbers that are not negative and sum to 1")
    scores: list[Tensor] = []
    for part in probabilities.double().tensor_split(splits):
        divergence = torch.xlogy(part, part) - torch.xlogy(part, part.mean(0))
        scores.append(divergence.sum(1).mean().exp())
    values = torch.stack(scores)
    return Split(values.mean().item(), values.std(correction=0).item())


def agreement(found: Tensor, wanted: Tensor) -> float:
    """The share of conditional samples in which the extractor finds the class that was asked for.

    Args:
        found: the class that the extractor finds in each sample, (N,).
        wanted: the class that the generator was asked for, (N,).

    Raises:
        MetricError: different lengths, or none.
    """
    if found.shape != wanted.shape or found.ndim != 1 or not len(found):
        raise MetricError("labels do not fit", expected="two equally long rows", got=(*found.shape, *wanted.shape))
    return (found.cpu() == wanted.cpu()).double().mean().item()


def category_modes(labels: Tensor, shares: Tensor) -> CategoryModes:
    """Which categories occur, and how far their shares are from the expected ones.

    Args:
        labels: the category of each sample, (N,).
        shares: expected, (categories,), above 0, sum 1.

    Raises:
        MetricError: no labels, or labels outside the categories.
    """
    counts = class_shares(labels, len(shares))
    expected = shares.double()
    kl = (torch.xlogy(counts, counts) - torch.xlogy(counts, expected)).sum().item()
    return CategoryModes(int((counts > 0).sum()), kl)


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """The share of each class, (classes,) in double precision.

    Raises:
        MetricError: no labels, or labels outside the classes.
    """
    labels = labels.cpu()
    whole = not labels.is_floating_point() and labels.dtype != torch.bool
    if labels.ndim != 1 or not len(labels) or not whole or labels.min() < 0 or labels.max() >= classes:
        raise MetricError(
            "these are not labels", expected=f"a row of whole numbers from 0 to {classes - 1}",
            got=f"{labels.dtype} {tuple(labels.shape)}",
        )  # fmt: skip
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def mixture_modes(points: Tensor, centres: Tensor, sigma: float) -> MixtureModes:
    """How samples cover a mixture of equal round modes, all but the spread by the rules of PacGAN's code.

    Lin et al. 2018, section 4.1. A sample counts for a mode that it lies within three standard deviations of, and else
    for none.

    Args:
        points: (N, d).
        centres: (modes, d).
        sigma: standard deviation of each mode along each axis.

    Raises:
        MetricError: shapes that do not fit, or numbers that are not finite.
    """
    check_pair(points, centres, ("samples", "centres"), fewest=1)
    nearest, good, centre = [], [], middle(centres)
    for piece in points.split(rows_at_once(points.shape[1])):
        squares, mode = squared_distances(piece, centres, centre).min(1)
        nearest.append(mode)
        good.append(squares.sqrt() < 3 * sigma)
    mode, fine = torch.cat(nearest), torch.cat(good)
    if not fine.any():
        return MixtureModes(0, 0.0, math.log(len(centres)), 0.0)
    shares = torch.full((len(centres),), 1 / len(centres), dtype=torch.float64)
    found = category_modes(mode[fine], shares)
    spread = _spread_within(points[fine.to(points.device)].cpu().double(), mode[fine].cpu(), len(centres)) / sigma
    return MixtureModes(found.modes, fine.double().mean().item(), found.kl, spread)


def _spread_within(points: Tensor, mode: Tensor, modes: int) -> float:
    """The standard deviation of a mode's points about their mean, along an axis; the mean of modes with two or more."""
    counts = torch.bincount(mode, minlength=modes)
    sums = torch.zeros(modes, points.shape[1], dtype=torch.float64).index_add_(0, mode, points)
    squares = (points - (sums / counts.clamp(min=1)[:, None])[mode]).square().mean(1)
    variances = torch.zeros(modes, dtype=torch.float64).index_add_(0, mode, squares) / (counts - 1).clamp(min=1)
    return variances[counts > 1].sqrt().mean().item() if (counts > 1).any() else 0.0
