"""``saddle health``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.tables import print_line


def health(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    member: Annotated[int | None, typer.Option(help="Of a population, the number of the member.")] = None,
) -> None:
    """Say whether a run is well, and what to try."""
    import sys

    from saddle.health.course import read_health
    from saddle.runs.folder import RunFolder, find_member

    found = read_health(RunFolder(find_member(run, member)))
    for note in found.notes:
        print(f"warning: {note}", file=sys.stderr)
    for verdict in found.told:
        print_line(f"{verdict.images:>12,}  {verdict.kind:<17} {verdict.words}")
    print_line(f"now: {found.now.kind}. {found.now.words}")
    if found.now.advice:
        print_line(found.now.advice)
