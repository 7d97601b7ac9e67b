"""The page of a table: what was published beside what was measured, read off the run folders each time."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from saddle.base.files import write_text
from saddle.config import Config, difference, load_config, load_recipe, resolve
from saddle.config.keys import decides, role
from saddle.config.resolve import inline_toml, settle
from saddle.config.schedules import lengths_in
from saddle.config.section import Role
from saddle.errors import SaddleError
from saddle.features.extractors import SHIPPED
from saddle.health.course import Health, health_of
from saddle.reproduction.tables import Row, Table
from saddle.runs.edits import in_force, read_edits
from saddle.runs.folder import RunFolder
from saddle.runs.scores import Score, read_evaluations
from saddle.scoring.evaluate import ERRORS
from saddle.scoring.measures import UNSAMPLED

DEFAULT_FOLDER = Path("reproductions")
# What does not make other runs of them: a command line tells seeds and lengths apart from settings, data and machine
# decide others, and what is written down on the way changes nothing.
_NOT_SETTINGS = (Role.SEED, Role.LENGTH, Role.THREADS, Role.WATCH, Role.EVENTS)
_FOUND = ("device", "data.fingerprint")


class Line(NamedTuple):
    """One figure of one system, in words, and by the seed of each run in ``values``."""

    system: str
    figure: str
    published: str
    goal: str
    measured: str
    floor: str
    runs: str
    samples: str
    values: Mapping[int, float] = {}


_HEAD = ("system", "figure", "published", "goal", "measured", "floor", "runs × images seen", "samples")


class Place(NamedTuple):
    """Where a table's runs are, and what they are."""

    name: str
    table: Table
    out: Path
    quick: bool

    @property
    def folder(self) -> Path:
        return self.out / "quick" if self.quick else self.out

    @property
    def page(self) -> Path:
        return self.folder / f"{self.name}.md"

    @property
    def figures_file(self) -> Path:
        """The page's figures for programs."""
        return self.folder / f"{self.name}.json"

    def runs(self, row: Row) -> Path:
        return self.folder / self.name / row.folder

    def layers(self, row: Row) -> list[Mapping[str, Any]]:
        return [row.settings, self.table.quick.settings if self.quick else {}]

    def count(self, row: Row) -> int:
        return self.table.quick.count if self.quick else row.count or self.table.count

    def figures(self, row: Row) -> tuple[str, ...]:
        return row.figures or self.table.figures


def scored_file(run: RunFolder, row: Row) -> Path:
    return run.best if row.generator == "best" else run.generator


def has_reached(run: RunFolder, config: Config, *, beyond: bool = False) -> bool:
    """Whether the run has come to the end that ``config`` sets, or gone ``beyond``: it may have been stopped before."""
    log = run.read_log()
    if not log:
        return False
    at, end = (log[-1]["images"], config.images) if config.images else (log[-1]["epoch"], config.epochs or 0)
    return at > end if beyond else at >= end - 1e-4  # the log rounds epochs to four digits


class _Finished(NamedTuple):
    """A run that came to its end.

    Args:
        seed: of it.
        scores: by figure; empty of a run that diverged.
        images_seen: by the generator that was scored.
        length: images seen by the run.
        share: of the row's length.
        options: of the command that makes it, apart from the row and the seed.
        precision: that it was trained in.
        machine: that made it.
        first_alarm: the images seen when the alarm first said that something is wrong; None where it never did, and of
            a row that does not ask.
        last_alarm: since when it says so at the end of the run; None where it does not.
    """

    seed: int
    scores: dict[str, Score]
    images_seen: int
    length: int
    share: float
    options: tuple[str, ...]
    precision: str
    machine: str
    first_alarm: int | None
    last_alarm: int | None


def _finished(place: Place, row: Row) -> list[list[_Finished]]:
    """The finished runs of a row, those with equal lengths and settings together, the longest first."""
    whole = resolve(load_recipe(row.recipe), *place.layers(row))
    groups: dict[tuple[str, ...], list[_Finished]] = {}  # runs in two precisions make two rows
    numbers = [path.name.removeprefix("seed-") for path in place.runs(row).glob("seed-*")]
    for number in sorted(int(text) for text in numbers if text.isdecimal()):
        folder = place.runs(row) / f"seed-{number}"
        try:
            found = _read(RunFolder(folder), row, whole, place)
        except (SaddleError, OSError, ValueError, KeyError):  # damaged: no reason to lose the other rows
            continue
        if found is not None:
            groups.setdefault((*found.options, found.precision), []).append(found)
    return sorted(groups.values(), key=lambda group: -group[0].share)


def _read(run: RunFolder, row: Row, whole: Config, place: Place) -> _Finished | None:
    """What came of a run, or None while it is unfinished or not scored by this table's protocol.

    One that was edited while it was trained is no run of its settings, and does not count.
    """
    if not run.exists() or not run.environment.is_file():
        return None
    if any(edit.turn or any(map(decides, edit.set)) for edit in in_force(read_edits(run.edits))):
        return None
    config = load_config(run.config)
    # What the row writes as a share of the length is, in a run, a share of that run's length; a run that was begun for
    # another length is another run, and says so by its settings.
    total = config.images or max(lengths_in(config.model_dump()), default=1)
    share, options = _options(settle(whole, {}, total=total), config)
    machine = _machine(run.read_environment())
    log = run.read_log()
    length = log[-1]["images"] if log else 0
    health = health_of(config, log) if row.collapsed is not None else None
    alarms = _alarms(health) if health is not None else (None, None)
    if run.diverged.is_file():
        return _Finished(config.seed, {}, 0, length, share, options, config.precision, machine, *alarms)
    file = scored_file(run, row)
    kept = read_evaluations(run).get(file.name)
    if kept is None or not has_reached(run, config) or sha256(file.read_bytes()).hexdigest() != kept.generator:
        return None
    scores: dict[str, Score] = {}
    for name in place.figures(row):
        fits = [score for score in kept.scores if score.metric == name and _is_of(score, config, row, place)]
        if fits:  # a user may have scored it by another extractor, too
            scores[name] = max(fits, key=lambda score: any(shipped in score.protocol for shipped in SHIPPED))
    if not set(place.figures(row)) <= set(scores):
        return None
    return _Finished(config.seed, scores, kept.images_seen, length, share, options, config.precision, machine, *alarms)


def _alarms(health: Health) -> tuple[int | None, int | None]:
    """The images seen when a run first had an alarm, and since when it has one without a break."""
    first = last = None
    for verdict in health.told:
        last = (verdict.images if last is None else last) if verdict.is_alarm else None
        first = last if first is None else first
    return first, last


def _is_of(score: Score, config: Config, row: Row, place: Place) -> bool:
    """Whether a score is of this table's protocol, held against the run's own data."""
    unsampled = {ERRORS.name, *UNSAMPLED}
    taken = score.metric in unsampled or (score.count, score.seeds) == (place.count(row), place.table.draws)
    return taken and (config.data.fingerprint or "")[:8] in score.data


def _options(whole: Config, config: Config) -> tuple[float, tuple[str, ...]]:
    """The share of the row's length, and the options that make such a run of it."""
    changed = [(key, new) for key, old, new in difference(whole, config) if new is not None and old != "auto"]
    changes = [(key, new) for key, new in changed if role(key) not in _NOT_SETTINGS and key not in _FOUND]
    settings = [f"{key}={inline_toml(new)}" for key, new in changes]
    ends = (whole.images, config.images) if whole.images and config.images else (whole.epochs, config.epochs)
    share = _share(ends[1], ends[0]) if ends[0] and ends[1] else None  # none: told in the other unit
    length = ["--length", repr(share)] if share is not None and share < 1 else []
    if share is None or share > 1:
        settings.append(f"images={config.images}" if config.images else f"epochs={config.epochs}")
    return share or 1.0, (*length, *(part for setting in settings for part in ("--set", setting)))


def _share(part: float, whole: float) -> float:
    """The share as somebody may have typed it: the shortest number that gives ``part`` of ``whole`` exactly."""
    exact = part / whole
    shorter = (float(f"{exact:.{digits}g}") for digits in range(1, 17))
    return next((share for share in shorter if whole * share == part), exact)


def _machine(environment: Mapping[str, Any]) -> str:
    parts = environment["processor"], f"{environment['cores']} cores", f"torch {environment['torch']}"
    return ", ".join((environment["platform"].partition("-")[0], environment["device"], *parts))


def write_page(place: Place) -> list[Line]:
    """Write the page of all finished runs; its lines."""
    found = {row.name: _finished(place, row) for row in place.table.rows}
    lines = [line for row in place.table.rows for group in found[row.name] for line in _lines(row, place, group)]
    write_text(place.page, _markdown(place, found, lines))
    figures = {
        "table": place.name,
        "quick": place.quick,
        "note": place.table.note,
        "commands": _commands(place, found),
        "lines": [line._asdict() for line in lines],
    }
    write_text(place.figures_file, json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    return lines


def _lines(row: Row, place: Place, group: Sequence[_Finished]) -> list[Line]:
    good = [run for run in group if run.scores]
    lengths = sorted({run.length for run in group})
    runs = (
        f"{len(group)} × "
        + " to ".join(f"{length / 1e6:.3g}" for length in lengths[:: max(1, len(lengths) - 1)])
        + " M"
        + (f", {group[0].share:.3g} of the length" if group[0].share < 1 else "")
    )
    if group[0].precision != "float32":
        runs += f", {group[0].precision}"
    changed = "--set" in group[0].options
    if changed:
        runs += ", other settings"
    if row.generator == "best" and good:
        runs += f", best at {statistics.median(run.images_seen for run in good) / 1e6:.3g} M"
    diverged = len(group) - len(good)
    if diverged:
        runs += f", {diverged} diverged"
    judged = not place.quick and not changed
    lines = [
        _line(row, name, {run.seed: run.scores[name] for run in good}, runs, diverged=diverged, judged=judged)
        for name in place.figures(row)
    ]
    if row.collapsed is not None:
        figure, limit = row.collapsed
        failed = [run for run in group if not run.scores or run.scores[figure].value < limit]
        name = f"collapsed: fewer than {limit:g} {figure}"
        lines.append(Line(row.name, name, "", "", f"{len(failed)} of {len(group)}", "", runs, ""))
        for which, since, of in (
            ("collapsed runs with an alarm at the end", "since", {run.seed: run.last_alarm for run in failed}),
            (
                "other runs that ever had an alarm",
                "first after",
                {run.seed: run.first_alarm for run in group if run not in failed},
            ),
        ):
            told = {seed: float(images) for seed, images in of.items() if images is not None}
            when = f", {since} {statistics.median(told.values()) / 1e6:.3g} M images (median)" if told else ""
            lines += (
                [Line(row.name, which, "", "", f"{len(told)} of {len(of)}{when}", "", runs, "", told)] if of else []
            )
    return lines


def _line(row: Row, name: str, scores: Mapping[int, Score], runs: str, *, diverged: int, judged: bool) -> Line:
    published = row.published.get(name, "")
    if not scores:
        return Line(row.name, name, published, "", "diverged", "", runs, "")
    by_seed = {seed: score.value for seed, score in scores.items()}
    values, first = [*by_seed.values()], next(iter(scores.values()))
    mean = statistics.fmean(values)
    measured = f"{mean:.4g}" + (f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else "")
    goal = ""
    if name in row.goal and judged:
        aim = row.goal[name]
        reached = not diverged and (mean >= aim if first.better == "higher" else mean <= aim)
        goal = f"{'≥' if first.better == 'higher' else '≤'} {aim:g}: {'reached' if reached else 'missed'}"
    floor = "" if first.floor is None else f"{first.floor:.4g}"
    samples = f"{first.count:,}" + (f" × {first.seeds}" if first.seeds > 1 else "")
    return Line(row.name, first.title, published, goal, measured, floor, runs, samples, by_seed)


def _markdown(place: Place, found: Mapping[str, list[list[_Finished]]], lines: Sequence[Line]) -> str:
    table = place.table
    words = [line[: len(_HEAD)] for line in lines]
    rows = [f"| {' | '.join(map(str, line))} |" for line in (_HEAD, ("---",) * len(_HEAD), *words)]
    missing = [name for name, groups in found.items() if not groups]
    parts = [
        f"## {table.title}",
        f"Source: {table.source}.",
        *(["**A smoke run: these figures mean nothing.**"] if place.quick else []),
        *([table.note] if table.note else []),
        "Measured: mean ± standard deviation over the runs' seeds. Floor: what real samples score in the place of "
        "generated ones. A share of the length means that the runs were **cut short** there.",
        "\n".join(rows),
        "\n".join(f"- {command}" for command in _commands(place, found)),
        *([f"Not run yet: {'; '.join(missing)}."] if missing else []),
    ]
    return "\n\n".join(parts) + "\n"


def _commands(place: Place, found: Mapping[str, list[list[_Finished]]]) -> list[str]:
    """The commands that make the runs of the page, rows with equal options in one."""
    same: dict[tuple[tuple[str, ...], str, tuple[int, ...]], list[str]] = {}
    for name, groups in found.items():
        for group in groups:
            options = ("--seeds", str(max(run.seed for run in group) + 1), *group[0].options)
            machine = "; ".join(dict.fromkeys(run.machine for run in group))
            same.setdefault((options, machine, tuple(run.seed for run in group)), []).append(name)
    lines: list[str] = []
    for (options, machine, seeds), names in same.items():
        chosen = [] if len(names) == len(found) else [part for name in names for part in ("--row", name)]
        out = [] if place.out == DEFAULT_FOLDER else ["--out", str(place.out)]
        quick = ["--quick"] if place.quick else []
        command = shlex.join(["saddle", "reproduce", place.name, *quick, *chosen, *options, *out])
        some = "" if seeds == tuple(range(len(seeds))) else f"; of these seed {', '.join(map(str, seeds))}"
        lines.append(f"`{command}` on {machine}{some}")
    return lines
