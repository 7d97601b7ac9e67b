"""The Fréchet distance of two sets of features, each taken for a normal distribution.

Heusel et al. 2017, equation 6: ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½). With Inception features this is the FID.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from saddle.errors import MetricError, ScoreWarning
from saddle.metrics.inputs import check_points, rows_at_once


@dataclass(frozen=True)
class Moments:
    """Mean and scatter of rows, collected in double precision piece by piece (Chan et al. 1979).

    Args:
        count: rows so far.
        mean: (d,).
        scatter: Σ (x - mean)(x - mean)ᵀ, (d, d).
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, features: Tensor, *, rows: int | None = None) -> Self:
        """The moments of features (N, d), read ``rows`` at a time.

        Raises:
            MetricError: fewer than two rows, or numbers that are not finite.
        """
        check_points(features, "features", fewest=2)
        width = features.shape[1]
        moments = cls(0, torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64))
        for piece in features.split(rows or rows_at_once(width)):
            moments = moments._with(piece.detach().cpu().double())
        return moments

    def _with(self, piece: Tensor) -> Self:
        mean = piece.mean(0)
        centred = piece - mean
        count = self.count + len(piece)
        apart = mean - self.mean
        scatter = self.scatter + centred.T @ centred + torch.outer(apart, apart) * (self.count * len(piece) / count)
        return type(self)(count, self.mean + apart * (len(piece) / count), scatter)

    @property
    def covariance(self) -> Tensor:
        """(d, d), divided by N - 1, as the original FID does."""
        return self.scatter / (self.count - 1)


def frechet_distance(samples: Moments, reference: Moments) -> float:
    """The squared Fréchet distance; 0 for equal moments, the lower the nearer.

    With Σ₁ = AAᵀ and Σ₂ = BBᵀ, the trace of (Σ₁ Σ₂)^½ is the sum of the singular values of AᵀB: for singular
    covariances too, nothing complex can come up, and no root is taken of what rounding left.

    Raises:
        MetricError: the two have different widths.

    Warns:
        ScoreWarning: fewer samples than dimensions: the covariance is singular and the distance too large.
    """
    width = len(reference.mean)
    if len(samples.mean) != width:
        raise MetricError("the features have different widths", expected=width, got=len(samples.mean))
    for name, moments in (("samples", samples), ("reference samples", reference)):
        if moments.count <= width:
            warnings.warn(
                f"{moments.count:,} {name} span at most {moments.count - 1:,} of {width:,} dimensions: their "
                "covariance is singular and the Fréchet distance too large; take more, or compare only with scores "
                "of equally many",
                ScoreWarning,
                stacklevel=2,
            )
    first, second = samples.covariance, reference.covariance
    overlap = torch.linalg.svdvals(_root(first).T @ _root(second)).sum()
    distance = (samples.mean - reference.mean).square().sum() + first.trace() + second.trace() - 2 * overlap
    return max(distance.item(), 0.0)


def _root(covariance: Tensor) -> Tensor:
    """A with AAᵀ = covariance. What rounding leaves below zero counts as zero."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()
