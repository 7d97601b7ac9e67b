"""Curves of a run, drawn from the entries of its log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saddle.show.figure import (
    DISCRIMINATOR,
    DISCRIMINATOR_GENERATED,
    GENERATED,
    GENERATOR,
    GREY,
    REAL,
    add_axes,
    add_legend,
    new_figure,
    to_picture,
)

Log = Sequence[Mapping[str, Any]]
_Array = NDArray[np.float64]

# What joins D's loss beside its errors, by the name it has in the log.
_EXTRA = (
    ("r1", "R1 (real)", REAL),
    ("r2", "R2 (generated)", GENERATED),
    ("gradient_penalty", "gradient penalty", DISCRIMINATOR_GENERATED),
    ("supervised", "cross-entropy of labels", GREY),
)


def loss_plot(log: Log) -> Image.Image:
    """The losses of D and G over images seen; below them what joins D's loss, such as penalties, where the log has any.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
    """
    extra = [term for term in _EXTRA if len(series(log, term[0])[0])]
    figure = new_figure(height=4.2 if extra else 2.9)
    axes = add_axes(figure, 2 if extra else 1, 1, 1)
    axes.set_ylabel("loss")
    _draw(axes, log, "discriminator_loss", "discriminator", DISCRIMINATOR)
    _draw(axes, log, "generator_loss", "generator", GENERATOR)
    _finish(axes, log)
    if extra:
        axes.label_outer()
        below = add_axes(figure, 2, 1, 2)
        below.set_ylabel("in D's loss")
        for name, label, colour in extra:
            _draw(below, log, name, label, colour)
        _finish(below, log)
    return to_picture(figure)


def output_plot(log: Log, *, judgement: bool = True) -> Image.Image:
    """The mean output of D on real samples, D(x), and on generated ones, D(G(z)), over images seen.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        judgement: whether the output says real (1) or generated (0). At the game's solution both are then 1/2
            (Goodfellow et al. 2014, proposition 1): the dashed line. Else it is a score without a scale.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_ylabel("mean output of D")
    if judgement:
        _level(axes, 0.5)
    _draw(axes, log, "d_real", "real, D(x)", REAL)
    _draw(axes, log, "d_fake", "generated, D(G(z))", GENERATED)
    if judgement:
        axes.set_ylim(-0.03, 1.03)
    _finish(axes, log)
    return to_picture(figure)


def error_plot(log: Log) -> Image.Image:
    """The three errors over images seen: D's on real samples, D's on generated ones, and G's.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_ylabel("error")
    _draw(axes, log, "loss_real", "D on real", REAL)
    _draw(axes, log, "loss_fake", "D on generated", DISCRIMINATOR_GENERATED)
    _draw(axes, log, "generator_loss", "G", GENERATOR)
    _finish(axes, log)
    return to_picture(figure)


def moment_plot(log: Log, mean: float | None = None, std: float | None = None) -> Image.Image:
    """The mean and the standard deviation of generated values over images seen.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        mean, std: the true ones, as dashed lines; None: not known.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_ylabel("generated values")
    for level in (mean, std):
        if level is not None:
            _level(axes, level)
    _draw(axes, log, "sample_mean", "mean", REAL)
    _draw(axes, log, "sample_std", "standard deviation", GENERATED)
    _finish(axes, log)
    return to_picture(figure)


def series(log: Log, key: str) -> tuple[_Array, _Array]:
    """Images seen and the finite values of ``key``, two float arrays of one length."""
    pairs = [(entry["images"], entry[key]) for entry in log if entry.get(key) is not None and math.isfinite(entry[key])]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def smooth(values: _Array) -> _Array:
    """Centred moving mean over a fiftieth of the values; the window shrinks at both ends."""
    half = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    centre = np.arange(len(values))
    low, high = np.maximum(centre - half, 0), np.minimum(centre + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _draw(axes: Any, log: Log, key: str, label: str, colour: str) -> None:
    images, values = series(log, key)
    if not len(values):
        return
    few = len(values) < 30
    axes.plot(images, values, color=colour, linewidth=0.6, alpha=0.3)
    axes.plot(images, smooth(values), color=colour, linewidth=1.5, label=label, marker="." if few else None)


def _level(axes: Any, value: float) -> None:
    axes.axhline(value, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))


def _finish(axes: Any, log: Log) -> None:
    epochs = [entry["images"] / entry["epoch"] for entry in log if entry.get("epoch")]
    axes.set_xlabel("images seen" + (f" (one epoch: {epochs[-1]:,.0f})" if epochs else ""))
    axes.xaxis.set_major_formatter(_short)
    axes.set_xlim(left=0)
    add_legend(axes)


def _short(count: float, _position: int) -> str:
    """1500000 as 1.5M."""
    unit, letter = next(((unit, letter) for unit, letter in ((1e6, "M"), (1e3, "k")) if count >= unit), (1, ""))
    return f"{count / unit:,g}{letter}"
