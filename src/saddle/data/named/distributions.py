"""Known distributions of points, from which samples are drawn and with which generated ones are compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_erf = np.vectorize(math.erf, otypes=[np.float64])


class Univariate(Protocol):
    """A distribution of numbers. Its functions work elementwise on arrays of any shape."""

    @property
    def mean(self) -> float:
        """E[X]."""
        ...

    @property
    def std(self) -> float:
        """The standard deviation of X."""
        ...

    def density(self, values: ArrayLike) -> Floats:
        """p(x)."""
        ...

    def cumulative(self, values: ArrayLike) -> Floats:
        """P(X ≤ x)."""
        ...

    def quantile(self, shares: ArrayLike) -> Floats:
        """The x with P(X ≤ x) = share, for shares in (0, 1)."""
        ...


class Distribution(Protocol):
    """A distribution of points (d,)."""

    @property
    def dimensions(self) -> int:
        """The number of coordinates of a point."""
        ...

    @property
    def coordinate(self) -> Univariate | None:
        """The distribution of each coordinate, if all have the same and are independent; else None."""
        ...

    def draw(self, chance: np.random.Generator, count: int) -> NDArray[np.float32]:
        """``count`` independent points, (count, d)."""
        ...


@dataclass(frozen=True, eq=False)
class Mixture:
    """Equally likely modes, each a round normal distribution.

    Args:
        centres: (modes, d).
        sigma: the standard deviation of every mode along every axis.
    """

    centres: Floats
    sigma: float

    @property
    def dimensions(self) -> int:
        return self.centres.shape[1]

    @property
    def coordinate(self) -> Univariate | None:
        if self.dimensions == 1:
            return self
        # The coordinates of one round mode with the same mean along every axis are independent and alike.
        same = len(self.centres) == 1 and bool((self.centres == self.centres[0, 0]).all())
        return Mixture(self.centres[:, :1], self.sigma) if same else None

    def draw(self, chance: np.random.Generator, count: int) -> NDArray[np.float32]:
        modes = chance.integers(len(self.centres), size=count)
        noise = chance.standard_normal((count, self.dimensions), dtype=np.float32)
        return noise * np.float32(self.sigma) + self.centres.astype(np.float32)[modes]

    @property
    def mean(self) -> float:
        return float(self.centres.mean())

    @property
    def std(self) -> float:
        assert self.dimensions == 1
        return math.sqrt(self.sigma**2 + self.centres.var())

    def density(self, values: ArrayLike) -> Floats:
        return np.exp(-0.5 * self._standardised(values) ** 2).mean(-1) / (self.sigma * math.sqrt(2 * math.pi))

    def cumulative(self, values: ArrayLike) -> Floats:
        return 0.5 * (1 + _erf(self._standardised(values) / math.sqrt(2))).mean(-1)

    def quantile(self, shares: ArrayLike) -> Floats:
        """By bisection, since a mixture has no closed form."""
        wanted = np.asarray(shares, np.float64)
        low = np.full(wanted.shape, self.centres.min() - 40 * self.sigma)
        high = np.full(wanted.shape, self.centres.max() + 40 * self.sigma)
        for _ in range(60):
            middle = (low + high) / 2
            below = self.cumulative(middle) < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def _standardised(self, values: ArrayLike) -> Floats:
        """Distances from each centre in standard deviations; an axis for the modes comes last."""
        assert self.dimensions == 1
        return (np.asarray(values, np.float64)[..., None] - self.centres[:, 0]) / self.sigma


@dataclass(frozen=True)
class Uniform:
    """Uniform on [low, high) along each of ``dimensions`` axes."""

    low: float
    high: float
    dimensions: int = 1

    @property
    def coordinate(self) -> Univariate:
        return self

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    @property
    def std(self) -> float:
        return (self.high - self.low) / math.sqrt(12)

    def draw(self, chance: np.random.Generator, count: int) -> NDArray[np.float32]:
        shares = chance.random((count, self.dimensions), dtype=np.float32)
        return shares * np.float32(self.high - self.low) + np.float32(self.low)

    def density(self, values: ArrayLike) -> Floats:
        values = np.asarray(values, np.float64)
        return np.where((values >= self.low) & (values <= self.high), 1 / (self.high - self.low), 0.0)

    def cumulative(self, values: ArrayLike) -> Floats:
        return np.clip((np.asarray(values, np.float64) - self.low) / (self.high - self.low), 0, 1)

    def quantile(self, shares: ArrayLike) -> Floats:
        return self.low + (self.high - self.low) * np.asarray(shares, np.float64)
