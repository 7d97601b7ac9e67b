"""The one way in which samples are drawn, whoever wants them: in pieces, refused where they are not finite, scaled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import torch
from torch import Tensor

from saddle.data.scaling import Scaling, to_pixels
from saddle.errors import NotFinite

# Samples made at once: at most so many, and about so many values. A thousand samples or a million need the same memory.
_MOST, _VALUES = 1000, 4_000_000


def draw_samples(
    make: Callable[[int, int], Tensor], count: int, shape: tuple[int, ...], scaling: Scaling
) -> Iterator[Tensor]:
    """``count`` samples, piece by piece: images (n, C, H, W) in [0, 1] or points (n, d), on the CPU.

    Args:
        make: (start, n) → the samples numbered from ``start``, (n, *shape) in the network's own range.
        count: how many in all.
        shape: of one sample.
        scaling: of the network's data.

    Raises:
        NotFinite: a value is NaN or infinite.
    """
    size = max(1, min(_MOST, _VALUES // prod(shape)))
    for start in range(0, count, size):
        yield in_data_units(make(start, min(size, count - start)), scaling)


def in_data_units(made: Tensor, scaling: Scaling) -> Tensor:
    """What a network made, brought to images in [0, 1] or points in the data's units, on the CPU.

    Raises:
        NotFinite: a value is NaN or infinite. It is looked for before pixels are clamped, which would hide it.
    """
    broken = int((~made.isfinite()).flatten(1).any(1).sum())
    if broken:
        raise NotFinite(
            f"{broken:,} of {len(made):,} samples hold values that are NaN or infinite",
            expected="finite numbers",
            remedy="the generator has diverged: take one from an earlier checkpoint, or train with a smaller rate",
        )
    return scaling.backward(made).cpu()


def as_saved(samples: Tensor) -> Tensor:
    """Samples as they would be saved: images in [0, 1] as uint8 pixels; points as they are."""
    return torch.from_numpy(to_pixels(samples)) if samples.ndim == 4 else samples
