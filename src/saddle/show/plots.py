"""The learning curves of a run, drawn from the entries of its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from PIL import Image

from saddle.runs.log import Log, Series, best_entry, figure_names, series
from saddle.show.figure import (
    CLASSES,
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

# The other terms of the losses beside errors, D's unless the name says otherwise, by the name they have in the log.
_EXTRA = (
    ("r1", "R1 (real)", REAL),
    ("r2", "R2 (generated)", GENERATED),
    ("gradient_penalty", "gradient penalty", DISCRIMINATOR_GENERATED),
    ("supervised", "cross-entropy of labels", GREY),
    ("class_real", "cross-entropy of classes (real)", CLASSES[0]),
    ("class_fake", "G: cross-entropy of classes (generated)", CLASSES[1]),
)


def loss_plot(log: Log, marks: Sequence[int] = ()) -> Image.Image:
    """The losses of D and G over images seen; below them the other terms of the losses, such as penalties, if any.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        marks: images seen at which settings were edited, drawn as dotted lines.
    """
    extra = [term for term in _EXTRA if len(series(log, term[0])[0])]
    figure = new_figure(height=4.2 if extra else 2.9)
    axes = add_axes(figure, 2 if extra else 1, 1, 1)
    axes.set_ylabel("loss")
    _draw(axes, log, "discriminator_loss", "discriminator", DISCRIMINATOR)
    _draw(axes, log, "generator_loss", "generator", GENERATOR)
    _finish(axes, log, marks)
    if extra:
        axes.label_outer()
        below = add_axes(figure, 2, 1, 2)
        below.set_ylabel("other terms")
        for name, label, colour in extra:
            _draw(below, log, name, label, colour)
        _finish(below, log, marks)
    return to_picture(figure)


def output_plot(log: Log, marks: Sequence[int] = (), *, judgement: bool = True) -> Image.Image:
    """The mean output of D on real samples, D(x), and on generated ones, D(G(z)), over images seen.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        marks: images seen at which settings were edited, drawn as dotted lines.
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
    _finish(axes, log, marks)
    return to_picture(figure)


def error_plot(log: Log, marks: Sequence[int] = ()) -> Image.Image:
    """The three errors over images seen: D's on real samples, D's on generated ones, and G's.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        marks: images seen at which settings were edited, drawn as dotted lines.
    """
    lines = (
        ("loss_real", "D on real", REAL),
        ("loss_fake", "D on generated", DISCRIMINATOR_GENERATED),
        ("generator_loss", "G", GENERATOR),
    )
    return _plot(log, "error", lines, marks)


def moment_plot(
    log: Log, mean: float | None = None, std: float | None = None, marks: Sequence[int] = ()
) -> Image.Image:
    """The mean and the standard deviation of generated values over images seen.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        marks: images seen at which settings were edited, drawn as dotted lines.
        mean, std: the true ones, drawn as dashed lines; None: not known.
    """
    lines = (("sample_mean", "mean", REAL), ("sample_std", "standard deviation", GENERATED))
    return _plot(log, "generated values", lines, marks, (mean, std))


def augment_plot(log: Log, target: float | None = None, marks: Sequence[int] = ()) -> Image.Image:
    """The strength of the augmentation and r_t over images seen.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        marks: images seen at which settings were edited, drawn as dotted lines.
        target: the r_t that ADA aims at, drawn as a dashed line; None: nothing aims at one.
    """
    lines = (("augment_p", "probability", GENERATOR), ("r_t", "r_t", REAL))
    return _plot(log, "augmentation", lines, marks, (target,))


def health_plot(log: Log, marks: Sequence[int] = ()) -> Image.Image:
    """What looks at samples gave over images seen: variety and coverage, which are 1 for real samples.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        marks: images seen at which an alarm was raised, drawn as dotted lines.
    """
    lines = (("variety", "variety", GENERATED), ("coverage", "coverage", REAL))
    return _plot(log, "beside real samples", lines, marks, (1.0,))


def nats_plot(log: Log, marks: Sequence[int] = ()) -> Image.Image:
    """The negative log-likelihood of training images over images seen; what is above the picture came before a tenth.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        marks: images seen at which settings were edited, drawn as dotted lines.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_ylabel("nats")
    _draw(axes, log, "nats", None, GENERATOR)
    images, values = series(log, "nats")
    late = values[images > images[-1] / 10] if len(images) else values
    if len(late) and (height := np.ptp(late)) > 0:  # the fall at first would hide all that follows
        axes.set_ylim(late.min() - height / 20, late.max() + height / 20)
    _finish(axes, log, marks)
    return to_picture(figure)


def distance_plot(log: Log, marks: Sequence[int] = ()) -> Image.Image:
    """How far what is made of training inputs is from the targets, as a mean absolute difference, over images seen.

    Args:
        log: entries of ``RunFolder.read_log``; missing and non-finite values leave no mark.
        marks: images seen at which settings were edited, drawn as dotted lines.
    """
    return _plot(log, "L1", (("l1", None, GENERATOR),), marks, far=True)


def score_plot(
    scores: Log,
    metric: str,
    floors: Mapping[str, tuple[float, str]] | None = None,
    marks: Sequence[int] = (),
) -> Image.Image:
    """Scores over images seen: ``metric`` with a dot where the best generator was kept, the other metrics below.

    Args:
        scores: entries of ``RunFolder.read_scores``; missing and non-finite values leave no mark.
        metric: the one that decides which generator is the best.
        floors: by metric, what real samples score, and the protocol of that score; drawn as dashed lines.
        marks: images seen at which settings were edited, drawn as dotted lines.
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
        _finish(axes, scores, marks)
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


def beside_plot(log: Log, well: Sequence[Log], badly: Sequence[Log], key: str, label: str) -> Image.Image:
    """A figure of a run over its course, in black, beside runs that went well and runs that went badly.

    Args:
        log, well, badly: entries whose ``images`` are thousandths of the run.
        key: of the entries; ``label``: for the axis.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_ylabel(label)
    axes.set_xlabel("percent of the run")
    named: dict[str, Any] = {}
    for logs, name, colour in ((well, "went well", REAL), (badly, "went badly", GENERATED)):
        for each in logs:
            images, values = series(each, key)
            (named[name],) = axes.plot(images / 10, values, color=colour, linewidth=0.8, alpha=0.5)
    images, values = series(log, key)
    (named["this run"],) = axes.plot(images / 10, smooth(values), color="black", linewidth=1.8)
    low, high = np.percentile(np.concatenate([series(each, key)[1] for each in (log, *well, *badly)]), [5, 92])
    margin = max((high - low) / 10, 0.02 * abs(high), 1e-6)
    axes.set_ylim(low - margin, high + margin)  # single points far away would hide all else
    add_legend(axes, named)
    return to_picture(figure)


def smooth(values: Series) -> Series:
    """Centred moving mean over a fiftieth of the values; the window shrinks at both ends."""
    half = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    centre = np.arange(len(values))
    low, high = np.maximum(centre - half, 0), np.minimum(centre + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _plot(
    log: Log,
    label: str,
    lines: Sequence[tuple[str, str | None, str]],
    marks: Sequence[int],
    levels: Sequence[float | None] = (),
    *,
    far: bool = False,
) -> Image.Image:
    """Figures of a log over images seen.

    Args:
        log, label: entries, and the name of the axis.
        lines: a figure's key, its name and its colour.
        marks, levels: dotted lines upright, and dashed ones level where they are no None.
        far: whether the axis of the first figure may be logarithmic.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_ylabel(label)
    for level in levels:
        if level is not None:
            _level(axes, level)
    for key, name, colour in lines:
        _draw(axes, log, key, name, colour)
    if far:
        _spread_out(axes, [log], lines[0][0])
    _finish(axes, log, marks)
    return to_picture(figure)


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


def _finish(axes: Any, log: Log, marks: Sequence[int] = ()) -> None:
    for number, images in enumerate(marks):
        axes.axvline(images, color=GREY, linewidth=0.9, linestyle=":", label=None if number else "edit")
    epochs = [entry["images"] / entry["epoch"] for entry in log if entry.get("epoch")]
    axes.set_xlabel("images seen" + (f" (one epoch: {epochs[-1]:,.0f})" if epochs else ""))
    axes.xaxis.set_major_formatter(_short)
    axes.set_xlim(left=0)
    add_legend(axes)


def _short(count: float, _position: int) -> str:
    """1500000 as 1.5M."""
    unit, letter = next(((unit, letter) for unit, letter in ((1e6, "M"), (1e3, "k")) if count >= unit), (1, ""))
    return f"{count / unit:,g}{letter}"
