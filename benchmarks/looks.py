"""What looks at samples cost: their time beside that of the rounds between two of them.

    python benchmarks/looks.py [RECIPE ...] [--json FILE]

A look comes after at least 7,680 images seen. Goal: at most 3 % of the training time. 4,000 random images of the
recipe's size, so that copies are looked for, too; one thread, float32; rounds and looks alternate, and the fastest of
five laps counts. The copy of the generator that is kept as the best counts to the look. The first look also computes
what it needs of the real side; it is told apart.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from rounds import SIDES, milliseconds, rounds_of
from saddle.config.schema import DataConfig
from saddle.data.scaling import Scaling
from saddle.data.store import Store
from saddle.scoring.look import Real
from saddle.training.best import Best
from saddle.training.loop import LOOK
from saddle.training.sampling import saved_samples
from summary import machine, machine_line, table

LAPS, ROUNDS = 5, 16


def measure(recipe: str) -> dict[str, float]:
    """Milliseconds of a look, of the rounds between two looks, and their ratio."""
    device = torch.device("cpu")
    rounds = rounds_of(recipe, ["precision=float32"], device)
    side = SIDES.get(recipe, 28)
    shape = (3 if recipe == "images" else 1, side, side)
    pixels = np.random.default_rng(0).integers(0, 256, (4_000, *shape), dtype=np.uint8)
    unseen = Store("unseen images", pixels[::8] ^ 1, None, (), "0" * 64)
    store = Store("random images", pixels, None, (), "0" * 64, held_out=unseen)
    scaling = Scaling.fit(store, rounds.config.generator.network.output)
    real = Real.of(store, DataConfig())
    assert real is not None
    labels = torch.arange(real.count) % 10 if rounds.config.conditional in (True, "auto") else None
    looks: list[float] = []
    trained: list[float] = []
    seen, best = None, Best(rounds.learner, {})
    between = LOOK / (rounds.config.batch_size * rounds.learner.turns)
    for _ in range(LAPS):
        trained.append(milliseconds(rounds, ROUNDS) * between)
        began = time.perf_counter()
        values = saved_samples(rounds.learner, scaling, shape, 0, real.count, labels)
        _, seen = real.look(values, seen)
        best.offer(-len(looks), len(looks))
        looks.append(1000 * (time.perf_counter() - began))
    return {"first look": looks[0], "look": min(looks), "rounds": min(trained), "share": min(looks) / min(trained)}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["digits", "mlp-tanh", "cgan", "mnist", "images"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {recipe: measure(recipe) for recipe in given.recipes}
    print(machine_line())
    rows = [
        (
            f"`{recipe}`",
            f"{each['first look']:.0f}",
            f"{each['look']:.1f}",
            f"{each['rounds']:.0f}",
            f"{each['share']:.1%}",
        )
        for recipe, each in found.items()
    ]
    print(table(("recipe", "ms the first look", "ms a look", f"ms the rounds of {LOOK:,} images", "share"), rows))
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "recipes": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
