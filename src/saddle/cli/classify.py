"""``saddle classify``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import DeviceOption
from saddle.cli.tables import print_line


def classify(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder of a semi-supervised recipe, or its classifier file.")
    ],
    data: Annotated[str, typer.Option(help="A data set's name, or a path.")],
    out: Annotated[Path | None, typer.Option(help="A .csv file for the predictions.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="data.KEY=VALUE", help="Any setting of the data; repeatable.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Classify data with a semi-supervised run's discriminator."""
    from saddle.base.progress import for_stream
    from saddle.config import parse_settings
    from saddle.config.resolve import data_config, merge_settings
    from saddle.data import open_data
    from saddle.trained.classifier import class_counts, data_for, errors, load_classifier, write_predictions

    classifier = load_classifier(run, device=device)
    # All of the data are classified, unless a part is asked for.
    settings = merge_settings([{"data": {"held_out": 0.0}}, parse_settings(set_ or [])])
    config = data_for(classifier, data_config(data, settings))
    store = open_data(config, progress=for_stream(sys.stderr))
    probabilities = classifier.probabilities(store)
    if classifier.header.discriminator.minibatch_kernels:
        print(
            "warning: this run has minibatch discrimination, so each answer depends on the other samples, too",
            file=sys.stderr,
        )
    for name, count in zip(classifier.header.class_names, class_counts(probabilities), strict=True):
        print_line(f"class {name}: {count:,}")
    wrong = errors(probabilities, store, classifier)
    if wrong is None:
        why = "has no labels" if store.labels is None else f"has other classes: {', '.join(store.class_names[:10])}"
        print_line(f"errors are not counted: {store.name} {why}")
    else:
        share = f"{wrong:,} of {len(store):,} wrong ({wrong / len(store):.2%})"
        print(f"{share}, trained on {classifier.header.labelled} labels")
    if out is not None:
        write_predictions(out, probabilities, classifier)
        print_line(f"{len(store):,} predictions in {out}")
