"""``saddle info``"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saddle.base.sizes import readable_size
from saddle.cli.tables import print_line
from saddle.cli.train import ended

if TYPE_CHECKING:
    from saddle.config import Config
    from saddle.runs.folder import RunFolder
    from saddle.runs.reading import Say
    from saddle.runs.status import Status


def info(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]) -> None:
    """Show everything about one run, and how to resume it."""
    from saddle.config import load_config
    from saddle.errors import RunError
    from saddle.runs.folder import RunFolder
    from saddle.runs.status import read_status

    folder = RunFolder(run)
    if not folder.exists():
        raise RunError(f"{run} holds no run", expected="a folder that saddle train made", remedy="see `saddle list`")
    config = load_config(folder.config)
    notes: list[str] = []
    status = read_status(folder, config, notes.append)
    folder.read_environment(notes.append)  # it is not shown, but the command that resumes is in it
    for name, text in (*_facts(config, folder, status), *_steered(folder, notes.append), *_scores(folder, config)):
        print(textwrap.fill(f"{name + ':':<14}{text}", 110, subsequent_indent=" " * 14, break_on_hyphens=False))
    print("files:")
    for name, size in _files(run):
        print_line(f"  {name:<26}{size:>10}")
    if not status.is_held:
        print_line(_resume(folder, config, longer=status.state == "finished"))
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)


def _facts(config: Config, run: RunFolder, status: Status) -> Iterator[tuple[str, str]]:
    from saddle.base.progress import duration
    from saddle.health.course import health_of
    from saddle.runs.log import last_figures

    data, split = config.data, "" if config.data.split == "train" else f", split {config.data.split}"
    if data.pairs != "none":
        split += f", pairs: {data.inputs or data.pairs}"
    threads = "" if config.threads == "auto" else f", CPU threads: {config.threads}"
    yield "run", str(run.path)
    yield "recipe", config.recipe
    yield "data", f"{data.source}{split}" + (f", fingerprint {data.fingerprint[:12]}" if data.fingerprint else "")
    yield "seed", str(config.seed)
    if config.members > 1:
        lost = [member.path.name for member in run.all_members() if member.diverged.is_file()]
        yield "members", f"{config.members}" + (f", of which {', '.join(lost)} diverged" if lost else "")
    yield "device", f"{config.device}{threads}"
    yield "state", status.state
    if status.state == "diverged":
        yield "why", run.read_diverged() or "–"
    yield "progress", status.progress
    if not status.is_held and status.saved < status.images:
        yield "last saved", f"after {status.saved:,} images"
    if status.seconds is not None:
        yield "trained for", duration(status.seconds)
    yield "last written", f"{status.written:%Y-%m-%d %H:%M:%S}"
    log = run.read_log()
    if (health := health_of(config, log)) is not None:
        yield "health", f"{health.now.kind}. {health.now.words} {health.now.advice}".strip()
    figures = last_figures(log)
    if known := [f"{name} {value}" for name, value in figures.items() if value != "–"]:
        yield "last figures", ", ".join(known)


def _steered(run: RunFolder, say: Say) -> Iterator[tuple[str, str]]:
    """Where the run comes from, and what was changed while it was trained."""
    from saddle.errors import RunError
    from saddle.runs.edits import in_words, read_edits, read_parent

    if (parent := read_parent(run, say)) is not None:
        yield "parent", parent
    try:
        edits = read_edits(run.edits, say)
    except RunError as error:
        say(error.what)
        return
    for edit in edits:
        yield "edit", f"after {edit.images:,} images: {in_words(edit)}"


def _scores(run: RunFolder, config: Config) -> Iterator[tuple[str, str]]:
    from saddle.runs.log import best_entry
    from saddle.runs.scores import is_stale, read_evaluations

    metric = config.evaluate.metric
    if best := best_entry(run.read_scores(), metric):
        yield "best score", f"{metric} {best[metric]:.4g} after {best['images']:,} images, kept in {run.best.name}"
    for name, evaluation in read_evaluations(run).items():
        scores = ", ".join(f"{score.metric} {score.with_spread}" for score in evaluation.scores)
        stale = " (of an earlier state of the file)" if is_stale(run, name, evaluation) else ""
        yield "scores", f"{scores}; of {name} after {evaluation.images_seen:,} images{stale}"


def _resume(run: RunFolder, config: Config, *, longer: bool) -> str:
    from saddle.config.schedules import lengths_in
    from saddle.runs.status import longer_command, resume_command

    if (whole := run.population) is not None:
        return f"to train it further, take it out: saddle fork {whole.path} --member {int(run.path.name)} --out FOLDER"
    if longer:
        twice = {"images": config.images and 2 * config.images, "epochs": config.epochs and 2 * config.epochs}
        config = config.model_copy(update=twice)
    # The command is in one line, however long, to be copied.
    if longer and lengths_in(config.model_dump()):
        command = longer_command(run, config)
        return f"train twice as long{ended(config)}" + (f": {command}" if command else "")
    command = resume_command(run, config)
    what = "train twice as long" if longer else "resume"
    return f"{what}: {command}" if command else f"{what}: by the Python call that started the run"


def _files(run: Path) -> Iterator[tuple[str, str]]:
    for entry in sorted(run.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if entry.is_symlink():
            yield entry.name, "link"
        elif entry.is_dir():
            inside = [Path(place, name) for place, _, names in os.walk(entry) for name in names]
            yield f"{entry.name}/ ({len(inside)} files)", _size(*inside)
        elif not entry.name.startswith("."):
            yield entry.name, _size(entry)


def _size(*files: Path) -> str:
    count = 0
    for file in files:
        with suppress(OSError):  # a running run deletes old checkpoints
            count += file.lstat().st_size
    return readable_size(count)
