"""``saddle sample``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, LabelOption, RunArgument


def sample(
    run: RunArgument,
    count: Annotated[int, typer.Option(help="How many samples.")] = 64,
    seed: Annotated[int, typer.Option(help="Decides the latents: equal seed, equal samples.")] = 0,
    out: Annotated[Path, typer.Option(help="A .png grid, .npy, .npz, or a folder for PNGs.")] = Path("samples.png"),
    label: LabelOption = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="A,B,...|balanced", help="Several classes in turn, or all equally, as without a label."),
    ] = None,
    truncation: Annotated[float, typer.Option(help="In (0, 1]; smaller: more typical, less varied samples.")] = 1.0,
    device: DeviceOption = "auto",
) -> None:
    """Draw samples from a trained generator. A .png of several classes has a row for each and a column for each z."""
    from saddle.errors import ConfigError
    from saddle.trained.export import save_samples
    from saddle.trained.generator import load

    if label is not None and labels is not None:
        raise ConfigError("--label and --labels exclude each other", remedy="give one of them")
    generator = load(run, device=device)
    chosen = label if labels is None else generator.class_list(labels)
    written = save_samples(generator, out, count, seed=seed, label=chosen, truncation=truncation)
    print(f"{written:,} samples in {out}")
