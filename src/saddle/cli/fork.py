"""``saddle fork``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.tables import print_line


def fork(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder of a population.")],
    member: Annotated[int, typer.Option(metavar="NUMBER", help="Which member, from 0.")],
    out: Annotated[Path, typer.Option(help="The run folder that is made.")],
) -> None:
    """Take one member out of a population, as a run of its own.

    It stands at the population's last checkpoint, and `saddle train` resumes it.
    """
    from saddle.api import fork as take
    from saddle.runs.status import resume_command

    made = take(run, member=member, out=out)
    command = resume_command(made.folder, made.config)
    print_line(f"{out} is at {made.status.progress}" + (f"; resume: {command}" if command else ""))
