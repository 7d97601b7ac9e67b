"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a generator's .safetensors file.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, mps, or auto for the best there is.")]
LabelOption = Annotated[str | None, typer.Option(metavar="CLASS", help="One class, by name or index.")]
SpaceOption = Annotated[
    str | None,
    typer.Option(metavar="spherical|linear", help="The way.  [default: linear for uniform latents, else spherical]"),
]
