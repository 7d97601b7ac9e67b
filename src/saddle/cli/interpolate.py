"""``saddle interpolate``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, RunArgument


def interpolate(
    run: RunArgument,
    from_: Annotated[int, typer.Option("--from", metavar="SEED", help="Seed of the first latent.")] = 1,
    to: Annotated[int, typer.Option("--to", metavar="SEED", help="Seed of the last latent.")] = 2,
    steps: Annotated[int, typer.Option(help="Samples, both ends included.")] = 10,
    space: Annotated[str, typer.Option(help="spherical or linear.")] = "spherical",
    out: Annotated[Path, typer.Option(help="A .png strip, or a .gif or .webp animation.")] = Path("interpolation.png"),
    label: Annotated[str | None, typer.Option(help="The class, for a conditional generator.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Walk from one latent to another."""
    from saddle.export import save_interpolation
    from saddle.sampling import load

    save_interpolation(load(run, device=device), out, from_, to, steps, space=space, label=label)
    print(f"{steps} steps in {out}")
