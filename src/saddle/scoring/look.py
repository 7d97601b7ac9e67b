"""A cheap look at generated samples beside real ones, while they are trained: what the alarm is raised by.

It knows no classes and needs no network that was trained. It takes a few hundred samples of fixed latents, in
milliseconds, so it sees what is gross: few kinds of sample, samples that are unlike all data, a generator that
jumps about. How good a generator is, the measures tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from saddle.config.schema import DataConfig
from saddle.data.scaling import as_floats
from saddle.data.splits import open_held_out
from saddle.data.store import Store, Values
from saddle.features.random_conv import RandomConv, takes
from saddle.metrics.frechet import Moments, frechet_distance
from saddle.metrics.nearest import copy_limit, nearest

COUNT = 256  # samples of a look, and real ones on either side of it
FEWEST = 32  # with fewer real samples on a side nothing can be told
_GRID = 8  # pixels of a side that images are averaged to
_BALL = 5  # a real sample's neighbourhood reaches to its fifth nearest other one
_MOST_REAL = 4_096  # whose mean and covariance samples are compared with
_NO_GAP = 1e-6  # a smaller distance, over the spread of the points, counts as this
_MOST_KNOWN = 10_000  # of so few images a generator may know each by heart
_FEWEST_HELD_OUT = 100


@dataclass(frozen=True)
class Real:
    """The real side of a look: two halves, of which one shows what the other's figures are for real samples.

    Args:
        store: what the generator learns from.
        data: by which it was opened, and by which its held-out samples are.
    """

    store: Store
    data: DataConfig

    @classmethod
    def of(cls, store: Store, data: DataConfig) -> Real | None:
        """None where there are too few samples to tell anything."""
        return None if len(store) < 2 * FEWEST else cls(store, data)

    @property
    def count(self) -> int:
        """How many samples a look takes."""
        return min(COUNT, len(self.store) // 2)

    @cached_property
    def chosen(self) -> Store:
        """The half that generated samples are compared like for like with: its labels and inputs are what they get."""
        return self._half(1)

    def _half(self, which: int) -> Store:
        return self.store.spread(2 * self.count).taking(slice(which, None, 2))

    @cached_property
    def _reference(self) -> Tensor:
        return self._coarse(self._half(0).values)

    @cached_property
    def _balls(self) -> Tensor:
        return _apart(self._reference).kthvalue(_BALL, 1).values

    @cached_property
    def _own(self) -> _Found:
        return self._find(self._coarse(self.chosen.values))

    @cached_property
    def _extractor(self) -> RandomConv | None:
        return RandomConv() if takes(self.store.shape) else None

    @cached_property
    def _moments(self) -> Moments:
        assert self._extractor is not None
        return Moments.of(self._extractor(torch.from_numpy(self.store.spread(_MOST_REAL).values.copy())).features)

    @cached_property
    def _known(self) -> tuple[Tensor, float] | None:
        """Training images, and how near to one of them only a hundredth of held-out images comes; None: no matter."""
        fresh = self.store.draw is not None or self.store.inputs is not None  # of pairs, targets are to be met
        if self.store.kind != "images" or fresh or len(self.store) > _MOST_KNOWN:
            return None
        held_out = open_held_out(self.data, self.store)
        if held_out is None or len(held_out) < _FEWEST_HELD_OUT:
            return None
        known = self._coarse(self.store.values)
        return known, copy_limit(known, self._coarse(held_out.spread(2 * COUNT).values))

    @cached_property
    def _scale(self) -> tuple[Tensor, Tensor]:
        """The mean of real points and the spread of each coordinate, without which the widest alone would count."""
        rows = _rows(self.store.spread(_MOST_REAL).values)
        return rows.mean(0), rows.std(0).clamp(min=1e-12)

    def _coarse(self, values: Values) -> Tensor:
        """Samples as they are compared: (n, d), floats."""
        rows = _rows(values)
        if self.store.kind == "images":
            return rows
        mean, spread = self._scale
        return ((rows - mean) / spread).float()

    def _find(self, coarse: Tensor) -> _Found:
        """What is counted of coarse samples (n, d), generated or real."""
        distances = torch.cdist(coarse, self._reference)
        inside = distances <= self._balls
        counts = torch.bincount(distances.argmin(1), minlength=len(self._reference)).double() / len(coarse)
        return _Found(
            variance=coarse.var(0).sum().item(),
            nearest=_apart(coarse).amin(1).mean().item(),
            kinds=torch.special.entr(counts).sum().exp().item(),
            inside=inside.any(1).double().mean().item(),
            coverage=inside.any(0).double().mean().item(),
            gap=sum(distances.amin(axis).clamp(min=_NO_GAP).log().mean().item() for axis in (0, 1)) / 2,
        )

    def _distance(self, values: Tensor, found: _Found) -> float:
        if self._extractor is None:
            return (found.gap - self._own.gap) ** 2
        scale = max(self._moments.covariance.trace().item(), 1e-12)
        return frechet_distance(Moments.of(self._extractor(values).features), self._moments) / scale

    def checked(self, seen: Tensor) -> Tensor:
        """What ``look`` returned last, read back from a file.

        Raises:
            ValueError: it is nothing that it returns.
        """
        own = self._reference
        if seen.shape != own.shape or seen.dtype != own.dtype:
            raise ValueError(f"a look at samples of shape {tuple(seen.shape)}")
        return seen

    def look(self, values: Tensor, before: Tensor | None) -> tuple[dict[str, float], Tensor]:
        """The figures of generated samples.

        Args:
            values: ``count`` samples as they would be saved, uint8 (n, C, H, W) or floats (n, d), with the labels and
                inputs of ``chosen``.
            before: what the last look at samples of the same latents returned, or None.

        Returns:
            The figures by name, and the samples as they are compared, (n, d), for the next look. Of real samples,
            ``spread``, ``nearest``, ``variety`` are 1 and ``inside`` and ``coverage`` nearly:

            - ``spread``: their variance over that of real samples.
            - ``nearest``: mean distance to the nearest other one, over that among as many real samples.
            - ``kinds``: among how many real samples they spread, exp of the entropy of their nearest ones.
            - ``variety``: the same over that of as many real samples.
            - ``inside``: share that lies in the neighbourhood of a real sample (Kynkäänniemi et al. 2019, eq. 2).
            - ``coverage``: share of real samples in whose neighbourhood one lies (Naeem et al. 2020, eq. 5), over that
              of as many real samples.
            - ``change``: root mean square distance of a sample from that of the same latent in the last look, over
              that of two real samples.
            - ``distance``: about 0. Of images the Fréchet distance of simple features, over the variance of the real
              ones. Of points, whose mean and covariance say little, the square of log(a / b), where a is the geometric
              mean of the distances to the nearest real sample and back, and b that of as many real samples.
            - ``copies``: where few images are trained on, the share of samples as near to one of them as a hundredth
              of held-out images.
        """
        coarse = self._coarse(values.numpy())
        found, own = self._find(coarse), self._own
        figures = {
            "spread": found.variance / max(own.variance, 1e-12),
            "nearest": found.nearest / max(own.nearest, 1e-12),
            "kinds": found.kinds,
            "variety": found.kinds / own.kinds,
            "inside": found.inside,
            "coverage": found.coverage / max(own.coverage, 1e-12),
            "distance": self._distance(values, found),
        }
        if before is not None:
            moved = (coarse - before).square().sum(1).mean().item()
            figures["change"] = (moved / max(2 * own.variance, 1e-12)) ** 0.5
        if self._known is not None:
            known, limit = self._known
            figures["copies"] = (nearest(coarse, known, 1).distances[:, 0] <= limit).double().mean().item()
        return figures, coarse


@dataclass(frozen=True)
class _Found:
    variance: float
    nearest: float
    kinds: float
    inside: float
    coverage: float
    gap: float  # mean logarithm of the distance to the nearest reference sample, and from each of these to the nearest


def _rows(values: Values) -> Tensor:
    """Images as rows of at most 8 × 8 averages for each channel; points as they are. (n, d), floats."""
    samples = torch.from_numpy(np.array(values))
    if samples.ndim != 4:
        return samples.double().flatten(1)
    height, width = (min(_GRID, side) for side in samples.shape[2:])
    return torch.cat(
        [adaptive_avg_pool2d(as_floats(piece), (height, width)).flatten(1) for piece in samples.split(1_000)]
    )


def _apart(rows: Tensor) -> Tensor:
    """The distances between rows, (n, n), and infinity where a row meets itself."""
    return torch.cdist(rows, rows).fill_diagonal_(torch.inf)
