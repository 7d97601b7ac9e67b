"""``saddle report``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.tables import print_line


def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]) -> None:
    """Write one self-contained HTML page about a run."""
    from saddle.api import report as write

    print_line(str(write(run)))
