"""What the entries of a run's log say, as numbers and in words."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Log = Sequence[Mapping[str, Any]]
Series = NDArray[np.float64]

DRAWABLE = 1e100  # what is larger is not finite in single precision, and sums of it would not be in double
_OF_GAN = {
    "loss of D": "discriminator_loss",
    "loss of G": "generator_loss",
    "D(x)": "d_real",
    "D(G(z))": "d_fake",
}
_OF_LIKELIHOOD = {"nats": "nats", "bits per dimension": "bits_per_dim"}
_NO_FIGURES = ("images", "epoch", "best")


def series(log: Log, key: str) -> tuple[Series, Series]:
    """Images seen and the values of ``key`` that can be drawn, two float arrays of one length."""
    known = ((entry["images"], entry.get(key)) for entry in log)
    pairs = [(images, value) for images, value in known if value is not None and abs(value) < DRAWABLE]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def last_figures(log: Log) -> dict[str, str]:
    """The figures at the end, and the usual speed, by their names for people; – for what is missing."""
    last: Mapping[str, Any] = log[-1] if log else {}
    speeds = [entry["images_per_second"] for entry in log if entry.get("images_per_second")]
    names = _OF_LIKELIHOOD if "nats" in last else _OF_GAN
    return {
        **{shown: _number(last.get(name)) for shown, name in names.items()},
        "images per second": f"{statistics.median(speeds):,.0f}" if speeds else "–",
    }


def figure_names(scores: Log) -> list[str]:
    """The figures that entries of ``RunFolder.read_scores`` give."""
    return [name for name in dict.fromkeys(key for entry in scores for key in entry) if name not in _NO_FIGURES]


def best_entry(scores: Log, metric: str) -> Mapping[str, Any] | None:
    """The entry whose generator was kept for its ``metric``; None where there is none."""
    kept = (entry for entry in reversed(scores) if entry.get("best") and metric in entry)
    return next((entry for entry in kept if abs(entry[metric]) < DRAWABLE), None)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
