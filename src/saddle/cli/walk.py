"""``saddle walk``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, LabelOption, RunArgument, SpaceOption
from saddle.cli.tables import print_line


def walk(
    run: RunArgument,
    seeds: Annotated[
        str,
        typer.Option(metavar="SEED[:NUMBER],...", help="The latents to pass. The walk ends at the first one again."),
    ] = "1,2,3,4",
    steps: Annotated[int, typer.Option(help="Frames from one latent to the next.")] = 20,
    grid: Annotated[int, typer.Option(help="Show a square of walks with so many in each row.")] = 1,
    space: SpaceOption = None,
    out: Annotated[Path, typer.Option(help="A .gif, .webp or .mp4.")] = Path("walk.webp"),
    label: LabelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Walk through latent space in a loop."""
    from saddle.trained.explore import save_walk
    from saddle.trained.generator import load
    from saddle.trained.walks import parse_places

    places = parse_places(seeds)
    frames = save_walk(load(run, device=device), out, places, steps, side=grid, space=space, label=label)
    print_line(f"{frames} frames in {out}")
