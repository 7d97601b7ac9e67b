"""``saddle pause``, ``resume``, ``stop``, ``save`` and ``edit``: what is asked of a run while it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saddle.cli.tables import print_line

if TYPE_CHECKING:
    from saddle.runs.control import Do

_Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run that is being trained.")]


def pause(run: _Run) -> None:
    """Let a run save a checkpoint and wait. The process stays, and `saddle resume` lets it go on."""
    _ask(run, "pause", "is paused at")


def resume(run: _Run) -> None:
    """Let a paused run go on. A run that was stopped is resumed by `saddle train`."""
    _ask(run, "resume", "goes on from")


def stop(run: _Run) -> None:
    """Let a run save everything and end. The command that started it resumes it."""
    _ask(run, "stop", "has ended, and everything is saved, at")


def save(run: _Run) -> None:
    """Let a run save a checkpoint and its generator now."""
    _ask(run, "save", "is saved at")


def edit(
    run: _Run,
    settings: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE", help="Such as game.r1=10; several are one edit.")
    ],
) -> None:
    """Change settings of a run while it is trained.

    `saddle settings` says which may change while a run goes on. The change holds from the next round on and is written
    to edits.jsonl with its position, so that the run can be repeated: `saddle train --edits`.
    """
    from saddle.config import parse_settings

    _ask(run, "edit", "is edited at", parse_settings(settings))


def _ask(path: Path, do: Do, done: str, settings: Mapping[str, Any] | None = None) -> None:
    from saddle.config import load_config
    from saddle.runs.control import ask, wait_for
    from saddle.runs.edits import in_words, read_edits
    from saddle.runs.folder import RunFolder
    from saddle.runs.status import read_status

    run = RunFolder(path)
    if not wait_for(ask(run, do, settings)):
        print_line(f"{path} has been asked, and comes to it between two of its rounds")
    elif do == "edit":
        last = read_edits(run.edits)[-1]
        print_line(f"{path} {done} {last.images:,} images: {in_words(last)}")
    else:
        print_line(f"{path} {done} {read_status(run, load_config(run.config)).progress}")
