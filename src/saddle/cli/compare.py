"""``saddle compare``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.tables import print_line, print_table


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Two or more run folders.")],
    out: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path("compare.html"),
) -> None:
    """Compare runs: settings that differ, figures and scores.

    Curves and samples stand in an HTML page.
    """
    from saddle.pages.comparison import compare as read
    from saddle.pages.comparison import write_comparison
    from saddle.pages.html import check_page

    check_page(out)
    found = read(runs)
    write_comparison(found, out)
    if found.settings:
        print_table([("setting", *found.names), *found.settings])
    else:
        print("all settings are the same")
    print()
    print_table([("at the end", *found.names), *found.figures])
    if found.scores:
        print()
        rows = [(row.metric, *row.values, row.better, row.protocol) for row in found.scores]
        print_table([("score", *found.names, "better", "protocol"), *rows])
    print()
    for line in found.verdict.splitlines():
        print_line(line)
    for note in found.notes:
        print(f"warning: {note}", file=sys.stderr)
    print()
    print_line(f"curves and samples in {out}")
