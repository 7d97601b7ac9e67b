"""``saddle sample``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, RunArgument


def sample(
    run: RunArgument,
    count: Annotated[int, typer.Option(help="How many samples.")] = 64,
    seed: Annotated[int, typer.Option(help="Decides the latents: equal seed, equal samples.")] = 0,
    out: Annotated[Path, typer.Option(help="A .png grid, .npy, .npz, or a folder for PNGs.")] = Path("samples.png"),
    label: Annotated[str | None, typer.Option(help="One class, by name or index; without it, all in turn.")] = None,
    truncation: Annotated[float, typer.Option(help="In (0, 1]; smaller: more typical, less varied samples.")] = 1.0,
    device: DeviceOption = "auto",
) -> None:
    """Draw samples from a trained generator."""
    from saddle.export import save_samples
    from saddle.sampling import load

    save_samples(load(run, device=device), out, count, seed=seed, label=label, truncation=truncation)
    print(f"{count:,} samples in {out}")
