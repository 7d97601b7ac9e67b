"""``saddle nearest``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, LabelOption, RunArgument


def nearest(
    run: RunArgument,
    count: Annotated[int, typer.Option(help="How many samples.")] = 8,
    seed: Annotated[int, typer.Option(help="Decides the latents: equal seed, equal samples.")] = 0,
    neighbours: Annotated[int, typer.Option(help="Training samples shown beside each.")] = 5,
    data: Annotated[str | None, typer.Option(help="Other data than those of the run: a name, or a path.")] = None,
    out: Annotated[Path, typer.Option(help="A .png; of points there is none.")] = Path("nearest.png"),
    label: LabelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Look for the training samples nearest to generated ones: are these copies?"""
    from saddle.base.progress import for_stream
    from saddle.trained.explore import save_neighbours
    from saddle.trained.nearest import compare

    progress = for_stream(sys.stderr)
    found = compare(
        run, count, neighbours=neighbours, seed=seed, label=label, source=data, device=device, progress=progress
    )
    print("sample  distance  nearest in the data")
    for number, (row, where) in enumerate(zip(*found.neighbours, strict=True)):
        print(f"{number:>6}  {row[0]:>8.3f}  {where[0]}")
    print(f"median distance of the samples to the nearest of {len(found.data):,}: {found.median:.3f}")
    if found.held_out is None:
        print("nothing is held out of these data, so there is no distance to compare with")
    else:
        print(f"the same of held-out data: {found.held_out:.3f}; copies are much nearer than that")
    if found.data.kind == "images":
        save_neighbours(out, found.samples, found.data, found.neighbours)
        print(f"samples and their neighbours in {out}")
