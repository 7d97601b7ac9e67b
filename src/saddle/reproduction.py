"""Published tables, run again: what is missing is trained and scored; published and measured stand side by side."""

from __future__ import annotations

import os
import platform
import shlex
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from hashlib import sha256
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from saddle.api import Run, train_config
from saddle.config import Config, load_recipe, resolve
from saddle.errors import ConfigError
from saddle.evaluation import evaluate
from saddle.files import write_text
from saddle.progress import Progress, Silent
from saddle.scores import Evaluation, Score, read_evaluations


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


class Reproduction(NamedTuple):
    """A table as far as it has been run.

    Args:
        table: the original.
        lines: in its order.
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
    seeds: int | None = None,
    quick: bool = False,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Train and score whatever of a table is not there yet, then write it as Markdown.

    Args:
        name: of the table.
        out: folder for the runs, ``NAME/ROW/seed-N``, and the page, ``NAME.md``; ``reproductions`` if not given, and
            a folder of its own for a quick one.
        seeds: runs of each row, instead of the table's.
        quick: a smoke run, whose figures mean nothing.
        settings: on top of all others, nested, such as a shorter length.
        progress: who is told.

    Raises:
        SaddleError: see ``saddle.train`` and ``saddle.evaluate``; the same call goes on where it stopped.
    """
    table, progress = load_table(name), progress or Silent()
    seeds = 1 if quick else table.seeds if seeds is None else seeds
    if seeds < 1:
        raise ConfigError("there is nothing to run", expected="at least 1 seed", got=seeds)
    out = out or Path("reproductions-quick" if quick else "reproductions")
    lines: list[Line] = []
    for row in table.rows:
        found: list[_Scored] = []
        for seed in range(seeds):
            layers = [row.settings, table.quick.settings if quick else {}, settings or {}, {"seed": seed}]
            config = resolve(load_recipe(row.recipe), *layers)
            folder = out / name / _folder_name(row.name) / f"seed-{seed}"
            progress.say(f"{name}: {row.name}, seed {seed}")
            count = table.quick.count if quick else row.count or table.count
            found.append(_scored(row, table, config, folder, count, progress))
        lines += _lines(row, table, found, quick=quick)
    page = out / f"{name}.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    command = ["saddle", "reproduce", name, *(["--quick"] if quick else ["--seeds", str(seeds)])]
    write_text(page, _markdown(table, lines, command, settings or {}, quick))
    return Reproduction(table, lines, page)


class _Scored(NamedTuple):
    """One run, scored."""

    scores: dict[str, Score]
    images_seen: int
    length: int
    minutes: float


def _scored(row: Row, table: Table, config: Config, folder: Path, count: int, progress: Progress) -> _Scored:
    run, _ = train_config(config, out=folder, progress=progress)
    file = run.folder.best if row.generator == "best" and run.folder.best.is_file() else run.folder.generator
    figures = row.figures or table.figures
    kept = read_evaluations(run.folder).get(file.name)
    if kept is None or not _holds(kept, file, figures, count, table.draws):
        path = run.path if file == run.folder.generator else file
        kept = evaluate(path, metrics=figures, count=count, seeds=table.draws, device="auto", progress=progress)
    log = run.log
    return _Scored({name: kept[name] for name in figures}, kept.images_seen, _length(run), log[-1]["seconds"] / 60)


def _holds(kept: Evaluation, file: Path, figures: Sequence[str], count: int, draws: int) -> bool:
    """Whether the scores that are there are those that are wanted, of the file as it is now."""
    if kept.generator != sha256(file.read_bytes()).hexdigest():
        return False
    have = {score.metric for score in kept.scores if score.count == count and score.seeds == draws}
    return have.issuperset(figures)


def _length(run: Run) -> int:
    return run.log[-1]["images"]


def _lines(row: Row, table: Table, found: Sequence[_Scored], *, quick: bool) -> list[Line]:
    lengths = sorted({scored.length for scored in found})
    runs = f"{len(found)} × {lengths[-1] / 1e6:.3g} M"
    if row.generator == "best":
        runs += f", best at {statistics.median(scored.images_seen for scored in found) / 1e6:.3g} M"
    lines: list[Line] = []
    for name in row.figures or table.figures:
        scores = [scored.scores[name] for scored in found]
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
        published = row.published.get(name, "")
        lines.append(Line(row.name, first.title, published, goal, measured, floor, runs, samples))
    if row.collapsed is not None:
        figure, limit = row.collapsed
        number = sum(scored.scores[figure].value < limit for scored in found)
        share = f"{number} of {len(found)}"
        lines.append(Line(row.name, f"collapsed (fewer than {limit:g} {figure})", "", "", share, "", runs, ""))
    return lines


def _markdown(
    table: Table, lines: Sequence[Line], command: Sequence[str], settings: Mapping[str, Any], quick: bool
) -> str:
    head = ("system", "figure", "published", "goal", "measured", "floor", "runs × images seen", "samples")
    rows = [f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *lines)]
    for key, value in _dotted(settings):
        command = [*command, "--set", f"{key}={value}"]
    machine = f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores, torch {version('torch')}"
    parts = [
        f"## {table.title}",
        f"Source: {table.source}.",
        *(["**A smoke run: these figures mean nothing.**"] if quick else []),
        *([table.note] if table.note else []),
        f"`{shlex.join(command)}` on {machine}. Measured: mean ± standard deviation over the runs' seeds. Floor: what "
        "real samples score in the place of generated ones.",
        "\n".join(rows),
    ]
    return "\n\n".join(parts) + "\n"


def _dotted(layer: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in layer.items():
        found += _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return found


def _folder_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")
