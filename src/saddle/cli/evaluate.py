"""``saddle evaluate``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, MemberOption, RunArgument
from saddle.cli.tables import print_table


def evaluate(
    run: RunArgument,
    metric: Annotated[
        list[str] | None, typer.Option(help="A metric by name; repeatable.  [default: all that fit the data]")
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="Samples for each seed.  [default: 10000, of numbers 100000]")
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many sampling seeds. The spread is taken over them.")] = 3,
    extractor: Annotated[
        str | None,
        typer.Option(
            help="cifar10-cnn-v1, digits-cnn-v1, mnist-cnn-v1, random-conv-v1, inception-v3 or pixels."
            "  [default: by the data]"
        ),
    ] = None,
    inception_weights: Annotated[
        Path | None, typer.Option(help="The file with the Inception network's weights.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Other data than the run's: a name, or a path.")] = None,
    device: DeviceOption = "auto",
    member: MemberOption = None,
) -> None:
    """Score a generator, and show what real samples score."""
    from saddle.base.progress import for_stream
    from saddle.runs.folder import find_member
    from saddle.runs.scores import table
    from saddle.scoring.evaluate import evaluate as score

    found = score(
        find_member(run, member), metrics=metric, count=count, seeds=seeds, extractor=extractor,
        inception_weights=inception_weights, data=data, device=device, progress=for_stream(sys.stderr),
    )  # fmt: skip
    print_table(table(found))
    for footnote in found.footnotes:
        print(footnote)
    for note in found.notes:
        print(f"warning: {note}", file=sys.stderr)
