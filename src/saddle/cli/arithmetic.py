"""``saddle arithmetic``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, LabelOption, RunArgument
from saddle.cli.tables import print_line


def arithmetic(
    run: RunArgument,
    terms: Annotated[
        list[str],
        typer.Argument(
            metavar="SUM",
            help="Such as 1,2,3 - 4,5,6 + 7,8,9: means of latents, added and subtracted. A latent is SEED, or "
            "SEED:NUMBER for sample NUMBER of `saddle sample --seed SEED`.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="A .png or .jpg: a row for each term, and the result in the last row.")
    ] = Path("arithmetic.png"),
    label: LabelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Add and subtract latents."""
    from saddle.trained.explore import save_arithmetic
    from saddle.trained.generator import load
    from saddle.trained.walks import parse_terms

    summed = parse_terms(" ".join(terms))
    save_arithmetic(load(run, device=device), out, summed, label=label)
    formula = " ".join(f"{'-' if term.sign < 0 else '+'} mean({term.names})" for term in summed).removeprefix("+ ")
    print_line(f"result = {formula}")
    print("each row: the sample of a term's mean latent, then the samples of its latents")
    print("last row: the sample of the result, then samples of latents near it")
    print_line(f"{len(summed) + 1} rows in {out}")
