"""How well the recipe ``gaussian`` matches N(4, 1.25): distances of 100,000 samples from the truth, seed by seed.

    python benchmarks/gaussian.py [--seeds 0 1 2 ...] [--recipe gaussian]

The Kolmogorov-Smirnov distance is the largest gap between the two distribution functions; Wasserstein-1 the mean gap
between the two quantile functions. The floor is what 100,000 true draws score. Runs go into a temporary folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import stats

import saddle
from saddle.progress import Silent

COUNT = 100_000
TRUTH = stats.norm(4, 1.25)


def distances(values: np.ndarray) -> tuple[float, float]:
    """Kolmogorov-Smirnov and Wasserstein-1 distance of ``values`` (N,) from the truth."""
    quantiles = TRUTH.ppf((np.arange(len(values)) + 0.5) / len(values))
    return float(stats.kstest(values, TRUTH.cdf).statistic), float(np.abs(np.sort(values) - quantiles).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--recipe", default="gaussian")
    arguments = parser.parse_args()
    print("| seed | Kolmogorov-Smirnov | Wasserstein-1 | mean | std | seconds |\n|---|---|---|---|---|---|")
    found: list[tuple[float, float]] = []
    for seed in arguments.seeds:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            settings = {"threads": 1}
            out = Path(folder) / "run"
            run = saddle.train(arguments.recipe, seed=seed, out=out, settings=settings, progress=Silent())
            values = run.sample(COUNT, seed=1).numpy().ravel().astype(np.float64)
        found.append(distances(values))
        seconds = time.monotonic() - began
        figures = f"{found[-1][0]:.4f} | {found[-1][1]:.4f} | {values.mean():.3f} | {values.std():.3f} | {seconds:.0f}"
        print(f"| {seed} | {figures} |", flush=True)
    floor = distances(np.random.default_rng(0).normal(4, 1.25, COUNT))
    for name, (ks, w1) in (("median", np.median(found, 0)), ("worst", np.max(found, 0)), ("floor", floor)):
        print(f"| {name} | {ks:.4f} | {w1:.4f} | | | |")


if __name__ == "__main__":
    main()
