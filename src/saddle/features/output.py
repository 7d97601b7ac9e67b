"""What an extractor gives."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """What an extractor finds in samples.

    Args:
        features: (B, d), floats; or uint8, which counts from 0 to 1.
        probabilities: of each class in each channel that it reads alone, (B, channels, classes); None without classes.
    """

    features: Tensor
    probabilities: Tensor | None
