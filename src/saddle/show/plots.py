"""The learning curves of a run, drawn from the entries of its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import Any

import numpy as np
from PIL import Image

from saddle.runs.log import Log, Series, best_entry, figure_names, series
from saddle.show.figure import (
    DISCRIMINATOR,
    DISCRIMINATOR_GENERATED,
    GENERATED,
    GENERATOR,
    GREY,
    LINES,
    REAL,
    add_axes,
    add_legend,
    new_figure,
    to_picture,
)

_FAR = 20  # times the smallest value: these are drawn on a logarithmic axis
_FEW = 30  # values: each is marked with a dot

# The other terms of D's loss beside its errors, by the name they have in the log.
_EXTRA = (
    ("r1", "R1 (real)", REAL),
    ("r2", "R2 (generated)", GENERATED),
    ("gradient_penalty", "gradient penalty", DISCRIMINATOR_GENERATED),
    ("supervised", "cross-entropy of labels", GREY),
)


def loss_plot(log: Log) -> Image.Image:
    """The losses of D and G over images seen; below them the other terms of D's loss, such as penalties, if any.

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
        below.set_ylabel("terms of D's loss")
        for name, label, colour in extra:
            _draw(below, log, name, label, colour)
        _finish(below, log)
    return to_picture(figure)


def output_plot(log: Log, *, judgement: bool = True) -> Image.Image:
    """The mean output of D on real samples, D(x), and on generated ones, D(G(z)), over images seen.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        judgement: whether the output means real (1) or generated (0). At the game's solution both means are then 1/2
            (Goodfellow et al. 2014, proposition 1), the dashed line. Otherwise it is a score without a scale.
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
        mean, std: the true ones, drawn as dashed lines; None: not known.
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


def augment_plot(log: Log, target: float | None = None) -> Image.Image:
    """The strength of the augmentation and r_t over images seen.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        target: the r_t that ADA aims at, drawn as a dashed line; None: nothing aims at one.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_ylabel("augmentation")
    if target is not None:
        _level(axes, target)
    _draw(axes, log, "augment_p", "probability", GENERATOR)
    _draw(axes, log, "r_t", "r_t", REAL)
    _finish(axes, log)
    return to_picture(figure)


def nats_plot(log: Log) -> Image.Image:
    """The negative log-likelihood of training images over images seen; what is above the picture came before a tenth.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_ylabel("nats")
    _draw(axes, log, "nats", None, GENERATOR)
    images, values = series(log, "nats")
    late = values[images > images[-1] / 10] if len(images) else values
    if len(late) and (height := np.ptp(late)) > 0:  # the fall at first would hide all that follows
        axes.set_ylim(late.min() - height / 20, late.max() + height / 20)
    _finish(axes, log)
    return to_picture(figure)


def distance_plot(log: Log) -> Image.Image:
    """How far what is made of training inputs is from the targets, as a mean absolute difference, over images seen.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_ylabel("L1")
    _draw(axes, log, "l1", None, GENERATOR)
    _spread_out(axes, [log], "l1")
    _finish(axes, log)
    return to_picture(figure)


def score_plot(scores: Log, metric: str, floors: Mapping[str, tuple[float, str]] | None = None) -> Image.Image:
    """Scores over images seen: ``metric`` with a dot where the best generator was kept, the other metrics below.

    Args:
        scores: entries of ``RunFolder.read_scores``; missing and non-finite values leave no mark.
        metric: the one that decides which generator is the best.
        floors: by metric, what real samples score, and the protocol of that score; drawn as dashed lines.
    """
    names = [metric, *(name for name in figure_names(scores) if name != metric)]
    figure = new_figure(height=2.9 + 1.3 * (len(names) - 1))
    for place, name in enumerate(names, 1):
        axes = add_axes(figure, len(names), 1, place)
        axes.set_ylabel(name)
        _draw(axes, scores, name, None, REAL)
        best = best_entry(scores, metric)
        if name == metric and best is not None:
            label = f"best: {best[metric]:.4g}"
            axes.plot(best["images"], best[metric], "o", color=GENERATED, markersize=4, label=label)
        if floors and name in floors:
            floor, protocol = floors[name]
            _level(axes, floor, f"real samples, {protocol}")
        _spread_out(axes, [scores], name)
        _finish(axes, scores)
        if place < len(names):
            axes.label_outer()
    return to_picture(figure)


def overlay_plot(logs: Mapping[str, Log], key: str, label: str, *, score: bool = False) -> Image.Image:
    """One quantity of several runs over images seen. A run's line looks the same in every such plot.

    Args:
        logs: entries of ``RunFolder.read_log`` or ``read_scores`` by the run's name; those without ``key`` get no line.
        key: of the entries; ``label``: for the axis.
        score: whether the axis may be logarithmic.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_ylabel(label)
    lines: dict[str, Any] = {}
    for (name, log), (colour, dashes) in zip(logs.items(), cycle(LINES), strict=False):
        line = _draw(axes, log, key, None, colour, dashes)
        if line is not None:
            lines[name] = line
    if score:
        _spread_out(axes, logs.values(), key)
    _finish(axes, ())
    add_legend(axes, lines)
    return to_picture(figure)


def smooth(values: Series) -> Series:
    """Centred moving mean over a fiftieth of the values; the window shrinks at both ends."""
    half = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    centre = np.arange(len(values))
    low, high = np.maximum(centre - half, 0), np.minimum(centre + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _draw(axes: Any, log: Log, key: str, label: str | None, colour: str, dashes: Any = "-") -> Any:
    """The line, or None where there is nothing to draw."""
    images, values = series(log, key)
    if not len(values):
        return None
    marker, size = ("." if len(values) < _FEW else None), None
    if len(values) == 1:  # nothing but a dot: let it be seen, and say what it is
        label, size = label and f"{label}: {values[0]:.3g}", 12
    axes.plot(images, values, color=colour, linewidth=0.6, alpha=0.3)
    (line,) = axes.plot(
        images, smooth(values), color=colour, linewidth=1.5, linestyle=dashes, label=label, marker=marker,
        markersize=size,
    )  # fmt: skip
    return line


def _spread_out(axes: Any, logs: Iterable[Log], key: str) -> None:
    """A logarithmic axis where positive values are far apart: scores fall fast at first, then slowly."""
    values = np.concatenate([series(log, key)[1] for log in logs])
    if len(values) and values.min() > 0 and values.max() > _FAR * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")


def _level(axes: Any, value: float, label: str | None = None) -> None:
    axes.axhline(value, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), label=label)


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
