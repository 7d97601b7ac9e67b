"""``saddle interpolate``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, RunArgument, SpaceOption
from saddle.cli.tables import print_line


def interpolate(
    run: RunArgument,
    from_: Annotated[str, typer.Option("--from", metavar="SEED[:NUMBER]", help="The first latent.")] = "1",
    to: Annotated[
        str | None,
        typer.Option(metavar="SEED[:NUMBER]", help="The last latent.  [default: 2, or with --to-label the first one]"),
    ] = None,
    steps: Annotated[int, typer.Option(help="Samples, both ends included.")] = 10,
    space: SpaceOption = None,
    out: Annotated[Path, typer.Option(help="A strip (.png, .jpg) or an animation (.gif, .webp, .mp4).")] = Path(
        "interpolation.png"
    ),
    label: Annotated[
        str | None, typer.Option("--label", "--from-label", metavar="CLASS", help="The class, by name or index.")
    ] = None,
    to_label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="The class at the end; label vectors are mixed on the way.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Go from one latent to another, or from one class to another."""
    from saddle.trained.explore import save_interpolation
    from saddle.trained.generator import load
    from saddle.trained.walks import parse_place

    last = to or (None if to_label else "2")
    save_interpolation(
        load(run, device=device),
        out,
        parse_place(from_),
        None if last is None else parse_place(last),
        steps,
        space=space,
        label=label,
        last_label=to_label,
    )
    print_line(f"{steps} steps in {out}")
