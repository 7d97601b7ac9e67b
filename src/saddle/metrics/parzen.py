"""The Parzen window estimate of the log-likelihood of real images under generated ones.

Breuleux et al. 2011, as Goodfellow et al. 2014 (section 5) and its authors' ``parzen_ll.py`` compute it. Kept for
comparison with papers of that time: it does not rise with quality (Theis et al. 2016), so nothing is tuned by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from saddle.errors import MetricError
from saddle.metrics.inputs import check_pair
from saddle.metrics.nearest import for_pairs

# numpy's logspace(-1, 0, 10)
SIGMAS = tuple(10 ** (-1 + i / 9) for i in range(10))


class Parzen(NamedTuple):
    """Mean log-likelihoods in nats; higher is better.

    Args:
        value: of the test images.
        error: standard error over the test images.
        validation: of the validation images, at the chosen width.
        sigma: the width of the window, the best on the validation images.
    """

    value: float
    error: float
    validation: float
    sigma: float


def parzen(samples: Tensor, validation: Tensor, test: Tensor, sigmas: Sequence[float] = SIGMAS) -> Parzen:
    """The log-likelihood of ``test`` with the width that suits ``validation`` best.

    Args:
        samples: generated images, flat (M, d), floats in [0, 1] or uint8.
        validation, test: real ones, (V, d) and (N, d).
        sigmas: widths to choose from.

    Raises:
        MetricError: shapes that do not fit, no widths, or numbers that are not finite.
    """
    if not sigmas or min(sigmas) <= 0:
        raise MetricError("there is no window to choose from", expected="widths above 0", got=list(sigmas))
    tried = log_likelihoods(samples, validation, sigmas).mean(1)
    best = int(tried.argmax())
    values = log_likelihoods(samples, test, sigmas[best : best + 1])[0]
    error = values.std(correction=0).item() / math.sqrt(len(values))
    return Parzen(values.mean().item(), error, tried[best].item(), sigmas[best])


def log_likelihoods(samples: Tensor, images: Tensor, sigmas: Sequence[float], *, rows: int | None = None) -> Tensor:
    """Log 1/M Σ_i N(x; sample i, σ² I) of each image x for each σ: (sigmas, N), in double precision."""
    check_pair(samples, images, ("samples", "images"), fewest=1)
    constant = math.log(len(samples)) + samples.shape[1] * math.log(math.sqrt(2 * math.pi))
    found = torch.full((len(sigmas), len(images)), -torch.inf, dtype=torch.float64)

    def visit(_: slice, j: slice, squares: Tensor) -> None:
        for place, sigma in enumerate(sigmas):
            found[place, j] = torch.logaddexp(found[place, j], (squares / (-2 * sigma**2)).logsumexp(0))

    for_pairs(samples, images, visit, rows=rows)
    return found - constant - samples.shape[1] * torch.tensor(sigmas, dtype=torch.float64).log()[:, None]
