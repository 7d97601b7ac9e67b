"""Metrics: pure functions of features or points, as tensors (N, d).

Each module can be reached as ``saddle.metrics.NAME``, and most functions directly: ``saddle.metrics.frechet_distance``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saddle.metrics import frechet, images, kernel, labels, manifold, nearest, parzen, points
    from saddle.metrics.frechet import Moments, frechet_distance
    from saddle.metrics.images import l1_distance, psnr, ssim
    from saddle.metrics.kernel import kernel_distance
    from saddle.metrics.labels import agreement, category_modes, class_shares, inception_score, mixture_modes
    from saddle.metrics.manifold import density_coverage, precision_recall
    from saddle.metrics.nearest import copied_share, copy_limit, neighbour_distances, neighbour_error
    from saddle.metrics.parzen import log_likelihoods
    from saddle.metrics.points import kolmogorov_smirnov, sliced_wasserstein, wasserstein

__all__ = [
    "Moments",
    "agreement",
    "category_modes",
    "class_shares",
    "copied_share",
    "copy_limit",
    "density_coverage",
    "frechet",
    "frechet_distance",
    "images",
    "inception_score",
    "kernel",
    "kernel_distance",
    "kolmogorov_smirnov",
    "l1_distance",
    "labels",
    "log_likelihoods",
    "manifold",
    "mixture_modes",
    "nearest",
    "neighbour_distances",
    "neighbour_error",
    "parzen",
    "points",
    "precision_recall",
    "psnr",
    "sliced_wasserstein",
    "ssim",
    "wasserstein",
]

# As everywhere, torch is imported when something is first used.
_HOMES = {
    "frechet": ("Moments", "frechet_distance"),
    "images": ("l1_distance", "psnr", "ssim"),
    "kernel": ("kernel_distance",),
    "labels": ("agreement", "category_modes", "class_shares", "inception_score", "mixture_modes"),
    "manifold": ("density_coverage", "precision_recall"),
    "nearest": ("copied_share", "copy_limit", "neighbour_distances", "neighbour_error"),
    "parzen": ("log_likelihoods",),
    "points": ("kolmogorov_smirnov", "sliced_wasserstein", "wasserstein"),
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return import_module(f"saddle.metrics.{name}")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"saddle.metrics.{home}"), name)
    raise AttributeError(f"module 'saddle.metrics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
