"""Samples of either side, and what is done to them together."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Samples, real or generated.

    Args:
        samples: (B, *shape), in the generator's range.
        labels: class indices (B,) in a conditional game, else None.
        labelled: further samples and their labels, for the semi-supervised game.
    """

    samples: Tensor
    labels: Tensor | None = None
    labelled: tuple[Tensor, Tensor] | None = None
