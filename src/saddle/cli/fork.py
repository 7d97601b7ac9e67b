"""``saddle fork``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.tables import print_line


def fork(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder of a run or of a population.")],
    out: Annotated[Path, typer.Option(help="The run folder that is made.")],
    at: Annotated[
        int | None,
        typer.Option(metavar="IMAGES", help="Take the newest checkpoint at or before this.  [default: the newest]"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What changes from there on, as of `saddle edit`; repeatable."),
    ] = None,
    member: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Which member of a population is taken out, from 0.")
    ] = None,
) -> None:
    """Make a new run from a checkpoint or a member of another.

    It stands where the checkpoint was saved, and `saddle train` resumes it.
    """
    from saddle.api import fork as make
    from saddle.config import parse_settings
    from saddle.runs.status import resume_command

    made = make(run, member=member, out=out, at=at, settings=parse_settings(set_ or []))
    command = resume_command(made.folder, made.config)
    print_line(f"{out} is at {made.status.progress}" + (f"; resume: {command}" if command else ""))
