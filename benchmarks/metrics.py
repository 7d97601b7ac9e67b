"""How long scoring takes, and how much memory.

    SADDLE_DATA=DIR python benchmarks/metrics.py [--count 10000]
    python benchmarks/metrics.py --pixels
    python benchmarks/metrics.py --wide

All MNIST measures on 10,000 samples of a conditional generator, an untrained one of recipe ``cgan``: what it draws
costs the same. The features of the real data are in the cache, as they are after the first evaluation. Goal: under 60 s
on two cores, memory under 2 GB.

``--pixels``: the same for 60,000 random images of 32×32 in colour, which are compared by their 3,072 pixels. The first
of two evaluations fills a cache of its own.

``--wide``: 50,000 random rows of 2,048 features, as Inception gives them, beside as many that are real; neighbourhoods
take 10,000 of these, as ``saddle evaluate`` does. Goal: memory under 2 GB.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import saddle
from saddle.base.progress import Silent
from saddle.metrics.frechet import Moments, frechet_distance
from saddle.metrics.kernel import kernel_distance
from saddle.metrics.manifold import density_coverage, precision_recall
from saddle.scoring.evaluate import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pixels", action="store_true", help="60,000 random images, compared by their pixels, instead")
    parser.add_argument("--wide", action="store_true", help="random features of Inception's size instead")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.wide:
        wide()
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        if arguments.pixels:
            os.environ["SADDLE_CACHE"] = folder
            images = np.random.default_rng(0).integers(0, 256, (60_000, 3, 32, 32), dtype=np.uint8)
            run = saddle.train("mlp-tanh", data=images, out=out, images=128, threads=1, progress=Silent())
            torch.set_num_threads(arguments.threads)
            score(run, arguments.count, data=images)
            score(run, arguments.count, data=images)
        else:
            settings = {"data.first": 50_000}  # the rest chooses the Parzen window
            run = saddle.train("cgan", out=out, images=128, threads=1, settings=settings, progress=Silent())
            torch.set_num_threads(arguments.threads)
            evaluate(run, metrics=["fd"], count=100, seeds=1, device="cpu")  # fills the cache
            score(run, arguments.count)


def score(run: saddle.Run, count: int, data: object = None) -> None:
    """Score ``run`` by all measures that fit, and print how long each took."""
    began = time.monotonic()
    found = evaluate(run, count=count, seeds=1, data=data, device="cpu")
    seconds = time.monotonic() - began
    print("| measure | seconds |\n|---|---|")
    for each in found.scores:
        print(f"| {each.protocol}: {each.metric} | {each.seconds:.1f} |")
    print(f"| all, with the samples and the floors | **{seconds:.1f}** |")
    print(f"\npeak memory of the process: {peak():,.0f} MiB\n", flush=True)


def wide() -> None:
    samples, reference = (torch.randn(50_000, 2_048, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    some = reference[:10_000]
    print(
        f"peak with both sets of features: {peak():,.0f} MiB\n\n| measure | seconds | peak so far, MiB |\n|---|---|---|"
    )
    measures: dict[str, Callable[[], object]] = {
        "fd": lambda: frechet_distance(Moments.of(samples), Moments.of(reference)),
        "kd": lambda: kernel_distance(samples, some),
        "precision, recall": lambda: precision_recall(samples, some),
        "density, coverage": lambda: density_coverage(samples, some),
    }
    for name, compute in measures.items():
        began = time.monotonic()
        compute()
        print(f"| {name} | {time.monotonic() - began:.1f} | {peak():,.0f} |", flush=True)


def peak() -> float:
    """The most memory that the process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
