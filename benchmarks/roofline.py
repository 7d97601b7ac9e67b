"""The time of a round against that of its products alone, at the rate that this machine has for products.

    python benchmarks/roofline.py [RECIPE ...] [--precision float32 bfloat16] [--threads 1] [--device cuda]
    [--laps 5] [--json FILE]

The products of a round, matrix products and convolutions, forward and backward, are counted by torch's own counter. The
rate is that of one large matrix product, measured between the laps with the same threads in the same precision. A round
that waits for arithmetic only would take 1.0 times the time of its products. The images are random.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from rounds import Rounds, milliseconds, rounds_of
from summary import machine, machine_line, table

RECIPES = ("mlp-tanh", "cgan", "digits", "mnist", "images")
COUNT = 16  # rounds: a multiple of every recipe's ``penalty_every``
SIDE = {"cpu": 1024, "cuda": 8192}  # of the large product


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", default=list(RECIPES))
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--laps", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    found: list[dict[str, Any]] = []
    for recipe in arguments.recipes:
        sides = {name: rounds_of(recipe, [f"precision={name}"], device) for name in arguments.precision}
        for rounds in sides.values():
            milliseconds(rounds, COUNT)  # warm
        laps: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for _ in range(arguments.laps):
            for name, rounds in sides.items():
                laps[name].append((rate(name, device), milliseconds(rounds, COUNT)))
        for name, rounds in sides.items():
            flops = counted(rounds)
            rates, times = zip(*laps[name], strict=True)
            fastest, quickest = max(rates), min(times)
            found.append(
                {"recipe": recipe, "precision": name, "gflop": flops / 1e9, "gflop_per_second": fastest / 1e9,
                 "milliseconds": quickest, "median_milliseconds": statistics.median(times),
                 "times_products": quickest / 1000 / (flops / fastest)}
            )  # fmt: skip
    threads = f"{arguments.threads} threads" if device.type == "cpu" else arguments.device
    print(f"\nThe fastest of {arguments.laps} laps of {COUNT} rounds, {threads}. {machine_line()}\n")
    head = ("recipe", "precision", "GFLOP a round", "products at, GFLOP/s", "ms a round", "times its products")
    rows = [
        (f"`{one['recipe']}`", one["precision"], f"{one['gflop']:.2f}", f"{one['gflop_per_second']:,.0f}",
         f"{one['milliseconds']:.2f}", f"{one['times_products']:.2f}")
        for one in found
    ]  # fmt: skip
    print(table(head, rows))
    if arguments.json:
        text = {"machine": machine(), "threads": arguments.threads, "device": arguments.device, "rounds": found}
        arguments.json.write_text(json.dumps(text, indent=1) + "\n")


def counted(rounds: Rounds) -> float:
    """Floating point operations of the products in a round, on average."""
    with FlopCounterMode(display=False) as counter:
        for number in range(COUNT):
            rounds.learner.play(rounds.batches(number), number)
    return counter.get_total_flops() / COUNT


def rate(precision: str, device: torch.device) -> float:
    """Operations per second of one large product in this precision."""
    side = SIDE[device.type]
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    one, other = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    seconds: list[float] = []
    for _ in range(8):
        began = time.perf_counter()
        one @ other
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    torch.backends.cuda.matmul.allow_tf32 = False
    return 2 * side**3 / min(seconds)


if __name__ == "__main__":
    main()
