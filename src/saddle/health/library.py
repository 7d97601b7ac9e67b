"""Curves of runs that went well and of runs that went badly, to hold others beside.

``curves.json`` is made by ``benchmarks/alarm.py collect`` of its labelled runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from saddle.runs.log import Log, series

FIGURES = ("discriminator_loss", "generator_loss", "d_real", "d_fake", "variety", "coverage")
_QUARTER = 0.25
_POINTS = 25  # of a curve


class Curve(NamedTuple):
    """A run of the library.

    Args:
        name: in the labelled set.
        recipe, loss: what was trained, and ``game.loss``.
        went_well: it was healthy; else it collapsed, or never learnt.
        share: of the run, of each point.
        figures: by the names in the log, a value for each point, None where there was none.
    """

    name: str
    recipe: str
    loss: str
    went_well: bool
    share: Sequence[float]
    figures: Mapping[str, Sequence[float | None]]

    def up_to(self, share: float, figure: str) -> list[float]:
        """The values of a figure in the quarter of the run that ends at this share of it."""
        pairs = zip(self.share, self.figures.get(figure, ()), strict=False)
        return [value for at, value in pairs if share - _QUARTER < at <= share and value is not None]


@cache
def curves() -> tuple[Curve, ...]:
    """All curves."""
    text = resources.files("saddle.health").joinpath("curves.json").read_text(encoding="utf-8")
    return tuple(Curve(**entry) for entry in json.loads(text))


def like(recipe: str, loss: str) -> list[Curve]:
    """Runs of the recipe; where not both some of them went well and some badly, all runs with the same loss."""
    found = [curve for curve in curves() if curve.recipe == recipe]
    if {curve.went_well for curve in found} == {True, False}:
        return found
    return [curve for curve in curves() if curve.loss == loss]


def usual(found: Sequence[Curve], figure: str, share: float, *, went_well: bool) -> tuple[float, float] | None:
    """The smallest and the largest value that a figure had in runs that went well or badly; None without any.

    Args:
        found: the runs.
        figure: by its name in the log.
        share: of the run; the quarter before it counts.
        went_well: or badly.
    """
    values = [value for curve in found if curve.went_well is went_well for value in curve.up_to(share, figure)]
    return (min(values), max(values)) if values else None


def as_log(curve: Curve) -> list[dict[str, Any]]:
    """A curve as entries of a log, whose images are thousandths of the run."""
    return [
        {"images": round(1000 * share)}
        | {name: values[place] for name, values in curve.figures.items() if values[place] is not None}
        for place, share in enumerate(curve.share)
    ]


def compact(log: Log, total: int) -> tuple[list[float], dict[str, list[float | None]]]:
    """A log as the library keeps it: shares of the run, and the figures at these, to three digits."""
    points = min(_POINTS, len(log))
    places = [log[round((place + 1) * len(log) / points) - 1]["images"] for place in range(points)]
    figures: dict[str, list[float | None]] = {}
    for name in FIGURES:
        images, values = series(log, name)
        if len(images):
            near = [int(abs(images - place).argmin()) for place in places]
            figures[name] = [float(f"{values[place]:.3g}") for place in near]
    return [round(place / total, 3) for place in places], figures
