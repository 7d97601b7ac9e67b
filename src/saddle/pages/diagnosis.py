"""Is my loss normal? A run's curves beside those of runs like it that went well and badly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saddle.base.files import write_text
from saddle.config import load_config
from saddle.errors import RunError
from saddle.health.course import health_of, length
from saddle.health.library import Curve, as_log, like, usual
from saddle.health.losses import judge_losses, read_losses
from saddle.pages.html import check_page, figure, left_out, page, paragraph, section, table
from saddle.runs.folder import RunFolder
from saddle.runs.log import Log, series
from saddle.show.plots import beside_plot

_SHOWN = (
    ("discriminator_loss", "loss of D"),
    ("generator_loss", "loss of G"),
    ("d_real", "D(x)"),
    ("d_fake", "D(G(z))"),
    ("variety", "variety"),
    ("coverage", "coverage"),
)


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Args:
        lines: in words.
        page: where the page is.
    """

    lines: tuple[str, ...]
    page: Path


@dataclass(frozen=True)
class _Case:
    """What is held beside the library: entries whose images are thousandths of the run, and what is said of it."""

    name: str
    log: list[dict[str, Any]]
    words: list[str]
    curves: list[Curve]
    of: str
    notes: list[str]


def diagnose(source: Path, out: Path | None = None) -> Diagnosis:
    """Write the page on a run, or on a CSV file of another tool's losses.

    Args:
        source: a run folder, or a file.
        out: where; None: ``diagnosis.html`` in the run folder, or beside the file.

    Raises:
        RunError: there is no run, its log is empty, or the file has other columns.
        SaddleError: the page cannot be written.
    """
    check_page(out)
    is_run = source.is_dir()
    case = _of_run(RunFolder(source)) if is_run else _of_file(source)
    rows = [row for key, label in _SHOWN if (row := _row(case, key, label)) is not None]
    lines = [
        *case.words,
        *(f"{label}: {now}; runs {case.of} that went well: {well}; badly: {badly}" for label, now, well, badly in rows),
    ]
    plots = [
        figure(beside_plot(case.log, [as_log(each) for each in case.curves if each.went_well],
                           [as_log(each) for each in case.curves if not each.went_well], key, label),
               f"{label}: this run in black, runs {case.of} that went well in blue, and that went badly in orange.")
        for key, label in _SHOWN
        if len(series(case.log, key)[0])
    ]  # fmt: skip
    head = ("over the last quarter of the length", "this run", "runs that went well", "runs that went badly")
    sections = [
        section("Verdict", "".join(map(paragraph, case.words))),
        section(f"Beside runs {case.of}", table(rows, head) + f'<div class="pair">{"".join(plots)}</div>'),
        left_out(case.notes),
    ]
    path = out or (source / "diagnosis.html" if is_run else source.with_suffix(".diagnosis.html"))
    write_text(path, page(f"{case.name}: is it normal?", "", sections))
    return Diagnosis(tuple(lines), path)


def _of_run(run: RunFolder) -> _Case:
    if not run.exists():
        raise RunError(f"{run.path} holds no run", expected="a folder that saddle train made, or a CSV file")
    notes: list[str] = []
    config, log = load_config(run.config), run.read_log(notes.append)
    if not log:
        raise RunError(f"the log of {run.path} has no lines yet", remedy="train it until its first log line")
    total = length(config, log)
    words = ["No look at samples is in the log, so its health is not known; see `saddle health`."]
    if (health := health_of(config, log)) is not None:
        words = [health.now.words, *([f"First: {health.now.advice}"] if health.now.advice else [])]
    found = like(config.recipe, config.game.loss)
    if not found:
        words.append(f"The library holds no runs of {config.recipe}, nor any with the loss {config.game.loss}.")
    same = all(curve.recipe == config.recipe for curve in found)
    of = f"of {config.recipe}" if same else f"with the loss {config.game.loss}"
    return _Case(run.path.resolve().name, _shares(log, total), words, found, of, notes)


def _of_file(path: Path) -> _Case:
    losses = read_losses(path)
    _, words, advice = judge_losses(losses)
    log = [
        {"images": 1000 * (place + 1) / len(values), name: value}
        for name, values in (("discriminator_loss", losses.discriminator), ("generator_loss", losses.generator))
        for place, value in enumerate(values)
    ]
    return _Case(path.name, log, [words, f"First: {advice}"], like("", "non_saturating"), "with the usual loss", [])


def _shares(log: Log, total: int) -> list[dict[str, Any]]:
    return [{**entry, "images": 1000 * entry["images"] / total} for entry in log]


def _row(case: _Case, key: str, label: str) -> tuple[str, str, str, str] | None:
    """A figure at the end of this run and of others, in words."""
    images, values = series(case.log, key)
    if not len(images):
        return None
    share = images[-1] / 1000
    late = values[images > images[-1] - 250]
    ranges = [usual(case.curves, key, share, went_well=went_well) for went_well in (True, False)]
    well, badly = ("–" if found is None else f"{found[0]:.3g} to {found[1]:.3g}" for found in ranges)
    return label, f"{late.mean():.3g}", well, badly
