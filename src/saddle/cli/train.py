"""``saddle train``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from saddle.cli.options import DEVICE_HELP


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A name from `saddle recipes`, or a .toml file.")],
    data: Annotated[str | None, typer.Option(help="A data set's name, or a path.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder.  [default: runs/RECIPE, or runs/RECIPE-seed-N]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything that is random.")] = None,
    device: Annotated[str | None, typer.Option(help=DEVICE_HELP)] = None,
    threads: Annotated[
        str | None,
        typer.Option(metavar="N|auto", help="CPU threads, or auto (default), which measures what is fastest."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting of `saddle settings`; repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the whole config and train nothing.")] = False,
) -> None:
    """Train a recipe. The same command resumes a run that was stopped."""
    from saddle.config import load_recipe, parse_settings, resolve, to_toml

    named = {"seed": seed, "device": device, "threads": _threads(threads), "data": data and {"source": data}}
    options: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    config = resolve(load_recipe(recipe), parse_settings(set_ or []), options)
    if dry_run:
        print(to_toml(config), end="")
        return

    from saddle.api import train_config

    run, trained = train_config(config, out=out)
    if not trained and run.folder.report.exists():
        print(f"{run.path} is finished; a larger --set epochs=... or images=... trains on")
        return
    page = run.report()
    print(f"{run.path} is finished: samples in {run.folder.sample_grids()[-1][1]}, everything in {page}")


def _threads(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.lstrip("-").isdigit() else text
