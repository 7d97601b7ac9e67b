"""``saddle evaluate``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, RunArgument
from saddle.cli.tables import print_table


def evaluate(
    run: RunArgument,
    metric: Annotated[
        list[str] | None, typer.Option(help="A figure by name; repeatable.  [default: all that fit]")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Samples a seed.  [default: 10000; on the line 100000]")] = None,
    seeds: Annotated[int, typer.Option(help="How many sampling seeds: the spread is over these.")] = 3,
    extractor: Annotated[
        str | None, typer.Option(help="mnist-cnn-v1, digits-cnn-v1, inception-v3 or pixels.  [default: by the data]")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The Inception network's file.")] = None,
    data: Annotated[str | None, typer.Option(help="Other data than those of the run: a name, or a path.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Score a generator: value, spread, and what real samples score (the floor)."""
    from saddle.base.progress import for_stream
    from saddle.runs.scores import table
    from saddle.scoring.evaluate import evaluate as score

    found = score(
        run, metrics=metric, count=count, seeds=seeds, extractor=extractor, weights=weights, data=data, device=device,
        progress=for_stream(sys.stderr),
    )  # fmt: skip
    print_table(table(found))
    for note in found.notes:
        print(f"warning: {note}", file=sys.stderr)
