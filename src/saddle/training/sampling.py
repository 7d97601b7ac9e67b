"""Samples of a learner while it is trained, for looks and scores: always those of the same latents."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saddle.data.scaling import Scaling
from saddle.trained.draw import as_saved, draw_samples
from saddle.training.learner import Sampled


def saved_samples(
    learner: Sampled,
    scaling: Scaling,
    shape: tuple[int, ...],
    seed: int,
    count: int,
    labels: Tensor | None = None,
    inputs: NDArray[np.uint8] | None = None,
) -> Tensor:
    """The first ``count`` samples of stream ``seed`` as they would be saved: uint8 (n, C, H, W) or floats (n, d).

    Args:
        learner, scaling: what they are drawn from, and how they become pixels or points.
        shape: of one sample.
        seed, count: which samples.
        labels: to ask for, (count,), or None.
        inputs: in a game on pairs, what they are made of, (count, channels, H, W); else None.

    Raises:
        NotFinite: a value is NaN or infinite.
    """

    def make(start: int, count: int) -> Tensor:
        condition = None if labels is None else labels[start : start + count]
        if inputs is not None:
            condition = scaling.forward(torch.from_numpy(inputs[start : start + count]).to(learner.device))
        return learner.sample(seed, start, count, condition)

    return torch.cat([as_saved(piece) for piece in draw_samples(make, count, shape, scaling)])
