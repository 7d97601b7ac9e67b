"""``saddle train``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saddle.base import processes
from saddle.cli.options import DEVICE_HELP, DataOption, InputsOption, PairsOption, RecipeArgument, ThreadsOption
from saddle.cli.tables import print_line

if TYPE_CHECKING:
    from saddle.config import Config


def train(
    recipe: RecipeArgument,
    data: DataOption = None,
    pairs: PairsOption = None,
    inputs: InputsOption = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN|FILE", help="Begin with the networks of a trained run, or with a generator file."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder.  [default: runs/RECIPE, or runs/RECIPE-seed-N]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything that is random.")] = None,
    members: Annotated[
        int | None, typer.Option(metavar="N", help="Train so many runs side by side, with seeds from --seed on.")
    ] = None,
    device: Annotated[str | None, typer.Option(help=DEVICE_HELP)] = None,
    threads: ThreadsOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting of `saddle settings`; repeatable."),
    ] = None,
    edits: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The edits.jsonl of another run: a new run repeats what was edited there."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the whole config and train nothing.")] = False,
) -> None:
    """Train a recipe. The same command resumes a run that was stopped."""
    from saddle.config import load_recipe, parse_settings, resolve, to_toml
    from saddle.errors import ConfigError

    if pairs is not None and inputs is not None:
        raise ConfigError(
            "--pairs and --inputs cannot both be given", remedy="--inputs alone says that pairs lie in two folders"
        )
    pairs = "folders" if inputs is not None else pairs
    of_data = {key: value for key, value in (("source", data), ("pairs", pairs), ("inputs", inputs)) if value}
    named = {"seed": seed, "members": members, "device": device, "threads": threads, "data": of_data or None}
    named["begin"] = from_ and {"source": from_}
    options: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    config = resolve(load_recipe(recipe), parse_settings(set_ or []), options)
    if dry_run:
        print(to_toml(config), end="")
        return

    from saddle.api import train_config

    run, trained = train_config(config, out=out, edits=edits)
    if not processes.is_first():
        return
    status = run.status
    if status.state != "finished":
        print_line(f"{run.path} is at {status.progress}, which is beyond this length: nothing was trained")
        return
    if not trained and run.folder.report.exists():
        print_line(f"{run.path} is finished; a larger --set epochs=... or images=... trains longer{ended(run.config)}")
        return
    page = run.report()
    samples = run.folder.sample_grids()[-1][1]
    print_line(f"{run.path} is finished: samples in {samples}, loss curves in {run.folder.curves}, all in {page}")


def ended(config: Config) -> str:
    """What to know before a finished run is trained longer, as the end of a sentence."""
    from saddle.config.schedules import lengths_in

    if not lengths_in(config.model_dump()):
        return ""
    return ", but its schedules have ended: a new --out trains a longer run with schedules of its own"
