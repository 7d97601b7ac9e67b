"""``saddle nearest``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, LabelOption, RunArgument
from saddle.cli.tables import print_line


def nearest(
    run: RunArgument,
    count: Annotated[int, typer.Option(help="How many samples.")] = 8,
    seed: Annotated[int, typer.Option(help="Decides the latents: equal seed, equal samples.")] = 0,
    neighbours: Annotated[int, typer.Option(help="Training samples shown beside each sample.")] = 5,
    data: Annotated[str | None, typer.Option(help="Other data than the run's: a name, or a path.")] = None,
    out: Annotated[Path, typer.Option(help="A .png or .jpg, written for images only.")] = Path("nearest.png"),
    label: LabelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Find the training samples nearest to generated ones. Are they copies?"""
    from saddle.base.progress import for_stream
    from saddle.data.splits import why_nothing_held_out
    from saddle.trained.explore import save_neighbours
    from saddle.trained.nearest import check_for_copies

    progress = for_stream(sys.stderr)
    found = check_for_copies(
        run, count, neighbours=neighbours, seed=seed, label=label, source=data, device=device, progress=progress
    )
    print("sample  distance  nearest in the data")
    for number, (distances, indices, copies) in enumerate(zip(*found.neighbours, strict=True)):
        times = f" x{copies[0]}" if copies[0] > 1 else ""
        print(f"{number:>6}  {distances[0]:>8.3f}  {indices[0]}{times}")
    shown = found.neighbours.copies if found.data.kind == "images" else found.neighbours.copies[:, :1]
    if (shown > 1).any():
        print("x2, x3, ...: the data hold this sample so many times; the first one is named")
    print(f"median distance of the samples to the nearest of {len(found.data):,}: {found.median:.3f}")
    if found.held_out is None:
        print_line(f"there is no distance to compare with: {why_nothing_held_out(found.data)}")
    elif found.held_out == 0:
        print("half of the held-out data or more are in the training data, too: they say nothing about copies")
    else:
        print(f"the same distance of held-out data: {found.held_out:.3f}; copies are much nearer than that")
    if found.data.kind == "images":
        save_neighbours(out, found)
        print_line(f"samples and their neighbours in {out}")
