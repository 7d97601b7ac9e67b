"""How long scoring takes, and how much memory: all MNIST measures on 10,000 samples of a conditional generator.

    SADDLE_DATA=DIR python benchmarks/metrics.py [--count 10000]

The generator is an untrained one of recipe ``cgan``: what it draws costs the same. The features of the real data are in
the cache, as they are after the first evaluation. Goal: under 60 s on two cores, memory under 2 GB.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch

import saddle
from saddle.evaluation import evaluate
from saddle.progress import Silent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"images": 128, "threads": 1, "data.first": 50_000}  # the rest chooses the Parzen window
        run = saddle.train("cgan", out=Path(folder) / "run", settings=settings, progress=Silent())
        torch.set_num_threads(arguments.threads)
        evaluate(run.path, metrics=["fd"], count=100, seeds=1)  # looks at the real data
        began = time.monotonic()
        found = evaluate(run.path, count=arguments.count, seeds=1)
        seconds = time.monotonic() - began
    print("| measure | seconds |\n|---|---|")
    for score in found.scores:
        print(f"| {score.protocol}: {score.metric} | {score.seconds:.1f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| all, with the samples and the floors | **{seconds:.1f}** |")
    print(f"\npeak memory of the process: {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
