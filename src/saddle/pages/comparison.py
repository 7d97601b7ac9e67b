"""Runs held against each other: the settings that differ, figures, curves and samples."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saddle.base.files import write_text
from saddle.config import Config, difference, load_config
from saddle.config.keys import role
from saddle.config.section import Role
from saddle.errors import RunError
from saddle.health.course import health_of
from saddle.pages.html import figure, left_out, page, paragraph, section, table
from saddle.pages.pictures import read_picture
from saddle.runs.edits import in_force, in_words, read_edits
from saddle.runs.folder import RunFolder
from saddle.runs.log import Log, figure_names, last_figures, series
from saddle.runs.reading import Say
from saddle.runs.scores import Evaluation, Score, is_stale, read_evaluations
from saddle.show.plots import overlay_plot

_NONE = "–"  # where a run has no such score
_CURVES = (
    ("discriminator_loss", "loss of D", "The loss of the discriminator."),
    ("generator_loss", "loss of G", "The loss of the generator."),
    ("d_real", "D(x)", "The mean output of D on real samples."),
    ("d_fake", "D(G(z))", "The mean output of D on generated samples."),
    ("nats", "nats", "The negative log-likelihood of training images."),
)


@dataclass(frozen=True)
class Entrant:
    """A run and what was read from its folder.

    Args:
        scores: taken during training.
        evaluation: of ``scored``: the last generator, or the best one if only that was scored.
        damage: what could not be read, in sentences.
    """

    name: str
    folder: RunFolder
    config: Config
    log: Log
    scores: Log
    evaluation: Evaluation | None
    scored: Path
    damage: tuple[str, ...]


@dataclass(frozen=True)
class ScoreRow:
    """One score of the runs, in words: their values by one ``protocol``, – where a run has none, * after the best."""

    metric: str
    title: str
    values: tuple[str, ...]
    better: str
    protocol: str


@dataclass(frozen=True)
class Comparison:
    """Runs held against each other, in words.

    Args:
        runs: two or more, with names that tell them apart.
        settings: those that differ, as (dotted key, value in each run).
        figures: of the last log entry, as (name, value in each run).
        scores: of the evaluations.
        notes: warnings.
    """

    runs: tuple[Entrant, ...]
    settings: list[tuple[str, ...]]
    figures: list[tuple[str, ...]]
    scores: list[ScoreRow]
    notes: list[str]

    @property
    def names(self) -> list[str]:
        return [run.name for run in self.runs]

    @property
    def verdict(self) -> str:
        """Which runs are not scored yet and how to do that, then what the scores of the others show."""
        said: list[str] = []
        unscored = [run for run in self.runs if run.evaluation is None]
        if unscored:
            commands = "; ".join(shlex.join(["saddle", "evaluate", str(run.folder.path)]) for run in unscored)
            said.append(f"Not scored yet: {', '.join(run.name for run in unscored)}. To score: {commands}")
        if len(unscored) >= len(self.runs) - 1:
            return "\n".join([*said, "Scores cannot be compared before at least two runs are scored."])
        values = [[value for value in row.values if value != _NONE] for row in self.scores]
        if all(len(row) < 2 for row in values):
            said.append("No score can be compared: no two runs were scored by the same protocol on the same data.")
        elif any(value.endswith("*") for row in values for value in row):
            said.append(
                "Each line compares one score of the runs; * marks the best one where it is ahead of the next by more "
                "than their two spreads added."
            )
        else:
            said.append(
                "Each line compares one score of the runs. In none of them is the best one ahead of the next by more "
                "than their two spreads added, so these scores do not say which run is better."
            )
        return "\n".join(said)


def compare(paths: Sequence[Path]) -> Comparison:
    """Read the runs in ``paths``.

    Raises:
        RunError: fewer than two, one given twice, or a folder without a run.
        ConfigError: the config of a run is unreadable.
    """
    if len(paths) < 2:
        raise RunError("there is nothing to compare", expected="two runs or more", got=", ".join(map(str, paths)) or 0)
    places = [path.resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if not RunFolder(path).exists():
            raise RunError(f"{path} holds no run", expected="a folder that saddle train made")
        if places.count(place) > 1:
            raise RunError(f"{path} is given twice", expected="different runs")
    runs = tuple(_read(name, RunFolder(path)) for name, path in zip(_names(places), paths, strict=True))
    return Comparison(runs, _settings(runs), _figures(runs), _score_rows(runs), _notes(runs))


def write_comparison(found: Comparison, out: Path) -> None:
    """Write one self-contained HTML page.

    Raises:
        SaddleError: it cannot be written.
    """
    names = found.names
    settings = table(found.settings, ("setting", *names)) if found.settings else paragraph("All are the same.")
    figures = table(found.figures, ("at the end", *names))
    damage = [note for run in found.runs for note in run.damage]
    samples = "".join(_samples(run, damage.append) for run in found.runs)
    sections = [
        section("Settings that differ", settings),
        section("Figures", figures + _score_table(found)),
        section("Curves", _curves(found)),
        section("Samples", f'<div class="pair">{samples}</div>'),
        left_out(damage),
    ]
    write_text(out, page(f"Comparison of {', '.join(names)}", "", sections))


def _names(places: Sequence[Path]) -> list[str]:
    """Each folder's name, with as many parents as it takes to tell it from the others."""
    depths = [1] * len(places)
    while True:
        names = [str(Path(*place.parts[-depth:])) for place, depth in zip(places, depths, strict=True)]
        shared = Counter(names)
        if len(shared) == len(places):
            return names
        depths = [depth + (shared[name] > 1) for name, depth in zip(names, depths, strict=True)]


def _read(name: str, folder: RunFolder) -> Entrant:
    damage: list[str] = []
    say = damage.append
    scored = read_evaluations(folder, say)
    only_best = folder.generator.name not in scored and folder.best.name in scored
    file = folder.best if only_best else folder.generator
    config, log, scores = load_config(folder.config), folder.read_log(say), folder.read_scores(say)
    return Entrant(name, folder, config, log, scores, scored.get(file.name), file, tuple(damage))


def _settings(runs: Sequence[Entrant]) -> list[tuple[str, ...]]:
    rows = difference(*(run.config for run in runs))
    return [(key, *("–" if value is None else _setting(key, value) for value in values)) for key, *values in rows]


def _setting(key: str, value: Any) -> str:
    return str(value)[:12] if key == "data.fingerprint" else str(value)  # enough to tell two from each other


def _figures(runs: Sequence[Entrant]) -> list[tuple[str, ...]]:
    columns: list[dict[str, str]] = []
    for run in runs:
        last: Mapping[str, Any] = run.log[-1] if run.log else {}
        seconds = f"{last['seconds']:,.1f}" if "seconds" in last else "–"
        columns.append({"images seen": f"{last.get('images', 0):,}", "seconds": seconds, **last_figures(run.log)})
        if (health := health_of(run.config, run.log)) is not None:
            columns[-1]["health"] = health.now.kind
    names = dict.fromkeys(name for column in columns for name in column)  # runs of another kind have others
    return [(name, *(column.get(name, _NONE) for column in columns)) for name in names]


def _score_rows(runs: Sequence[Entrant]) -> list[ScoreRow]:
    found: dict[tuple[str, str], dict[str, Score]] = {}
    for run in runs:
        if run.evaluation is None:
            continue
        for score in run.evaluation.scores:
            found.setdefault((score.metric, f"{score.protocol} on {score.data}"), {})[run.name] = score
    metrics = list(dict.fromkeys(metric for metric, _ in found))
    rows: list[ScoreRow] = []
    for (metric, protocol), scores in sorted(found.items(), key=lambda item: metrics.index(item[0][0])):
        some = next(iter(scores.values()))
        best = None if some.better is None else _best(scores)
        values = tuple(_value(scores.get(run.name), best=run.name == best) for run in runs)
        rows.append(ScoreRow(metric, some.full_title, values, some.better or "", protocol))
    return rows


def _value(score: Score | None, *, best: bool) -> str:
    return _NONE if score is None else score.with_spread + (" *" if best else "")


def _best(scores: Mapping[str, Score]) -> str | None:
    """Who is ahead of the next by more than chance explains; a score without spread cannot show that."""
    known = [(name, score) for name, score in scores.items() if math.isfinite(score.value)]
    if len(known) < 2:
        return None
    sign = 1 if known[0][1].better == "higher" else -1
    (name, first), (_, second) = sorted(known, key=lambda item: -sign * item[1].value)[:2]
    if first.spread is None or second.spread is None:
        return None
    return name if sign * (first.value - second.value) > first.spread + second.spread else None


def _edits(run: Entrant) -> list[tuple[str, str]]:
    """What was changed while a run was trained: after how many images, and what."""
    try:
        return [(f"{edit.images:,} images", in_words(edit)) for edit in in_force(read_edits(run.folder.edits))]
    except RunError as error:
        return [("some images", error.what)]


def _notes(runs: Sequence[Entrant]) -> list[str]:
    notes = [note for run in runs for note in run.damage]
    for run in runs:
        notes += [f"{run.name} was edited after {images}: {words}" for images, words in _edits(run)]
        if run.evaluation is None:
            continue
        if run.scored == run.folder.best:
            seen = f"{run.evaluation.images_seen:,}"
            notes.append(f"{run.name}: these are the scores of its best generator, after {seen} images")
        if is_stale(run.folder, run.scored.name, run.evaluation):
            notes.append(f"{run.name}: these scores belong to an earlier state of the generator; evaluate it again")
        notes += [f"{run.name}: {note}" for note in run.evaluation.notes]
    return notes


def _score_table(found: Comparison) -> str:
    verdict = "".join(map(paragraph, found.verdict.splitlines()))
    if not found.scores:
        return verdict
    rows = [(row.title, *row.values, row.better, row.protocol) for row in found.scores]
    caption = "The spread is that of sampling; training again with another seed would add its own."
    html = table(rows, ("score", *found.names, "better", "protocol"), caption=caption)
    damage = {note for run in found.runs for note in run.damage}  # which has a section of its own
    return html + verdict + "".join(paragraph(note) for note in found.notes if note not in damage)


def _curves(found: Comparison) -> str:
    logs = {run.name: run.log for run in found.runs}
    drawn = [
        figure(overlay_plot(logs, key, label), caption)
        for key, label, caption in _CURVES
        if any(len(series(log, key)[0]) for log in logs.values())
    ]
    games = any(key.startswith("game.") for key, *_ in found.settings)
    remark = paragraph("The games differ: compare the shapes of these curves rather than their levels.")
    html = f'<div class="pair">{"".join(drawn)}</div>' if drawn else paragraph("Nothing logged yet.")
    return (remark if games and drawn else "") + html + _score_curves(found)


def _score_curves(found: Comparison) -> str:
    drawn: list[str] = []
    counts = Counter(name for run in found.runs for name in figure_names(run.scores))
    for metric in (name for name, count in counts.items() if count > 1):
        configs = [run.config for run in found.runs if metric in figure_names(run.scores)]
        # What would make the heights of the lines mean different things.
        changes = [key for key, *_ in difference(*configs)]
        apart = [key for key in changes if key.startswith("data.") or role(key) == Role.SCORES]
        remark = f" Their levels cannot be compared, since they differ in {', '.join(apart)}." if apart else ""
        logs = {run.name: run.scores for run in found.runs}
        drawn.append(figure(overlay_plot(logs, metric, metric, score=True), f"{metric} during training.{remark}"))
    return f'<h3>Scores during training</h3><div class="pair">{"".join(drawn)}</div>' if drawn else ""


def _samples(run: Entrant, say: Say) -> str:
    for images, path in reversed(run.folder.sample_grids()):
        if (latest := read_picture(path, say)) is not None:
            return figure(latest.content, f"{run.name}: generated after {images:,} images.")
    return paragraph(f"{run.name}: no samples yet.")
