"""``saddle studio``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.tables import print_line


def studio(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the runs are; folders below it count too.")
    ] = Path("runs"),
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Listen for other machines too, such as on 0.0.0.0; the page then asks for a token.  [default: this "
            "machine alone]",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8080,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Start, steer and fork nothing: only look, and play.")
    ] = False,
) -> None:
    """Watch, steer and play with runs in the browser.

    The trainings do not notice when the studio ends. The token is the content of $SADDLE_TOKEN, or is made and shown
    at the start.
    """
    from saddle.studio.listening import studio as listen

    listen(folder, host=host, port=port, read_only=read_only, say=print_line)
