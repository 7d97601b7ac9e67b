"""Pictures of points: generated points beside real ones, or beside the true density."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saddle.data.named.distributions import Univariate
from saddle.errors import DataError
from saddle.show.figure import GENERATED, GREY, REAL, add_axes, add_legend, new_figure, to_picture

Points = NDArray[np.floating[Any]]

_BINS = 60
_DOTS = 5000  # more would hide one another
_QUANTILES = 400
# The quantiles of the real and of the generated values between which the axes reach.
_REAL_SPAN, _GENERATED_SPAN = (0.001, 0.999), (0.005, 0.995)


def picture_points(
    points: Points | None,
    reference: Points | None = None,
    *,
    truth: Univariate | None = None,
    title: str | None = None,
) -> Image.Image:
    """Draw points, by their dimension d.

    Of numbers (d = 1): a histogram, and the quantiles of generated values over those of real ones. In the plane
    (d = 2): a scatter plot. In more dimensions: the scatter plot of the first two coordinates and the histograms of
    the first three.

    Args:
        points: generated, float (N, d), finite; None: only real ones are drawn.
        reference: real, float (M, d), finite; drawn behind the generated ones, on the same axes.
        truth: the distribution of each coordinate of real points, where all are independent and alike. All coordinates
            are then drawn as numbers, beside the density and the quantiles of this distribution.
        title: a line above the plots.

    Returns:
        An RGB picture whose size depends on d alone.

    Raises:
        DataError: not (N, d) with N and d at least 1, another d in ``reference``, or values that are not finite.
    """
    given = [values for values in (points, reference) if values is not None]
    assert given
    for values in given:
        if (
            values.ndim != 2
            or values.size == 0
            or values.shape[1] != given[0].shape[1]
            or not np.isfinite(values).all()
        ):
            raise DataError(
                "these values cannot be drawn as points",
                expected=f"finite numbers (N, {given[0].shape[-1] if given[0].ndim == 2 else 'd'})",
                got=f"{values.dtype} {values.shape}, {int((~np.isfinite(values)).sum())} not finite",
                remedy="draw finite points, real and generated ones of the same dimension",
            )
    if truth is not None:
        points, reference = (None if values is None else values.reshape(-1, 1) for values in (points, reference))
    dimension = 1 if truth is not None else given[0].shape[1]
    figure = new_figure(*{1: (6.4, 2.9), 2: (4.2, 4.2)}.get(dimension, (6.4, 5.2)))
    if title:
        figure.suptitle(title, fontsize=10, parse_math=False)
    if dimension == 1:
        compared = points is not None and (reference is not None or truth is not None)
        panels = [add_axes(figure, 1, 2, place) for place in (1, 2)] if compared else [add_axes(figure)]
        _histogram(panels[0], points, reference, 0, truth)
        if compared:
            _quantiles(panels[1], points, reference, truth)
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


def _histogram(
    axes: Any, points: Points | None, reference: Points | None, coordinate: int, truth: Univariate | None = None
) -> None:
    generated, real = _column(points, coordinate), _column(reference, coordinate)
    low, high = _limits(generated, real, truth)
    edges = np.linspace(low, high, _BINS + 1)
    if truth is not None:
        line = np.linspace(low, high, 10 * _BINS)
        axes.fill_between(line, truth.density(line), color=REAL, alpha=0.35, linewidth=0, label="true density")
    if real is not None and (truth is None or generated is None):
        fill = truth is None
        axes.stairs(*_density(real, edges), fill=fill, color=REAL, alpha=0.35 if fill else 1, label="real")
    if generated is not None:
        axes.stairs(*_density(generated, edges), color=GENERATED, linewidth=1.3, label="generated")
    axes.set_xlim(low, high)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"coordinate {coordinate + 1}" if truth is None and _width(points, reference) > 1 else "value")
    axes.set_ylabel("density")


def _quantiles(axes: Any, points: Points | None, reference: Points | None, truth: Univariate | None) -> None:
    """Quantiles of generated over those of real values: where both distributions agree, on the dashed line."""
    generated, real = _column(points, 0), _column(reference, 0)
    assert generated is not None
    count = min(_QUANTILES, len(generated))
    shares = (np.arange(count) + 0.5) / count
    expected = truth.quantile(shares) if truth is not None else np.quantile(np.asarray(real), shares)
    low, high = _limits(generated, real, truth)
    axes.plot([low, high], [low, high], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.plot(expected, np.quantile(generated, shares), ".", color=GENERATED, markersize=3)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_xlabel("true quantile" if truth is not None else "real quantile")
    axes.set_ylabel("generated quantile")


def _scatter(axes: Any, points: Points | None, reference: Points | None) -> None:
    for values, colour, label in ((reference, REAL, "real"), (points, GENERATED, "generated")):
        if values is not None:
            shown = values[:: -(-len(values) // _DOTS), :2]  # evenly, since real data may come sorted
            axes.scatter(*shown.T, s=5, linewidths=0, alpha=0.5, color=colour, label=label)
    limits = [_limits(_column(points, axis), _column(reference, axis)) for axis in (0, 1)]
    # The same scale on both axes, since a round cloud would otherwise look oblong.
    half = max(high - low for low, high in limits) / 2
    (left, right), (bottom, top) = limits
    axes.set_xlim((left + right) / 2 - half, (left + right) / 2 + half)
    axes.set_ylim((bottom + top) / 2 - half, (bottom + top) / 2 + half)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.set_xlabel("coordinate 1")
    axes.set_ylabel("coordinate 2")


def _limits(generated: Points | None, real: Points | None, truth: Univariate | None = None) -> tuple[float, float]:
    """A range that holds nearly all real and generated values, with some room; a few stray points do not widen it."""
    ends: list[float] = []
    if generated is not None:
        ends += np.quantile(generated, _GENERATED_SPAN).tolist()
    if truth is not None:
        ends += truth.quantile(_REAL_SPAN).tolist()
    elif real is not None:
        ends += np.quantile(real, _REAL_SPAN).tolist()
    low, high = min(ends), max(ends)
    room = 0.08 * (high - low) or 0.5  # a collapsed generator makes one value only
    return low - room, high + room


def _density(values: Points, edges: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The density in each bin. Values outside the edges count in the total."""
    counts, _ = np.histogram(values, edges)
    return counts / (len(values) * (edges[1] - edges[0])), edges


def _column(values: Points | None, coordinate: int) -> Points | None:
    return None if values is None else values[:, coordinate]


def _width(*given: Points | None) -> int:
    return next(values.shape[1] for values in given if values is not None)
