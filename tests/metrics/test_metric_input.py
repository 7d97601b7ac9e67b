"""What every metric of two sets of rows asks of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from saddle.errors import MetricError
from saddle.metrics.frechet import Moments
from saddle.metrics.kernel import kernel_distance
from saddle.metrics.labels import inception_score, mixture_modes
from saddle.metrics.manifold import density_coverage, precision_recall
from saddle.metrics.nearest import copied_share, copy_limit, nearest, neighbour_error
from saddle.metrics.parzen import parzen
from saddle.metrics.points import sliced_wasserstein

COUNT, WIDTH = 120, 3


def good() -> Tensor:
    return torch.rand(COUNT, WIDTH, generator=torch.Generator().manual_seed(0))


def labels(rows: Tensor) -> Tensor:
    return torch.zeros(len(rows), dtype=torch.long)


# Each is called with the bad rows on either side.
PAIRS: dict[str, Callable[[Tensor, Tensor], object]] = {
    "kernel_distance": kernel_distance,
    "precision_recall": precision_recall,
    "density_coverage": density_coverage,
    "nearest": lambda a, b: nearest(a, b, 1),
    "neighbour_error": lambda a, b: neighbour_error(a, labels(a), b, labels(b)),
    "copied_share": lambda a, b: copied_share(a, b, 0.1),
    "copy_limit": copy_limit,
    "mixture_modes": lambda a, b: mixture_modes(a, b, 0.1),
    "parzen": lambda a, b: parzen(a, b, good()),
    "parzen of test images": lambda a, b: parzen(good(), a, b),
    "sliced_wasserstein": lambda a, b: sliced_wasserstein(a, b, projections=2),
}
SINGLE: dict[str, Callable[[Tensor], object]] = {"Moments.of": Moments.of, "inception_score": inception_score}


def with_one(value: float) -> Tensor:
    rows = good()
    rows[-1, -1] = value
    return rows


BAD = {
    "NaN": (with_one(torch.nan), r"NaN or infinity\n  expected: finite numbers\n"),
    "infinity": (with_one(torch.inf), r"NaN or infinity\n  expected: finite numbers\n"),
    "one axis": (good()[:, 0], r"not rows of numbers\n  expected: floats .*\n  got: torch.float32 \(120,\)"),
    "images": (good()[:, None], r"not rows of numbers\n  expected: floats .*\n  got: torch.float32 \(120, 1, 3\)"),
    "no columns": (good()[:, :0], r"not rows of numbers\n  expected: floats .*\n  got: torch.float32 \(120, 0\)"),
    "integers": (good().long(), r"not rows of numbers\n  expected: floats .*\n  got: torch.int64 \(120, 3\)"),
    "no rows": (good()[:0], r"too few .*\n  expected: at least \d+\n  got: 0"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", PAIRS)
def test_a_score_of_two_sets_refuses_bad_rows_on_either_side(name: str, bad: str):
    PAIRS[name](good(), good())
    rows, wrong = BAD[bad]
    with pytest.raises(MetricError, match=wrong):
        PAIRS[name](rows, good())
    with pytest.raises(MetricError, match=wrong):
        PAIRS[name](good(), rows)


@pytest.mark.parametrize("name", PAIRS)
def test_a_score_of_two_sets_refuses_different_widths(name: str):
    with pytest.raises(MetricError, match=r"different widths\n  expected: \d columns\n  got: \d"):
        PAIRS[name](good(), good()[:, :2])


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", SINGLE)
def test_a_score_of_one_set_refuses_bad_rows(name: str, bad: str):
    rows, wrong = BAD[bad]
    with pytest.raises(MetricError, match=wrong):
        SINGLE[name](rows)
