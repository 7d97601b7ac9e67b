"""The report: one HTML file that shows all of a run and needs no other file."""

from __future__ import annotations

import base64
import io
import json
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, TypeVar

from PIL import Image

from saddle.config import Config, difference, load_config
from saddle.data.points import is_points, parse
from saddle.files import write_text
from saddle.runs import RunFolder
from saddle.show.animation import save_animation
from saddle.show.plots import Log, error_plot, loss_plot, moment_plot, output_plot, series

_MOMENTS = 6  # sample pictures shown side by side
_FRAMES = 60  # of the animation, at most
_JUDGEMENTS = ("non_saturating", "saturating", "least_squares")  # losses whose D ends at 1 for real, 0 for generated
_REST = 8  # times that the last frame is repeated before the animation starts again

T = TypeVar("T")


@dataclass(frozen=True)
class Figure:
    """A picture for the report; the caption must also serve those who cannot see it."""

    caption: str
    picture: Image.Image


def write_report(run: RunFolder, *, extra: Sequence[Figure] = ()) -> Path:
    """Write ``run.report`` and, where there are at least two sample pictures, ``run.animation``.

    What the run has not produced yet is left out or said to be missing.

    Args:
        run: a folder that holds at least a config.
        extra: further figures, shown after the curves.

    Returns:
        The path of the report.

    Raises:
        ConfigError: the run's config is missing or unreadable.
        SaddleError: a file cannot be written; the earlier report then stays.
    """
    config, log, environment = load_config(run.config), run.read_log(), _read_environment(run)
    command = environment.pop("command", None)
    template = Template(resources.files("saddle.show").joinpath("page.html").read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(run.path.resolve().name),
        recipe=escape(config.recipe),
        facts=_facts(config, log, environment),
        samples=_samples(run),
        plots=_plots(config, log, extra),
        pictures=_picture("Real data", run.data_preview, f"Samples of {config.data.source}.")
        + _picture("Interpolation", run.interpolation, "From one latent to another in equal steps."),
        settings=_settings(config),
        config=escape(run.config.read_text(encoding="utf-8")),
        environment=_table(environment.items()) if environment else "<p>Not recorded.</p>",
        commands=_commands(run, command),
    )
    write_text(run.report, page)
    return run.report


def _read_environment(run: RunFolder) -> dict[str, Any]:
    return json.loads(run.environment.read_text(encoding="utf-8")) if run.environment.is_file() else {}


def _facts(config: Config, log: Log, environment: Mapping[str, Any]) -> str:
    last: Mapping[str, Any] = log[-1] if log else {}
    speeds = [entry["images_per_second"] for entry in log if entry.get("images_per_second")]
    facts = {
        "images seen": f"{last.get('images', 0):,}" + (f" of {config.images:,}" if config.images else ""),
        "epochs": f"{last.get('epoch', 0):,.4g}" + (f" of {config.epochs:,g}" if config.epochs else ""),
        "loss of D": _number(last.get("discriminator_loss")),
        "loss of G": _number(last.get("generator_loss")),
        "D(x)": _number(last.get("d_real")),
        "D(G(z))": _number(last.get("d_fake")),
        "images per second": f"{statistics.median(speeds):,.0f}" if speeds else "–",
        "device": environment.get("device", "–"),
    }
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>" for name, value in facts.items())


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _samples(run: RunFolder) -> str:
    grids = run.sample_grids()
    if not grids:
        return "<p>No samples yet.</p>"
    images, latest = grids[-1]
    html = _figure(_file(latest), f"Generated after {images:,} images, from latents fixed for the whole run.")
    if len(grids) == 1:
        return html
    frames = [_read_picture(path) for _, path in _evenly(grids, _FRAMES)]
    save_animation([*frames, *[frames[-1]] * _REST], run.animation)
    film = _figure(_file(run.animation), f"The same latents from {grids[0][0]:,} to {images:,} images.")
    # It folds away, for those whom moving pictures disturb.
    html = f'<div class="pair">{html}<details open><summary>Animation</summary>{film}</details></div>'
    moments = [_figure(_file(path), f"{images:,} images") for images, path in _evenly(grids, _MOMENTS)]
    return f'{html}<h3>Over time</h3><div class="moments">{"".join(moments)}</div>'


def _plots(config: Config, log: Log, extra: Sequence[Figure]) -> str:
    curves: list[Figure] = []
    if log:
        curves.append(Figure("The losses of the discriminator and the generator.", loss_plot(log)))
        judgement = config.game.loss in _JUDGEMENTS
        text = " At the dashed line it cannot tell real from generated." if judgement else ""
        curves.append(Figure(f"The mean output of D.{text}", output_plot(log, judgement=judgement)))
        if config.game.loss != "relativistic" and len(series(log, "loss_real")[0]):  # there D has one error, on pairs
            curves.append(Figure("The errors of D on real and on generated samples, and of G.", error_plot(log)))
        if len(series(log, "sample_mean")[0]):
            truth = parse(config.data.source).coordinate if is_points(config.data.source) else None
            known = (None, None) if truth is None else (truth.mean, truth.std)
            text = "" if truth is None else "; dashed, the true ones"
            caption = f"Mean and standard deviation of values generated from the fixed latents{text}."
            curves.append(Figure(caption, moment_plot(log, *known)))
    figures = "".join(_figure(_png(figure.picture), figure.caption) for figure in (*curves, *extra))
    return ("" if log else "<p>Nothing logged yet.</p>") + f'<div class="pair">{figures}</div>'


def _evenly(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` (two or more) items, evenly spaced, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def _picture(title: str, path: Path, caption: str) -> str:
    return f"<section><h2>{title}</h2>{_figure(_file(path), caption)}</section>" if path.is_file() else ""


def _settings(config: Config) -> str:
    # The recipe's name and the length have no defaults.
    rows = difference(Config(recipe=config.recipe, epochs=config.epochs, images=config.images), config)
    return _table(rows, ("setting", "default", "this run")) if rows else "<p>All as by default.</p>"


def _commands(run: RunFolder, command: str | None) -> str:
    folder = shlex.quote(str(run.path))
    html = "<p>To go on after a stop, start the run once more with the same command.</p>"
    if command:
        html += f"<pre>{escape(command)}</pre>"
    sample = escape(f"saddle sample {folder} --count 64 --seed 1 --out samples.png")
    return f"{html}<p>To draw samples:</p><pre>{sample}</pre>"


def _table(rows: Iterable[Sequence[Any]], head: Sequence[str] = ()) -> str:
    """A table whose rows are named by their first cell."""
    html = "<tr>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in head) + "</tr>" if head else ""
    for name, *values in rows:
        cells = "".join(f"<td>{escape('–' if value is None else str(value))}</td>" for value in values)
        html += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    return f"<table>{html}</table>"


def _figure(source: str, caption: str) -> str:
    text = escape(caption)
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return _data("png", buffer.getvalue())


def _file(path: Path) -> str:
    return _data(path.suffix[1:], path.read_bytes())


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _read_picture(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.copy()
