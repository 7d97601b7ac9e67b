"""``saddle invert``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, LabelOption, RunArgument
from saddle.cli.tables import print_line


def invert(
    run: RunArgument,
    image: Annotated[
        list[str],
        typer.Option(
            metavar="FILE|INDEX", help="An image file, or the number of an image in the run's data; repeatable."
        ),
    ],
    steps: Annotated[int, typer.Option(help="Steps of each search.")] = 500,
    restarts: Annotated[int, typer.Option(help="Searches for each image; the best one counts.")] = 4,
    seed: Annotated[int, typer.Option(help="Decides where the searches start.")] = 0,
    out: Annotated[Path, typer.Option(help="A .png or .jpg: the images, and below them what was found.")] = Path(
        "inverted.png"
    ),
    label: LabelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Find the latents whose samples come nearest to given images."""
    from saddle.base.progress import for_stream
    from saddle.trained.explore import save_inversion
    from saddle.trained.generator import load
    from saddle.trained.nearest import read_images

    generator = load(run, device=device)
    images = read_images(image, run, generator, progress=for_stream(sys.stderr))
    found = save_inversion(generator, out, images, steps=steps, restarts=restarts, seed=seed, label=label)
    for number, (name, error) in enumerate(zip(image, found.errors, strict=True)):
        kind = "" if found.labels is None else f", as class {generator.class_names[found.labels[number]]}"
        print_line(f"{name}: mean squared error {error:.5f} of pixels in [0, 1]{kind}")
    print_line(f"the given images, and below them what was found, in {out}")
