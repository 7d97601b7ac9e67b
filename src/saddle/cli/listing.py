"""``saddle list``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saddle.cli.tables import print_line, print_table

if TYPE_CHECKING:
    from saddle.runs.folder import RunFolder
    from saddle.runs.reading import Say


def list_runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to look; folders below it count too.")] = Path(
        "runs"
    ),
) -> None:
    """List runs with their state, progress and last score."""
    from saddle.runs.status import find_runs

    notes: list[str] = []
    rows = [_row(run, notes.append) for run in find_runs(folder)]
    if rows:
        print_table([("run", "recipe", "state", "progress", "last score", "last written"), *rows])
        for note in notes:
            print(f"warning: {note}", file=sys.stderr)
        print("\n`saddle info RUN` tells everything about one.")
    else:
        print_line(f"there are no runs in {folder}; `saddle train digits` makes one in runs/digits")


def _row(run: RunFolder, say: Say) -> tuple[str, ...]:
    from saddle.config import load_config
    from saddle.errors import SaddleError
    from saddle.runs.status import read_status

    try:
        config = load_config(run.config)
        status = read_status(run, config, say)
    except OSError as error:  # one damaged run does not hide the others
        say(f"{run.path}: {error.strerror or error}")
        return str(run.path), "", "damaged", "", "", ""
    except SaddleError as error:
        reasons = [error.what, *(" ".join(str(reason).split()) for reason in (error.got, *error.details) if reason)]
        say(": ".join(reasons[:2]))
        return str(run.path), "", "damaged", "", "", ""
    score = "" if status.score is None else f"{status.score[0]} {status.score[1]:.4g}"
    written = f"{status.written:%Y-%m-%d %H:%M}"
    return str(run.path), config.recipe, status.state, status.progress, score, written
