"""How the cost of a round grows with the batch, the width of the networks and the number of images.

    python benchmarks/scaling.py [RECIPE] [--device cuda] [--threads 1] [--json FILE]

One setting changes at a time; each row is the fastest of some laps, which alternate. The images are random.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from rounds import milliseconds, rounds_of
from summary import machine, machine_line, table

COUNT, LAPS = 16, 4
IMAGES = 4_000
WIDTHS = {  # by family: what makes both networks so many times as wide
    "mlp": lambda by: [f"{player}.network.widths=[{256 * by},{256 * by}]" for player in ("generator", "discriminator")],
    "dcgan": lambda by: [f"{player}.network.width={16 * by}" for player in ("generator", "discriminator")],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="mnist")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    family = rounds_of(arguments.recipe, [], device).config.generator.network.family
    variants: list[tuple[str, list[str], int]] = [(f"batch {n}", [f"batch_size={n}"], IMAGES) for n in (16, 64, 256)]
    variants += [(f"width times {by}", WIDTHS[family](by), IMAGES) for by in (1, 2, 4)]
    variants += [(f"{n:,} images", [], n) for n in (1_000, 10_000, 100_000)]
    sides = {name: rounds_of(arguments.recipe, settings, device, images) for name, settings, images in variants}
    for rounds in sides.values():
        milliseconds(rounds, COUNT)  # warm
    laps: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(LAPS):
        for name, rounds in sides.items():
            laps[name].append(milliseconds(rounds, COUNT))
    found: list[dict[str, Any]] = [
        {
            "what": name,
            "milliseconds": min(laps[name]),
            "images_per_second": 1000 * rounds.config.batch_size / min(laps[name]),
        }
        for name, rounds in sides.items()
    ]
    print(f"\nRounds of `{arguments.recipe}` on {device}, {arguments.threads} threads. {machine_line()}\n")
    rows = [(one["what"], f"{one['milliseconds']:.2f}", f"{one['images_per_second']:,.0f}") for one in found]
    print(table(("", "ms a round", "images per second"), rows))
    if arguments.json:
        text = {"machine": machine(), "recipe": arguments.recipe, "device": str(device), "rounds": found}
        arguments.json.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
