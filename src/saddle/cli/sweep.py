"""``saddle sweep``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from saddle.cli.options import DataOption, DeviceOption, RecipeArgument, ThreadsOption
from saddle.cli.tables import print_line, print_table

_BEST = 10  # trials that are printed; the page has all


def sweep(
    recipe: RecipeArgument,
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=RANGE",
            help="A setting to vary: KEY=LOW..HIGH, 'KEY=LOW..HIGH log' or KEY=[A,B,C]; repeatable.",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="How many in all, those of earlier calls among them.")] = 20,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the trials.  [default: sweeps/RECIPE]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of each trial, and of what is drawn for the trials.")] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting for all trials, such as images=20000; repeatable."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A database for processes on several machines.  [default: a file in --out]"),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="Give up trials that are behind the median of the others.")
    ] = True,
) -> None:
    """Search for the settings with the best score. The same command resumes; several at once share the work."""
    from saddle.config import parse_settings
    from saddle.errors import Diverged
    from saddle.sweeps.space import parse_over

    space, settings = parse_over(over or []), parse_settings(set_ or [])

    from saddle.sweeps.results import rows
    from saddle.sweeps.run import sweep as run

    options: dict[str, Any] = {"threads": threads} if threads is not None else {}
    found = run(
        recipe, space, trials=trials, data=data, out=out, seed=seed, device=device, settings=settings,
        storage=storage, prune=prune, **options,
    )  # fmt: skip
    print_table(rows(found.trials[:_BEST], space, found.metric))
    if len(found.trials) > _BEST:
        print_line(f"and {len(found.trials) - _BEST} more")
    print_line(f"{found.counts}; all of them in {found.page}")
    if found.command is not None:
        print_line(f"to train the best settings longer: {found.command}")
    if all(trial.state == "failed" for trial in found.trials):
        raise typer.Exit(Diverged.exit_code)
