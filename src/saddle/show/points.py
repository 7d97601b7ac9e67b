"""Pictures of points: generated ones beside real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saddle.errors import DataError
from saddle.show.figure import GENERATED, REAL, add_axes, add_legend, new_figure, to_picture

Points = NDArray[np.floating[Any]]

_BINS = 60
_DOTS = 5000  # more hide one another


def picture_points(points: Points, reference: Points | None = None, title: str | None = None) -> Image.Image:
    """Draw points as a histogram (d = 1), a scatter plot (d = 2), or the scatter plot of the first two coordinates and
    the histograms of the first three (d > 2).

    Args:
        points: generated, float (N, d), finite.
        reference: real, float (M, d), finite; drawn behind, on the same axes.
        title: a line above.

    Returns:
        An RGB picture whose size depends on d alone.

    Raises:
        DataError: not (N, d) with N and d at least 1, another d in ``reference``, or values that are not finite.
    """
    for values in (points,) if reference is None else (points, reference):
        if values.ndim != 2 or values.size == 0 or values.shape[1] != points.shape[1] or not np.isfinite(values).all():
            raise DataError(
                "these values cannot be drawn as points",
                expected=f"finite numbers (N, {points.shape[-1] if points.ndim == 2 else 'd'})",
                got=f"{values.dtype} {values.shape}, {int((~np.isfinite(values)).sum())} not finite",
                remedy="draw finite points, real and generated ones of the same dimension",
            )
    dimension = points.shape[1]
    figure = new_figure(*{1: (5.2, 2.9), 2: (4.2, 4.2)}.get(dimension, (6.4, 5.2)))
    if title:
        figure.suptitle(title, fontsize=10, parse_math=False)
    if dimension == 1:
        panels = [add_axes(figure)]
        _histogram(panels[0], points, reference, 0)
    elif dimension == 2:
        panels = [add_axes(figure)]
        _scatter(panels[0], points, reference)
    else:
        panels = [add_axes(figure, 2, 2, place) for place in (1, 2, 3, 4)]
        _scatter(panels[0], points, reference)
        for coordinate, axes in enumerate(panels[1:]):
            _histogram(axes, points, reference, coordinate)
    add_legend(panels[0])
    return to_picture(figure)


def _histogram(axes: Any, points: Points, reference: Points | None, coordinate: int) -> None:
    generated = points[:, coordinate]
    real = None if reference is None else reference[:, coordinate]
    low, high = _limits(generated, real)
    edges = np.linspace(low, high, _BINS + 1)
    if real is not None:
        axes.stairs(*_density(real, edges), fill=True, color=REAL, alpha=0.35, label="real")
    axes.stairs(*_density(generated, edges), color=GENERATED, linewidth=1.3, label="generated")
    axes.set_xlim(low, high)
    axes.set_xlabel("value" if points.shape[1] == 1 else f"coordinate {coordinate + 1}")
    axes.set_ylabel("density")


def _scatter(axes: Any, points: Points, reference: Points | None) -> None:
    for values, colour, label in ((reference, REAL, "real"), (points, GENERATED, "generated")):
        if values is not None:
            shown = values[:: -(-len(values) // _DOTS), :2]  # evenly, since real data may come sorted
            axes.scatter(*shown.T, s=5, linewidths=0, alpha=0.5, color=colour, label=label)
    limits = [_limits(points[:, i], None if reference is None else reference[:, i]) for i in (0, 1)]
    # One scale on both axes, or a round cloud looks oblong.
    half = max(high - low for low, high in limits) / 2
    (left, right), (bottom, top) = limits
    axes.set_xlim((left + right) / 2 - half, (left + right) / 2 + half)
    axes.set_ylim((bottom + top) / 2 - half, (bottom + top) / 2 + half)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.set_xlabel("coordinate 1")
    axes.set_ylabel("coordinate 2")


def _limits(generated: Points, real: Points | None) -> tuple[float, float]:
    """A range with room that a few stray points do not stretch: nearly all of the real and of the generated values."""
    quantiles = np.quantile(generated, (0.005, 0.995))
    if real is not None:
        quantiles = np.concatenate([quantiles, np.quantile(real, (0.001, 0.999))])
    low, high = float(quantiles.min()), float(quantiles.max())
    room = 0.08 * (high - low) or 0.5  # a collapsed generator makes one value only
    return low - room, high + room


def _density(values: Points, edges: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Density by bin; values outside the edges count in the whole."""
    counts, _ = np.histogram(values, edges)
    return counts / (len(values) * (edges[1] - edges[0])), edges
