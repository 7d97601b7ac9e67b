"""What metrics take, and what they ask of it, so that nonsense gives an error and not a number.

Rows of uint8 are images: in every metric their values are pixels, which count from 0 to 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from saddle.errors import MetricError

# What is worked on together: at most so many rows, and so many numbers. Pieces that stay in the processor's cache and
# in the allocator's hands are faster than large ones.
_MOST_ROWS, _MOST_NUMBERS = 1024, 2**22


def rows_at_once(width: int) -> int:
    """How many rows of so many numbers are worked on at a time."""
    return max(1, min(_MOST_ROWS, _MOST_NUMBERS // width))


def check_points(points: Tensor, name: str, *, fewest: int = 1) -> None:
    """Make sure that ``points`` is a finite (N, d) with at least ``fewest`` rows.

    Raises:
        MetricError: it is not.
    """
    real = points.is_floating_point() or points.dtype == torch.uint8
    if points.ndim != 2 or not points.shape[1] or not real:
        raise MetricError(
            f"the {name} are not rows of numbers", expected="floats or uint8 (N, d)",
            got=f"{points.dtype} {tuple(points.shape)}",
        )  # fmt: skip
    if len(points) < fewest:
        raise MetricError(
            f"there are too few {name}", expected=f"at least {fewest:,}", got=f"{len(points):,}",
            remedy="draw more samples",
        )  # fmt: skip
    for piece in points.split(rows_at_once(points.shape[1])) if points.is_floating_point() else ():
        if not piece.isfinite().all():
            raise MetricError(
                f"the {name} hold NaN or infinity", expected="finite numbers",
                remedy="a generator or an extractor makes them: take an earlier checkpoint, or another extractor",
            )  # fmt: skip


def check_pair(a: Tensor, b: Tensor, names: tuple[str, str] = ("samples", "reference samples"), *, fewest: int) -> None:
    """Make sure that both are finite (N, d) with equal d.

    Raises:
        MetricError: they are not.
    """
    check_points(a, names[0], fewest=fewest)
    check_points(b, names[1], fewest=fewest)
    if a.shape[1] != b.shape[1]:
        raise MetricError(
            f"{names[0]} and {names[1]} have different widths", expected=f"{b.shape[1]} columns", got=a.shape[1]
        )
