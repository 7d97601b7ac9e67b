"""``saddle cache``"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from saddle.base.sizes import readable_size
from saddle.cli.tables import print_line, print_table

if TYPE_CHECKING:
    from saddle.data.cache import Held

app = typer.Typer(help="See how large the cache is, or clear it.", invoke_without_command=True)


@app.callback()
def show(context: typer.Context) -> None:
    """Say where the cache of decoded images, features and downloads is, and how large it is."""
    from saddle.data.cache import cache_contents, cache_folder

    if context.invoked_subcommand is None:
        print_line(f"cache folder: {cache_folder()}")
        _print(cache_contents())


@app.command("clear")
def clear() -> None:
    """Remove everything in the cache. What is needed again is made or downloaded again."""
    from saddle.data.cache import cache_folder, clear_cache

    print_line(f"removed from {cache_folder()}:")
    _print(clear_cache())


def _print(held: Sequence[Held]) -> None:
    rows = [(each.kind, f"{each.entries:,}", readable_size(each.size)) for each in held]
    total = ("total", f"{sum(each.entries for each in held):,}", readable_size(sum(each.size for each in held)))
    print_table([("kind", "entries", "size"), *rows, total])
