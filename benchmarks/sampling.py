"""How many samples per second a generator draws, through ``Generator.stream`` as every command draws them.

    python benchmarks/sampling.py [RECIPE ...] [--count 20000] [--threads 2] [--device cuda] [--json FILE]

The networks are untrained: what they draw costs the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from rounds import rounds_of
from saddle.config.networks import LatentConfig
from saddle.data.scaling import Scaling
from saddle.trained.files import GeneratorHeader, save_network
from saddle.trained.generator import load
from summary import machine, machine_line, table

RECIPES = ("mlp-tanh", "digits", "mnist", "images")
LAPS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", default=list(RECIPES))
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found: list[dict[str, Any]] = []
    for recipe in arguments.recipes:
        generator = untrained(recipe, arguments.device)
        seconds: list[float] = []
        for _ in range(LAPS):
            began = time.perf_counter()
            for _samples in generator.stream(arguments.count):
                pass
            seconds.append(time.perf_counter() - began)
        found.append({"recipe": recipe, "shape": generator.shape, "per_second": arguments.count / min(seconds)})
    print(f"\n{arguments.count:,} samples on {arguments.device}, {arguments.threads} threads. {machine_line()}\n")
    rows = [(f"`{one['recipe']}`", " × ".join(map(str, one["shape"])), f"{one['per_second']:,.0f}") for one in found]
    print(table(("recipe", "shape", "samples per second"), rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "sampling": found}, indent=1) + "\n")


def untrained(recipe: str, device: str) -> Any:
    """The generator of a recipe as it begins, read from a file."""
    rounds = rounds_of(recipe, [], torch.device("cpu"), images=100)
    config, shape = rounds.config, tuple(rounds.batches(0)[0].samples.shape[1:])
    latent: LatentConfig = config.latent
    header = GeneratorHeader(
        recipe=recipe, images_seen=0, kind="images", shape=shape, data="random images", latent=latent,
        class_names=tuple("0123456789") if config.conditional else (), network=config.generator.network,
        condition=config.generator.condition,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generator.safetensors"
        scaling = Scaling(torch.ones(1), torch.zeros(1), images=True)
        save_network(path, rounds.learner.result.state_dict(), scaling, header)
        return load(path, device=device)


if __name__ == "__main__":
    main()
