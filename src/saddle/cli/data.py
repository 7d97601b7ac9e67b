"""``saddle data``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.tables import print_line

app = typer.Typer(help="Look at data.", no_args_is_help=True)


@app.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction]
    """Look at data."""


@app.command("inspect")
def inspect(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A data set's name, or a path.")],
    out: Annotated[Path, typer.Option(help="Where the preview grid goes.")] = Path("preview.png"),
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="data.KEY=VALUE", help="Any setting of the data; repeatable.")
    ] = None,
) -> None:
    """Say what is there and what is skipped, and draw a preview.

    It also says what a training would need.
    """
    from saddle.base.progress import for_stream
    from saddle.config import parse_settings
    from saddle.config.resolve import data_config
    from saddle.data.inspect import inspect_data
    from saddle.show.grid import save_picture
    from saddle.show.preview import draw_preview

    found = inspect_data(data_config(path, parse_settings(set_ or [])), progress=for_stream(sys.stderr))
    width = max(len(name) for name, _ in found.facts)
    for name, value in found.facts:
        print_line(f"{name:<{width}}  {value}")
    for name, count in found.class_counts:
        print_line(f"{'':<{width}}  class {name}: {count:,}")
    for skipped in found.skipped:
        print_line(f"skipped {skipped.path}: {skipped.reason}")
    if found.needs:
        print("a training would need:")
        width = max(len(name) for name, _ in found.needs)
        for name, value in found.needs:
            print_line(f"  {name:<{width}}  {value}")
    save_picture(draw_preview(found.preview), out)
    print_line(f"preview in {out}")
