"""``saddle sample``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.base import processes
from saddle.cli.options import DeviceOption, LabelOption, MemberOption, RunArgument
from saddle.cli.tables import print_line


def sample(
    run: RunArgument,
    count: Annotated[int | None, typer.Option(help="How many samples.  [default: 64]")] = None,
    seed: Annotated[int, typer.Option(help="Decides the latents: equal seed, equal samples.")] = 0,
    out: Annotated[
        Path,
        typer.Option(
            help="A picture (.png, .jpg), an array (.npy, .npz), a table of points (.csv), or a folder of PNGs."
        ),
    ] = Path("samples.png"),
    label: LabelOption = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...|balanced", help="Several classes in turn, or (balanced, default) all equally often."
        ),
    ] = None,
    truncation: Annotated[float, typer.Option(help="In (0, 1]; smaller: more typical, less varied samples.")] = 1.0,
    input_: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FOLDER",
            help="A folder or zip of pictures: of a run on pairs, what it makes of each goes to the folder --out.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    member: MemberOption = None,
) -> None:
    """Draw samples from a trained generator.

    A picture of several classes has a row for each class and shows the same latents in each of them. In the other
    forms, each sample has a latent of its own.
    """
    from saddle.errors import ConfigError
    from saddle.runs.folder import find_member
    from saddle.trained.export import save_samples
    from saddle.trained.generator import load
    from saddle.trained.labels import parse_classes

    if label is not None and labels is not None:
        raise ConfigError("--label and --labels cannot both be given", remedy="give one of them")
    generator = load(find_member(run, member), device=device)
    if input_ is not None:
        if count is not None or label is not None or labels is not None or truncation != 1:
            raise ConfigError(
                "--input makes one picture of each, without labels",
                remedy="leave out --count, --label, --labels and --truncation",
            )
        from saddle.trained.translation import translate_folder

        made = translate_folder(generator, input_, out, seed=seed)
        print_line(f"{made:,} pictures in {out}")
        return
    count = 64 if count is None else count
    chosen = label if labels is None else parse_classes(labels, generator.class_names)
    save_samples(generator, out, count, seed=seed, label=chosen, truncation=truncation)
    if processes.is_first():
        print_line(f"{count:,} samples in {out}")
