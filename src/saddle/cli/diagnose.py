"""``saddle diagnose``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.tables import print_line


def diagnose(
    source: Annotated[Path, typer.Argument(metavar="RUN|CSV", help="A run folder, or another tool's losses as CSV.")],
    out: Annotated[Path | None, typer.Option(help="The page; diagnosis.html in the run folder, or beside it.")] = None,
) -> None:
    """Is my loss normal? A run beside runs like it.

    Says the verdict, how runs like it went, and what to change first; writes a page with the curves.
    """
    from saddle.pages.diagnosis import diagnose as find

    found = find(source, out)
    for line in found.lines:
        print_line(line)
    print_line(str(found.page))
