"""``saddle reproduce``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.tables import print_line


def reproduce(
    table: Annotated[
        str | None, typer.Argument(metavar="TABLE", help="The table's name. Without one, all tables are listed.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the runs and the page.  [default: reproductions]")
    ] = None,
    row: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Run only this row; repeatable.  [default: all]")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Runs of each row.  [default: the table's]")] = None,
    length: Annotated[
        float,
        typer.Option(metavar="SHARE", help="End each run at this share of its full length. A larger share resumes it."),
    ] = 1.0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only try that everything works, in seconds; the figures mean nothing.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting for all runs, such as epochs=20; repeatable."),
    ] = None,
) -> None:
    """Run a published table again. The same command resumes where it stopped."""
    from saddle.base.progress import for_stream
    from saddle.config import parse_settings
    from saddle.errors import ConfigError
    from saddle.reproduction.run import reproduce as run
    from saddle.reproduction.tables import load_table, table_names

    if table is None:
        if row or seeds or quick or set_ or out or length != 1:
            raise ConfigError("no table is named", expected="one of " + ", ".join(table_names()))
        for name in table_names():
            print(f"{name:<20}  {load_table(name).title}")
        return
    settings = parse_settings(set_ or [])
    done = run(
        table, out, rows=row or (), seeds=seeds, length=length, quick=quick, settings=settings,
        progress=for_stream(sys.stderr),
    )  # fmt: skip
    print(done.page.read_text(encoding="utf-8"), end="")
    print()
    print_line(f"written to {done.page}")
