"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a generator's .safetensors file.")]
DEVICE_HELP = "cpu, cuda, mps or auto (default): the best that is there."
DeviceOption = Annotated[str, typer.Option(show_default=False, help=DEVICE_HELP)]
RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A name from `saddle recipes`, or a .toml file.")]
DataOption = Annotated[str | None, typer.Option(help="A data set's name, or a path.")]
PairsOption = Annotated[
    str | None,
    typer.Option(
        metavar="edges|grey|low|left-to-right|right-to-left",
        help="For pix2pix: inputs made of each image, or both in one picture, in the order input to target.",
    ),
]
InputsOption = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="For pix2pix: inputs that have the names of the images in --data."),
]
ThreadsOption = Annotated[
    str | None,
    typer.Option(metavar="N|auto", help="CPU threads, or auto (default), which measures what is fastest."),
]
MemberOption = Annotated[
    int | None,
    typer.Option(metavar="NUMBER", help="Which one of a population, from 0.  [default: RUN is a single run]"),
]
LabelOption = Annotated[str | None, typer.Option(metavar="CLASS", help="One class, by name or index.")]
SpaceOption = Annotated[
    str | None,
    typer.Option(
        metavar="spherical|linear",
        help="How latents are joined.  [default: linear for uniform latents, spherical otherwise]",
    ),
]
