"""The report: one HTML file that shows everything about a run and needs no other file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from saddle.base.files import write_text
from saddle.config import Config, difference, load_config, to_toml
from saddle.config.augment import ADAConfig
from saddle.data.named.points import is_points, parse
from saddle.errors import RunError
from saddle.health.course import health_of
from saddle.pages.html import figure, left_out, page, paragraph, section, table
from saddle.pages.pictures import PictureFile, read_picture
from saddle.runs.edits import in_force, in_words, read_edits, read_parent
from saddle.runs.folder import RunFolder
from saddle.runs.log import DRAWABLE, Log, best_entry, figure_names, last_figures, series
from saddle.runs.reading import Say
from saddle.runs.scores import Evaluation, is_stale, read_evaluations
from saddle.runs.scores import table as score_rows
from saddle.runs.status import read_status, resume_command
from saddle.show.animation import save_animation
from saddle.show.figure import join_pictures
from saddle.show.grid import save_picture
from saddle.show.plots import (
    augment_plot,
    distance_plot,
    error_plot,
    health_plot,
    loss_plot,
    moment_plot,
    nats_plot,
    output_plot,
    score_plot,
)

_SEEN = "Real images, and below each row what augmentation made of it for D when the last samples were drawn."
_MOMENTS = 6  # sample pictures shown side by side
_FRAMES = 60  # of the animation, at most
_JUDGEMENTS = ("non_saturating", "saturating", "least_squares", "relativistic")  # D says 1 for real, 0 for generated
_PIXELS = 2**28  # in all frames together, at most
_LONGEST_SIDE = 16_383  # of a WebP picture
_REST = 8  # times that the last frame is repeated before the animation starts again

T = TypeVar("T")


@dataclass(frozen=True)
class Plot:
    """A plot for the report; the caption must also serve those who cannot see it."""

    caption: str
    picture: Image.Image


def write_report(run: RunFolder, notes: Sequence[str] = ()) -> Path:
    """Write ``run.report``, and beside it what the report shows: ``run.curves`` and ``run.animation``.

    The curves need a log line or a score, the animation at least two sample pictures. Whatever the run has not produced
    yet is left out or said to be missing. What is damaged is left out, and the page says so.

    Args:
        run: a folder that holds at least a config.
        notes: what was left out before.

    Returns:
        The path of the report.

    Raises:
        ConfigError: the run's config is missing or unreadable.
        SaddleError: a file cannot be written; the earlier report then stays.
    """
    config, damage = load_config(run.config), list(notes)
    say = damage.append
    log, environment = run.read_log(say), run.read_environment(say)
    recorded = environment.pop("command", None)
    lead = paragraph(f"Recipe {config.recipe}") + _facts(config, log, environment)
    evaluations, scored = read_evaluations(run, say), run.read_scores(say)
    edits, marks = _edits(run, say)
    curves, scores = _training_plots(config, log, marks), _score_plots(scored, config, evaluations, marks)
    if curves or scores:
        save_picture(join_pictures([plot.picture for plot in (*curves, *scores)]), run.curves)
    sections = [
        section("Samples", _samples(run, config, say)),
        section("Training", _pair(curves) if log else paragraph("Nothing logged yet.")),
        _health(config, log),
        _scores(run, scores, evaluations),
        _picture("Real data", run.data_preview, f"Samples of {config.data.source}.", say),
        _picture("What D sees", run.augmented, _SEEN, say),
        _picture(
            "Interpolation", run.interpolation, "Each row: samples in equal steps from one latent to another.", say
        ),
        section("Edits", edits) if edits else "",
        section("Settings", _settings(config)),
        section("Environment", table(environment.items()) if environment else paragraph("Not recorded.")),
        section("Use", _commands(run, config, recorded)),
        left_out(damage),
    ]
    write_text(run.report, page(run.path.resolve().name, lead, sections))
    return run.report


def _facts(config: Config, log: Log, environment: Mapping[str, Any]) -> str:
    last: Mapping[str, Any] = log[-1] if log else {}
    facts = {
        "images seen": f"{last.get('images', 0):,}" + (f" of {config.images:,}" if config.images else ""),
        "epochs": f"{last.get('epoch', 0):,.4g}" + (f" of {config.epochs:,g}" if config.epochs else ""),
        **last_figures(log),
        "device": environment.get("device", "–"),
    }
    items = (f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>" for name, value in facts.items())
    return f"<dl>{''.join(items)}</dl>"


def _samples(run: RunFolder, config: Config, say: Say) -> str:
    read = [(images, read_picture(path, say)) for images, path in _evenly(run.sample_grids(), _FRAMES)]
    grids = [(images, file) for images, file in read if file is not None]
    if not grids:
        return paragraph("No samples yet.")
    images, latest = grids[-1]
    paired = config.data.pairs != "none"
    given = "inputs and noise" if paired else "latents"
    caption = f"Generated after {images:,} images, from {given} that stay the same for the whole run."
    if paired:
        caption += " The inputs are held-out ones, if there are any: no training has seen them."
    if config.conditional is True:
        caption += " In a grid of images, each row is a class and each column a latent."
    html = figure(latest.content, caption)
    if len(grids) == 1:
        return html
    if frames := _frames(grids):
        save_animation([*frames, *[frames[-1]] * _REST], run.animation)
        caption = f"The same {given} from {grids[0][0]:,} to {images:,} images."
        film = figure(run.animation.read_bytes(), caption, "webp")
        # It can be folded away, since moving pictures disturb some readers.
        html = f'<div class="pair">{html}<details open><summary>Animation</summary>{film}</details></div>'
    moments = [figure(file.content, f"{images:,} images") for images, file in _evenly(grids, _MOMENTS)]
    return f'{html}<h3>Over time</h3><div class="moments">{"".join(moments)}</div>'


def _frames(grids: Sequence[tuple[int, PictureFile]]) -> list[Image.Image]:
    """The pictures that an animation can hold: of one size, and not too large; none where these are fewer than two."""
    width, height = size = grids[-1][1].size
    alike = [file for _, file in grids if file.size == size]
    most = min(_FRAMES, _PIXELS // (width * height))
    fits = min(most, len(alike)) >= 2 and max(size) <= _LONGEST_SIDE
    return [file.decode() for file in _evenly(alike, most)] if fits else []


def _training_plots(config: Config, log: Log, marks: Sequence[int]) -> list[Plot]:
    if not log:
        return []
    if config.learner == "likelihood":
        caption = "The negative log-likelihood of training images, each batch before it was learned from. What came in "
        caption += "the first tenth may lie above the picture."
        return [Plot(caption, nats_plot(log, marks))]
    judgement = config.game.loss in _JUDGEMENTS
    text = " At the dashed line it cannot tell real from generated." if judgement else ""
    plots = [
        Plot("The losses of the discriminator and the generator.", loss_plot(log, marks)),
        Plot(f"The mean output of D.{text}", output_plot(log, marks, judgement=judgement)),
    ]
    if config.game.loss != "relativistic" and len(series(log, "loss_real")[0]):  # there D has one error, on pairs
        plots.append(Plot("The errors of D on real and on generated samples, and of G.", error_plot(log, marks)))
    if len(series(log, "l1")[0]):
        caption = "The mean absolute difference of outputs and targets in training, in the range of G's output."
        plots.append(Plot(caption, distance_plot(log, marks)))
    if len(series(log, "augment_p")[0]):
        target = config.game.augment.target if isinstance(config.game.augment, ADAConfig) else None
        text = "" if target is None else f" The dashed line: the r_t that ADA aims at, {target:g}."
        caption = f"The probability of each transformation of what D sees, and r_t, the mean sign of D(x).{text}"
        plots.append(Plot(caption, augment_plot(log, target, marks)))
    if len(series(log, "sample_mean")[0]):
        truth = parse(config.data.source).coordinate if is_points(config.data.source) else None
        known = (None, None) if truth is None else (truth.mean, truth.std)
        text = "" if truth is None else " The dashed lines are the true ones."
        caption = f"Mean and standard deviation of values generated from the fixed latents.{text}"
        plots.append(Plot(caption, moment_plot(log, *known, marks)))
    return plots


def _health(config: Config, log: Log) -> str:
    """What looks at samples say; nothing where there was none."""
    if (found := health_of(config, log)) is None:
        return ""
    html = paragraph(f"Now: {found.now.kind}. {found.now.words} {found.now.advice}".strip())
    alarms = [verdict.images for verdict in found.told if verdict.is_alarm]
    caption = "How varied samples are, and how much of the data they come near; real samples have 1, the dashed line."
    html += figure(health_plot(log, alarms), caption + (" The dotted lines: alarms." if alarms else ""))
    rows = [(f"{verdict.images:,}", verdict.kind, verdict.words) for verdict in found.told]
    return section("Health", html + table(rows, ("after images", "verdict", "evidence")))


def _score_plots(
    scores: Log, config: Config, evaluations: Mapping[str, Evaluation], marks: Sequence[int]
) -> list[Plot]:
    """The scores taken during training, if any."""
    metric = config.evaluate.metric
    if not len(series(scores, metric)[0]):
        return []
    best, floors = best_entry(scores, metric), _floors(config, evaluations)
    caption = f"Scores during training, of {config.evaluate.count:,} samples each."
    if best is not None:
        caption += f" The dot: the best by {metric}, after {best['images']:,} images."
    if floors.keys() & figure_names(scores):
        caption += " The dashed line: what real samples score."
    return [Plot(caption, score_plot(scores, metric, floors, marks))]


def _floors(config: Config, evaluations: Mapping[str, Evaluation]) -> dict[str, tuple[float, str]]:
    """What real samples score, and by which protocol, where an evaluation measured that.

    Only where it took as many generated and as many real samples as the training did: scores depend on their number.
    """
    count = config.evaluate.count
    return {
        score.metric: (score.floor, score.protocol)
        for found in evaluations.values()
        for score in found.scores
        if score.floor is not None
        and abs(score.floor) < DRAWABLE
        and score.count == count
        and (score.floor_of or "").startswith(f"{count:,} ")
        and (config.evaluate.extractor or "") in score.protocol
    }


def _scores(run: RunFolder, plots: Sequence[Plot], evaluations: Mapping[str, Evaluation]) -> str:
    html = _pair(plots)
    for name, found in evaluations.items():
        html += _evaluation(name, found, stale=is_stale(run, name, found))
    return section("Scores", html) if html else ""


def _evaluation(name: str, found: Evaluation, *, stale: bool) -> str:
    head, *rows = score_rows(found)
    titled = [[score.full_title, *others] for score, (_, *others) in zip(found.scores, rows, strict=True)]
    notes = [f"These scores belong to an earlier state of {name}; evaluate it again."] if stale else []
    caption = f"{name} after {found.images_seen:,} images"
    paragraphs = map(paragraph, (*notes, *found.footnotes, *found.notes))
    return table(titled, head, caption=caption) + "".join(paragraphs)


def _evenly(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` (two or more) items, evenly spaced, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def _pair(plots: Sequence[Plot]) -> str:
    """The plots side by side; nothing without any."""
    pictures = "".join(figure(plot.picture, plot.caption) for plot in plots)
    return f'<div class="pair">{pictures}</div>' if plots else ""


def _picture(title: str, path: Path, caption: str, say: Say) -> str:
    file = read_picture(path, say)
    return "" if file is None else section(title, figure(file.content, caption))


def _edits(run: RunFolder, say: Say) -> tuple[str, list[int]]:
    """What was changed while the run was trained, and where it was forked, as markup; and where that was."""
    parent = read_parent(run, say)
    html = paragraph(f"This run was forked from {parent}.") if parent else ""
    try:
        edits = read_edits(run.edits, say)
    except RunError as error:
        say(error.what)
        return html, []
    rows = [(f"{edit.images:,}", in_words(edit)) for edit in edits]
    html += table(rows, ("after images", "what was changed while it was trained")) if rows else ""
    return html, [edit.images for edit in in_force(edits)]


def _settings(config: Config) -> str:
    # The recipe's name and the length have no defaults.
    rows = difference(Config(recipe=config.recipe, epochs=config.epochs, images=config.images), config)
    html = table(rows, ("setting", "default", "this run")) if rows else paragraph("All have their default values.")
    return f"{html}<details><summary>All settings</summary><pre>{escape(to_toml(config))}</pre></details>"


def _commands(run: RunFolder, config: Config, recorded: str | None) -> str:
    folder = shlex.quote(str(run.path))
    command = resume_command(run, config) or recorded
    finished = read_status(run, config).state == "finished"
    html = paragraph("The run is finished. It was made by this command." if finished else "This resumes the run.")
    html += f"<pre>{escape(command)}</pre>" if command else ""
    if config.data.pairs != "none":
        sample = escape(f"saddle sample {folder} --input FOLDER --out OUTPUTS")
        return f"{html}<p>To translate a folder of pictures:</p><pre>{sample}</pre>"
    sample = escape(f"saddle sample {folder} --count 64 --seed 1 --out samples.png")
    return f"{html}<p>To draw samples:</p><pre>{sample}</pre>"
