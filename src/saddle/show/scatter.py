"""Scores of many runs against one of their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from PIL import Image

from saddle.base.text import one_line
from saddle.show.figure import GENERATED, GREY, REAL, add_axes, add_legend, new_figure, to_picture

_FAR = 20  # times the smallest score: these are drawn on a logarithmic axis
_LONGEST = 22  # letters of a choice below the axis


class Dot(NamedTuple):
    """A run.

    Args:
        place: the setting's value, or the number of the choice.
        score: None where the run has none: it is then marked at the upper edge.
        state: how the run ended.
    """

    place: float
    score: float | None
    state: Literal["finished", "pruned", "failed"]


_MARKS: dict[str, dict[str, Any]] = {
    "finished": {"marker": "o", "color": REAL},
    "pruned": {"marker": "o", "color": GREY, "markerfacecolor": "none"},
    "failed": {"marker": "x", "color": GENERATED},
}


def scatter_plot(
    dots: Sequence[Dot], label: str, metric: str, *, log: bool = False, choices: Sequence[str] = ()
) -> Image.Image:
    """A dot for each run; what ended differently is marked differently.

    Args:
        dots: the runs.
        label: the setting; ``metric``: the score.
        log: whether the setting's axis is logarithmic.
        choices: names of the places 0, 1 and so on; empty where the places are numbers.
    """
    figure = new_figure()
    axes = add_axes(figure)
    axes.set_xlabel(label)
    axes.set_ylabel(metric)
    scores = [dot.score for dot in dots if dot.score is not None]
    if scores and min(scores) > 0 and max(scores) > _FAR * min(scores):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    if log:
        axes.set_xscale("log")
    for state, mark in _MARKS.items():
        scored = [(dot.place, dot.score) for dot in dots if dot.state == state and dot.score is not None]
        others = [dot.place for dot in dots if dot.state == state and dot.score is None]
        if scored:
            axes.plot(*zip(*scored, strict=True), linestyle="none", markersize=5, label=state, **mark)
        if others:  # at the upper edge, whatever the scores are
            edge, name = axes.get_xaxis_transform(), None if scored else state
            axes.plot(
                others, [0.98] * len(others), transform=edge, linestyle="none", markersize=5, label=name, clip_on=False,
                **mark,
            )  # fmt: skip
    if choices:
        axes.set_xlim(-0.5, len(choices) - 0.5)
        names = [one_line(name, _LONGEST) for name in choices]
        long = sum(map(len, names)) > 60
        axes.set_xticks(range(len(choices)), names, rotation=20 if long else 0, ha="right" if long else "center")
        for text in axes.get_xticklabels():
            text.set_parse_math(False)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set_parse_math(False)
    add_legend(axes)
    return to_picture(figure)
