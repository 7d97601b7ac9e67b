"""Likelihoods as scores: what a network says of real samples that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from saddle.data.store import Store
from saddle.scoring.sides import Extracted, RealData

# Which real samples: those that no training sees, or those by which settings may be chosen.
Asked = Literal["held out", "validation"]
# Samples as a store has them, and their labels → log-likelihoods (N,) in nats.
LogLikelihoods = Callable[[Tensor, Tensor | None], Tensor]


def asked_count(which: Asked, real: RealData, count: int) -> int:
    """How many real samples the network is asked about, of ``count``."""
    return min(count, len(_store(which, real) or ()))


def asked_about(which: Asked, real: RealData, count: int, log_likelihoods: LogLikelihoods) -> Extracted:
    """Real samples, at most ``count`` and evenly spaced, with what a network says of them; there must be some.

    Raises:
        NotFinite: a likelihood is NaN or infinite.
    """
    store = _store(which, real)
    assert store is not None
    chosen = np.linspace(0, len(store) - 1, asked_count(which, real, count)).astype(np.int64)
    values = torch.from_numpy(store.values[chosen])
    labels = None if store.labels is None else torch.from_numpy(store.labels[chosen])
    return Extracted(values, labels, values.new_empty(len(values), 0), None, log_likelihoods(values, labels))


def lacking(which: Asked, *, labelled: bool) -> Callable[[RealData, bool], str | None]:
    """What real data lack for likelihoods, of a network with or without labels; see ``Measure``."""

    def lacks(real: RealData, by_class: bool) -> str | None:
        store = _store(which, real)
        if store is None:
            return "held-out images" if which == "held out" else "images left out of the training by data.first"
        if by_class != labelled:
            return "a network with labels" if labelled else "a network without labels"
        known = store.labels is not None and store.class_names == real.store.class_names
        return None if known or not labelled else "held-out images with labels of the same classes"

    return lacks


def nats(samples: Extracted, _: RealData) -> tuple[float, float, float]:
    """The mean negative log-likelihood in nats, its standard error over the samples, and the mean in bits a value."""
    assert samples.log_likelihoods is not None
    values = -samples.log_likelihoods
    mean = values.mean().item()
    error = values.std(correction=int(len(values) > 1)).item() / math.sqrt(len(values))
    return mean, error, mean / (math.prod(samples.values.shape[1:]) * math.log(2))


def mean_nats(samples: Extracted, real: RealData) -> tuple[float]:
    """The mean negative log-likelihood in nats, by which a network may be chosen."""
    return (nats(samples, real)[0],)


def _store(which: Asked, real: RealData) -> Store | None:
    return real.held_out_store if which == "held out" else real.validation_store
