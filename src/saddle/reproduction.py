"""Published tables, run again: what is missing is trained and scored; published and measured stand side by side."""

from __future__ import annotations

import os
import platform
import shlex
import statistics
import tomllib
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from saddle.api import train_config
from saddle.config import Config, load_config, load_recipe, resolve
from saddle.errors import ConfigError, Diverged
from saddle.evaluation import evaluate
from saddle.files import unwritable, write_text
from saddle.progress import Progress, Silent
from saddle.runs import RunFolder
from saddle.scores import Score

_ROW_FILE = "row.json"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(_Section):
    """One system of a table.

    Args:
        name: as the table calls it.
        recipe: that trains it, with ``settings`` on top.
        generator: which of a run's generators is scored: the last one, or that with the best score in training.
        count: samples for each evaluation, where it is not the table's.
        figures: that are shown, where these are not the table's.
        published: what the source reports, by figure, as it is written there.
        goal: what is to be reached, by figure; whether from above or below, the figure knows.
        collapsed: a figure, and the value below which a run counts as collapsed.
    """

    name: str
    recipe: str
    settings: dict[str, Any] = {}
    generator: Literal["last", "best"] = "last"
    count: PositiveInt | None = None
    figures: tuple[str, ...] | None = None
    published: dict[str, str] = {}
    goal: dict[str, float] = {}
    collapsed: tuple[str, float] | None = None


class Quick(_Section):
    """The smoke run: settings on top of every row's, samples, and one seed."""

    settings: dict[str, Any]
    count: PositiveInt


class Table(_Section):
    """A published table.

    Args:
        title, source: of the original.
        figures: that are shown.
        seeds: runs of each row.
        count: samples for each evaluation, drawn with so many ``draws``.
        note: what a reader must know, such as where the protocol differs.
    """

    title: str
    source: str
    figures: tuple[str, ...]
    seeds: PositiveInt
    count: PositiveInt
    draws: PositiveInt = 1
    note: str = ""
    quick: Quick
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]


class Line(NamedTuple):
    """One figure of one system, in words."""

    system: str
    figure: str
    published: str
    goal: str
    measured: str
    floor: str
    runs: str
    samples: str


class Measured(_Section):
    """What came of one row, kept beside its runs as ``row.json``.

    Args:
        command: that ran it, on ``machine``.
        lines: one for each figure.
    """

    command: str
    machine: str
    lines: tuple[Line, ...]


class Reproduction(NamedTuple):
    """A table as far as it has been run.

    Args:
        table: the original.
        lines: in its order, those of earlier calls among them.
        page: where it was written as Markdown.
    """

    table: Table
    lines: list[Line]
    page: Path


def table_names() -> list[str]:
    """Names of the tables that saddle can run again, sorted."""
    folder = resources.files("saddle") / "tables"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_table(name: str) -> Table:
    """The table called ``name``.

    Raises:
        ConfigError: there is no such table.
    """
    names = table_names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        raise ConfigError(
            f"there is no table {name!r}", expected="one of " + ", ".join(names),
            remedy=f"did you mean {near[0]!r}?" if near else None,
        )  # fmt: skip
    text = (resources.files("saddle") / "tables" / f"{name}.toml").read_text(encoding="utf-8")
    return Table.model_validate(tomllib.loads(text))


def reproduce(
    name: str,
    out: Path | None = None,
    *,
    rows: Collection[str] = (),
    seeds: int | None = None,
    length: float = 1.0,
    quick: bool = False,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Train and score whatever of a table is not there yet, then write it as Markdown.

    Args:
        name: of the table.
        out: folder for the runs, ``NAME/ROW/seed-N``, and the page, ``NAME.md``; ``reproductions`` if not given. Quick
            ones go into its folder ``quick``.
        rows: that are run, by name, all if not given; of the others the page has what earlier calls found.
        seeds: runs of each row, instead of the table's; of a quick one 1.
        length: the share of its length at which each run ends, in (0, 1]; a larger one later goes on from there. Where
            the best generator is scored, the one at that end stays among those it is chosen from.
        quick: a smoke run, whose figures mean nothing.
        settings: on top of all others, nested, such as a shorter length.
        progress: who is told.

    Raises:
        ConfigError: no such table or row, no seeds, no length, or a folder holds longer runs.
        SaddleError: see ``saddle.train`` and ``saddle.evaluate``; the same call goes on where it stopped. A run that
            diverges is counted and does not end the others.
    """
    table, progress, settings = load_table(name), progress or Silent(), settings or {}
    chosen = _choose(table, rows)
    seeds = seeds if seeds is not None else 1 if quick else table.seeds
    if seeds < 1:
        raise ConfigError("there is nothing to run", expected="at least 1 seed", got=seeds)
    if not 0 < length <= 1:
        raise ConfigError("this is no share of a run's length", expected="above 0, at most 1", got=length)
    if "seed" in settings:
        raise ConfigError("a table has its own seeds, 0 and those that follow", remedy="--seeds N says how many")
    out = (out or Path("reproductions")) / ("quick" if quick else "")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    page = out / f"{name}.md"
    options = [
        *(["--quick"] if quick else []),
        *(part for row in rows for part in ("--row", row)),
        "--seeds",
        str(seeds),
    ]
    options += [*(["--length", repr(length)] if length < 1 else []), *_assignments(settings)]
    command = shlex.join(["saddle", "reproduce", name, *options])
    lines = _write(table, out / name, page, quick)
    for row in chosen:
        found: list[_Scored] = []
        for seed in range(seeds):
            layers = [row.settings, table.quick.settings if quick else {}, settings, {"seed": seed}]
            config = _shortened(resolve(load_recipe(row.recipe), *layers), length)
            folder = _folder(out / name, row) / f"seed-{seed}"
            progress.say(f"{name}: {row.name}, seed {seed}")
            count = table.quick.count if quick else row.count or table.count
            found.append(_scored(row, table, config, folder, count, progress))
        measured = Measured(
            command=command, machine=_machine(), lines=tuple(_lines(row, table, found, length, quick=quick))
        )
        write_text(_folder(out / name, row) / _ROW_FILE, measured.model_dump_json(indent=1) + "\n")
        lines = _write(table, out / name, page, quick)
    return Reproduction(table, lines, page)


def _choose(table: Table, names: Collection[str]) -> list[Row]:
    known = {row.name: row for row in table.rows}
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.3)
            raise ConfigError(
                f"the table has no row {name!r}", expected="one of " + "; ".join(known),
                remedy=f"did you mean {near[0]!r}?" if near else None,
            )  # fmt: skip
    return [row for row in table.rows if not names or row.name in names]


class _Scored(NamedTuple):
    """One run, scored.

    Args:
        scores: by figure; empty of a run that diverged.
        images_seen: by the generator that was scored.
        length: images seen by the run.
    """

    scores: dict[str, Score]
    images_seen: int
    length: int


def _scored(row: Row, table: Table, config: Config, folder: Path, count: int, progress: Progress) -> _Scored:
    run = RunFolder(folder)
    if run.exists():
        old = load_config(run.config)
        if _is_longer(old, config) and _has_passed(run, config):
            raise ConfigError(
                f"{folder} holds a longer run", expected=f"at most {_told_length(config)}", got=_told_length(old),
                remedy="give another --out",
            )  # fmt: skip
    try:
        train_config(config, out=folder, progress=progress)
    except Diverged as error:
        progress.say(f"{folder}: {error.what}")
        return _Scored({}, 0, _length(run))
    if row.generator == "best" and not run.best.is_file():
        raise ConfigError(
            f"{folder} has no best generator", remedy="let evaluate.every be above 0, as this table has it"
        )
    figures = row.figures or table.figures
    path = run.best if row.generator == "best" else folder
    found = evaluate(path, metrics=figures, count=count, seeds=table.draws, again=False, progress=progress)
    return _Scored({name: found[name] for name in figures}, found.images_seen, _length(run))


def _shortened(config: Config, share: float) -> Config:
    images, epochs = config.images, config.epochs
    length = {"images": images and max(1, round(images * share)), "epochs": epochs and epochs * share}
    return config.model_copy(update=length)


def _is_longer(old: Config, new: Config) -> bool:
    return (old.epochs or 0) > (new.epochs or 0) or (old.images or 0) > (new.images or 0)


def _has_passed(run: RunFolder, config: Config) -> bool:
    """Whether the run has gone beyond the end that ``config`` sets: it may have been stopped before."""
    log = run.read_log()
    return bool(log) and (log[-1]["images"] > config.images if config.images else log[-1]["epoch"] > config.epochs)


def _told_length(config: Config) -> str:
    return f"{config.images:,} images" if config.images else f"{config.epochs:g} epochs"


def _length(run: RunFolder) -> int:
    log = run.read_log()
    return log[-1]["images"] if log else 0


def _lines(row: Row, table: Table, found: Sequence[_Scored], length: float, *, quick: bool) -> list[Line]:
    good = [scored for scored in found if scored.scores]
    lengths = sorted({scored.length for scored in found})
    runs = (
        f"{len(found)} × "
        + " to ".join(f"{length / 1e6:.3g}" for length in lengths[:: max(1, len(lengths) - 1)])
        + " M"
        + (f", {length:.3g} of the length" if length < 1 else "")
    )
    if row.generator == "best" and good:
        runs += f", best at {statistics.median(scored.images_seen for scored in good) / 1e6:.3g} M"
    if len(good) < len(found):
        runs += f", {len(found) - len(good)} diverged"
    lines = [
        _line(row, name, [scored.scores[name] for scored in good], runs, quick=quick)
        for name in row.figures or table.figures
    ]
    if row.collapsed is not None:
        figure, limit = row.collapsed
        number = len(found) - len(good) + sum(scored.scores[figure].value < limit for scored in good)
        lines.append(
            Line(
                row.name, f"collapsed: fewer than {limit:g} {figure}", "", "", f"{number} of {len(found)}", "", runs, ""
            )
        )
    return lines


def _line(row: Row, name: str, scores: Sequence[Score], runs: str, *, quick: bool) -> Line:
    published = row.published.get(name, "")
    if not scores:
        return Line(row.name, name, published, "", "diverged", "", runs, "")
    values, first = [score.value for score in scores], scores[0]
    mean = statistics.fmean(values)
    measured = f"{mean:.4g}" + (f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else "")
    goal = ""
    if name in row.goal and not quick:
        aim = row.goal[name]
        reached = mean >= aim if first.better == "higher" else mean <= aim
        goal = f"{'≥' if first.better == 'higher' else '≤'} {aim:g}: {'reached' if reached else 'missed'}"
    floor = "" if first.floor is None else f"{first.floor:.4g}"
    samples = f"{first.count:,}" + (f" × {first.seeds}" if first.seeds > 1 else "")
    return Line(row.name, first.title, published, goal, measured, floor, runs, samples)


def _write(table: Table, runs: Path, page: Path, quick: bool) -> list[Line]:
    """Write the page of all rows that there is something of; their lines."""
    found = {row.name: measured for row in table.rows if (measured := _read(_folder(runs, row) / _ROW_FILE))}
    lines = [line for measured in found.values() for line in measured.lines]
    if found:
        write_text(page, _markdown(table, found, lines, quick))
    return lines


def _read(path: Path) -> Measured | None:
    if not path.is_file():
        return None
    try:
        return Measured.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(
            f"{path} cannot be read", expected="what 'saddle reproduce' wrote", remedy="delete it: the runs stay"
        ) from error


def _markdown(table: Table, found: Mapping[str, Measured], lines: Sequence[Line], quick: bool) -> str:
    head = ("system", "figure", "published", "goal", "measured", "floor", "runs × images seen", "samples")
    rows = [f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *lines)]
    missing = [row.name for row in table.rows if row.name not in found]
    commands: dict[tuple[str, str], list[str]] = {}
    for name, measured in found.items():
        commands.setdefault((measured.command, measured.machine), []).append(name)
    told = [f"- `{command}` on {machine}: {'; '.join(names)}" for (command, machine), names in commands.items()]
    parts = [
        f"## {table.title}",
        f"Source: {table.source}.",
        *(["**A smoke run: these figures mean nothing.**"] if quick else []),
        *([table.note] if table.note else []),
        "Measured: mean ± standard deviation over the runs' seeds. Floor: what real samples score in the place of "
        "generated ones. A share of the length means that the runs were **cut short** there.",
        "\n".join(rows),
        "\n".join(told),
        *([f"Not run yet: {'; '.join(missing)}."] if missing else []),
    ]
    return "\n\n".join(parts) + "\n"


def _machine() -> str:
    return f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores, torch {version('torch')}"


def _assignments(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found += _assignments(value, f"{prefix}{key}.")
        else:
            found += ["--set", f"{prefix}{key}={value}"]
    return found


def _folder(runs: Path, row: Row) -> Path:
    return runs / "".join(letter if letter.isalnum() else "-" for letter in row.name.lower()).strip("-")
