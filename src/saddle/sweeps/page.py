"""The page of a sweep: the best settings, the score against each setting, and all trials."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from saddle.base.files import write_text
from saddle.pages.html import Link, figure, page, paragraph, section, table
from saddle.runs.folder import RunFolder
from saddle.show.scatter import Dot, scatter_plot
from saddle.sweeps.results import Sweep, Trial, rows, shown
from saddle.sweeps.space import Choices, Range, Space

_BEST = 3  # trials whose settings stand side by side
_LUCK = (
    "Each trial is one run with the same seed, and the best of many is the best partly by luck: train the best "
    "settings with other seeds before you rely on small differences."
)


def write_page(found: Sweep, name: str, recipe: str, space: Space, own: Mapping[str, Any]) -> None:
    """Write ``found.page``.

    Args:
        found: what came of the sweep.
        name: of the sweep; ``recipe``: of what it trains.
        space: what is varied.
        own: what the recipe itself sets for these keys, as far as it does.
    """
    lead = (
        f"Recipe {recipe}, {len(found.trials)} trials: {found.counts}. Score: {found.metric}, {found.better} is better."
    )
    longer = "" if found.command is None else f"<p>This trains them longer.</p><pre>{escape(found.command)}</pre>"
    sections = [
        section("Best settings", _best(found, space, own) + longer),
        section("Score against each setting", _plots(found, space)),
        section("All trials", _trials(found, space)),
    ]
    write_text(found.page, page(f"Sweep {name}", paragraph(lead), sections))


def _best(found: Sweep, space: Space, own: Mapping[str, Any]) -> str:
    best = [trial for trial in found.trials if trial.state == "finished"][:_BEST]
    if not best:
        return paragraph("No trial is finished yet.")
    head = ("setting", "searched", "recipe", *(f"trial {trial.number}" for trial in best))
    lines: list[tuple[str, ...]] = [(f"score ({found.metric})", "", "", *(shown(trial.score) for trial in best))]
    for key, values in space.items():
        lines.append((key, str(values), shown(own.get(key)), *(shown(trial.settings.get(key)) for trial in best)))
    return table(lines, head) + paragraph(_LUCK)


def _plots(found: Sweep, space: Space) -> str:
    drawn = [_plot(found, key, values) for key, values in space.items()]
    if not any(drawn):
        return paragraph("Nothing to draw yet.")
    return f'<div class="pair">{"".join(drawn)}</div>'


def _plot(found: Sweep, key: str, values: Range | Choices) -> str:
    dots = [
        Dot(_place(values, trial.settings[key]), trial.score, trial.state)
        for trial in found.trials
        if trial.state != "unfinished" and key in trial.settings
    ]
    if not dots:
        return ""
    log = isinstance(values, Range) and values.log
    choices = [shown(value) for value in values.values] if isinstance(values, Choices) else ()
    caption = f"{found.metric} of each trial against {key}; {found.better} is better."
    if any(dot.score is None for dot in dots):
        caption += " Trials without a score are marked at the upper edge."
    return figure(scatter_plot(dots, key, found.metric, log=log, choices=choices), caption)


def _place(values: Range | Choices, value: Any) -> float:
    return float(value) if isinstance(values, Range) else float(values.values.index(value))


def _trials(found: Sweep, space: Space) -> str:
    head, *lines = rows(found.trials, space, found.metric)
    linked = [(_linked(found, trial), *line[1:]) for trial, line in zip(found.trials, lines, strict=True)]
    return table(linked, head) if linked else paragraph("None yet.")


def _linked(found: Sweep, trial: Trial) -> Link | str:
    report = RunFolder(trial.path).report
    if not report.is_file():  # not trained, or on another machine
        return str(trial.number)
    return Link(str(trial.number), report.relative_to(found.page.parent).as_posix())
