"""The Fréchet distance of two sets of features, each taken for a normal distribution.

Heusel et al. 2017, equation 6: ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½). With Inception features this is the FID.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor

from saddle.errors import MetricError, ScoreWarning
from saddle.metrics.inputs import check_points, rows_at_once
from saddle.metrics.products import add_gram, doubles, mirrored, pixel_sums


class Axes(NamedTuple):
    """The principal axes of a covariance.

    Args:
        variances: along the axes, (d,), largest first.
        directions: of unit length, the columns of (d, d).
    """

    variances: Tensor
    directions: Tensor


@dataclass(frozen=True)
class Moments:
    """Mean and scatter of rows in double precision.

    Args:
        count: how many rows.
        mean: (d,).
        scatter: Σ (x - mean)(x - mean)ᵀ, (d, d).
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, features: Tensor, *, rows: int | None = None) -> Self:
        """The moments of features (N, d), collected piece by piece (Chan et al. 1979); those of pixels exactly.

        Args:
            features: floats, or uint8, which counts from 0 to 1.
            rows: read at a time.

        Raises:
            MetricError: fewer than two rows, or numbers that are not finite.
        """
        check_points(features, "features", fewest=2)
        if features.dtype == torch.uint8:
            return cls._of_pixels(features)
        width = features.shape[1]
        mean, scatter = torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64)
        count = 0
        for piece in features.split(rows or rows_at_once(width)):
            values = doubles(piece)
            of_piece = values.mean(0)
            apart, total = of_piece - mean, count + len(values)
            add_gram(scatter, values - of_piece)
            scatter.addr_(apart, apart, alpha=count * len(values) / total)
            mean, count = mean + apart * (len(values) / total), total
        return cls(count, mean, mirrored(scatter))

    @classmethod
    def _of_pixels(cls, pixels: Tensor) -> Self:
        """Whole numbers up to the division, where there are fewer than 700,000 rows."""
        count = len(pixels)
        sums, products = pixel_sums(pixels)
        scatter = mirrored(products).mul_(count).addr_(sums, sums, alpha=-1).div_(count * 255**2)
        return cls(count, (sums + 128 * count) / (count * 255), scatter)

    @property
    def covariance(self) -> Tensor:
        """(d, d), divided by N - 1, as the original FID does."""
        return self.scatter / (self.count - 1)

    @cached_property
    def axes(self) -> Axes:
        """The principal axes of the covariance; what rounding leaves below zero counts as zero."""
        variances, directions = torch.linalg.eigh(self.covariance)
        return Axes(variances.flip(0).clamp(min=0), directions.flip(1).contiguous())


def frechet_distance(samples: Moments, reference: Moments, *, axes: Axes | None = None) -> float:
    """The squared Fréchet distance; 0 for equal moments, the lower the nearer.

    The trace of (Σ₁ Σ₂)^½ is the sum of the roots of the eigenvalues of D Uᵀ Σ₁ U D, where Σ₂ = U D² Uᵀ. Nothing
    complex can come up, and since the large variances of D² come first, the small eigenvalues are as exact as the large
    ones. Those that are zero, since the rows span fewer dimensions, are left out.

    Args:
        samples, reference: moments of equal width.
        axes: ``reference.axes``, where they are known.

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
    variances, directions = axes or reference.axes
    deviations = variances.sqrt()
    graded = (directions.T @ samples.covariance @ directions).mul_(deviations).mul_(deviations[:, None])
    rank = min(width, samples.count - 1, reference.count - 1)
    # "L": from the first row on, where the large variances are; from the other end the small eigenvalues would be lost.
    overlap = torch.linalg.eigvalsh(graded, UPLO="L")[-rank:].clamp(min=0).sqrt().sum()
    traces = samples.covariance.trace() + reference.covariance.trace()
    distance = (samples.mean - reference.mean).square().sum() + traces - 2 * overlap
    return max(distance.item(), 0.0)
