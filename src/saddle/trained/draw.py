"""The one way to draw samples: in pieces, refused where they are not finite, and scaled to the data's units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import torch
from torch import Tensor

from saddle.base import processes
from saddle.data.scaling import Scaling, to_pixels
from saddle.errors import NotFinite

# At most so many samples are made at once, and about so many values: a million samples need no more memory than these.
_MOST, _VALUES = 1000, 4_000_000


def draw_samples(
    make: Callable[[int, int], Tensor], count: int, shape: tuple[int, ...], scaling: Scaling
) -> Iterator[Tensor]:
    """``count`` samples, piece by piece: images (n, C, H, W) in [0, 1] or points (n, d), on the CPU.

    Args:
        make: (start, n) → the samples numbered from ``start``, (n, *shape) in the network's own range.
        count: how many in all.
        shape: the shape of one sample.
        scaling: between the data's units and the network's range.

    Raises:
        NotFinite: a value is NaN or infinite.
    """
    size = _piece(shape)
    for start in range(0, count, size):
        yield in_data_units(make(start, min(size, count - start)), scaling)


def share_of(count: int, shape: tuple[int, ...]) -> range:
    """Which of ``count`` samples this process draws, of several: whole pieces, as a single one would draw them."""
    size = _piece(shape)
    pieces = -(-count // size)
    ends = [min(count, size * (pieces * number // processes.count())) for number in range(processes.count() + 1)]
    return range(ends[processes.number()], ends[processes.number() + 1])


def _piece(shape: tuple[int, ...]) -> int:
    return max(1, min(_MOST, _VALUES // prod(shape)))


def in_data_units(made: Tensor, scaling: Scaling) -> Tensor:
    """What a network made, as images in [0, 1] or points in the data's units, on the CPU.

    Raises:
        NotFinite: a value is NaN or infinite. This is checked before pixels are clamped, which would hide it.
    """
    broken = int((~made.isfinite()).flatten(1).any(1).sum())
    if broken:
        raise NotFinite(
            f"{broken:,} of {len(made):,} samples hold values that are NaN or infinite",
            expected="finite numbers",
            remedy="the training has diverged: take an earlier checkpoint, or train with a smaller learning rate",
        )
    return scaling.backward(made).cpu()


def as_saved(samples: Tensor) -> Tensor:
    """Samples as they would be saved: images in [0, 1] as uint8 pixels; points as they are."""
    return torch.from_numpy(to_pixels(samples)) if samples.ndim == 4 else samples
