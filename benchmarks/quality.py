"""Seconds of training until the samples are so good: until ``fd`` is at most 20, 10 and 6 times its floor.

    SADDLE_DATA=DIR python benchmarks/quality.py [mnist digits] [--seeds 3] [--scores 20] [--set KEY=VALUE ...]
    [--device cuda] [--folder long/quality] [--json FILE]

Each run is scored at equal distances while it trains, by as many samples as its floor has; the clock stands still while
it is scored. The runs are kept in a folder, and resumed where they were stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import saddle
from saddle.config import load_config, load_recipe, resolve
from summary import machine, machine_line, table

LEVELS = (20, 10, 6)
COUNTS = {"mnist": 10_000, "digits": 297}  # of the real samples that the floor is of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", default=list(COUNTS), help=", ".join(COUNTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scores", type=int, default=20, help="in a run (default: 20)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folder", type=Path, default=Path("long/quality"))
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.recipes if name not in COUNTS]:
        parser.error(f"no such recipe here: {', '.join(unknown)}; there are {', '.join(COUNTS)}")
    found: list[dict[str, Any]] = []
    for recipe in arguments.recipes:
        for seed in range(arguments.seeds):
            found.append(one_run(recipe, seed, arguments))
            print(found[-1], flush=True)
    print(f"\nSeconds of training. {machine_line()}\n")
    head = ["recipe", "seed", *(f"fd ≤ {level} × floor" for level in LEVELS), "at the end", "threads, precision"]
    rows: list[list[object]] = [
        [f"`{one['recipe']}`", one["seed"], *(one["seconds"][str(level)] or "not reached" for level in LEVELS),
         f"{one['end']['times_floor']:.1f} × after {one['end']['seconds']:.0f} s", one["how"]]
        for one in found
    ]  # fmt: skip
    print(table(head, rows))
    for recipe in arguments.recipes:
        ends = [one["end"]["times_floor"] for one in found if one["recipe"] == recipe]
        print(f"\n`{recipe}`: {statistics.fmean(ends):.2f} times its floor at the end, over {len(ends)} seeds.")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "runs": found}, indent=1) + "\n")


def one_run(recipe: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one seed, and when each level was reached."""
    total = resolve(load_recipe(recipe)).images or 0
    settings: dict[str, Any] = {"evaluate.count": COUNTS[recipe]}
    settings |= dict(text.split("=", 1) for text in arguments.settings)
    total = int(settings.pop("images", total))
    every = total // arguments.scores
    run = saddle.train(
        recipe, out=arguments.folder / f"{recipe}-{seed}", seed=seed, images=total, device=arguments.device,
        settings=settings | {"evaluate.every": every, "log.every": every},
    )  # fmt: skip
    floor = run.evaluate(metrics="fd", count=COUNTS[recipe], seeds=1)["fd"].floor
    clock = {line["images"]: line["seconds"] for line in run.log}
    scores = [(clock[line["images"]], line["fd"] / floor) for line in run.scores if line["images"] in clock]
    reached = {str(level): next((round(at, 1) for at, times in scores if times <= level), None) for level in LEVELS}
    config = load_config(run.folder.config)
    return {
        "recipe": recipe, "seed": seed, "floor": floor, "seconds": reached,
        "end": {"seconds": scores[-1][0], "times_floor": scores[-1][1], "images": total},
        "how": f"{config.threads}, {config.precision}", "curve": scores,
    }  # fmt: skip


if __name__ == "__main__":
    main()
