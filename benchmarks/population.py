"""A population against runs of their own: the time of a round of N members, of N runs one after the other in one
process, and of N processes at once.

    python benchmarks/population.py [--members 4,16] [--recipe digits --recipe dcgan] [--laps 3] [--json FILE]

All are rounds of the real engine, without files, on the GPU where there is one. Each lap plays the three by turns. The
processes begin to count together, and the slowest one counts. On a CPU every process has one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from summary import machine, machine_line, table

WARM_UP = 5  # rounds; a GPU's rounds are recorded after the third
SETTINGS = {  # on top of the recipes
    "digits": {},
    "dcgan": {"data.source": "digits", "data.size": 16},
    "mlp-tanh": {"data.source": "digits"},
}
WAYS = ("population", "one after the other", "processes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", default="4,16", help="how many, separated by commas (default: 4,16)")
    parser.add_argument(
        "--recipe", action="append", choices=tuple(SETTINGS), help="repeatable (default: digits, dcgan)"
    )
    parser.add_argument("--rounds", type=int, default=30, help="of each measurement (default: 30)")
    parser.add_argument("--laps", type=int, default=3, help="measurements of each (default: 3)")
    parser.add_argument("--json", type=Path, help="write every measurement to this file too")
    parser.add_argument("--wait", help=argparse.SUPPRESS)  # how this script starts the processes
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.members.split(",")]
    recipes = arguments.recipe or ["digits", "dcgan"]
    if min(*counts, arguments.rounds, arguments.laps, 1) < 1:
        parser.error("members, rounds and laps are numbers from 1 on")
    if arguments.wait is not None:
        rounds = Rounds(recipes[0], 1, seed=int(arguments.wait))
        print("ready", flush=True)
        sys.stdin.readline()
        print(rounds.seconds(arguments.rounds), flush=True)
        return

    found: list[dict[str, Any]] = []
    for recipe in recipes:
        for count in counts:
            laps = measure(recipe, count, arguments.rounds, arguments.laps)
            found.append({"recipe": recipe, "members": count, "milliseconds": laps})
            print(f"{recipe}, {count} members", file=sys.stderr, flush=True)
    device = device_name()
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "device": device, "found": found}, indent=2) + "\n")
    print(f"\n{machine_line()} Rounds on {device}.\n")
    head = ("recipe", "members", *(f"{way}, ms" for way in WAYS), "against one after the other", "against processes")
    print(table(head, [row(each) for each in found]))
    print(f"\nMedians of {arguments.laps} laps of {arguments.rounds} rounds of all members, with the range.")


def row(found: dict[str, Any]) -> list[str]:
    laps: dict[str, list[float]] = found["milliseconds"]
    middle = {way: statistics.median(laps[way]) for way in WAYS}
    cells = [f"{middle[way]:.1f} ({min(laps[way]):.1f} to {max(laps[way]):.1f})" for way in WAYS]
    quicker = [f"{middle[way] / middle['population']:.2f} times as fast" for way in WAYS[1:]]
    return [found["recipe"], str(found["members"]), *cells, *quicker]


def measure(recipe: str, count: int, rounds: int, laps: int) -> dict[str, list[float]]:
    """Milliseconds of a round of ``count`` members, for each way and lap."""
    whole = Rounds(recipe, count)
    single = Rounds(recipe, 1)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(laps):
        seconds = (
            whole.seconds(rounds),
            sum(single.seconds(rounds) for _ in range(count)),
            processes(recipe, count, rounds),
        )
        for way, each in zip(WAYS, seconds, strict=True):
            found[way].append(1000 * each / rounds)
    return found


def processes(recipe: str, count: int, rounds: int) -> float:
    """Seconds that ``count`` processes take at once: those of the slowest."""
    command = [sys.executable, __file__, "--recipe", recipe, "--rounds", str(rounds), "--wait"]
    started = [
        subprocess.Popen([*command, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for seed in range(count)
    ]
    try:
        for each in started:
            assert each.stdout is not None and each.stdout.readline() == "ready\n"
        for each in started:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        return max(float(each.communicate()[0]) for each in started)
    finally:
        for each in started:
            each.kill()
            each.wait()


class Rounds:
    """A recipe's rounds, played by the engine: real samples, generated ones, both players' steps and the average."""

    def __init__(self, recipe: str, members: int, seed: int = 0) -> None:
        import torch

        from saddle.config import load_recipe, resolve
        from saddle.config.resolve import merge_settings, nest, settle
        from saddle.data import open_data
        from saddle.data.scaling import Scaling
        from saddle.training.assemble import Networks, make_feed, make_gan
        from saddle.training.engine import Engine, flush_denormals, recorder_for

        flush_denormals()
        torch.set_num_threads(1)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        layer = merge_settings(nest(key.split("."), value) for key, value in SETTINGS[recipe].items())
        config = resolve(load_recipe(recipe), layer, {"members": members, "seed": seed, "images": 10**6, "threads": 1})
        self.config = settle(config, {"conditional": config.conditional is True}, total=10**6)
        store = open_data(self.config.data)
        scaling = Scaling.fit(store, self.config.generator.network.output).to(device)
        self.learner = make_gan(self.config, store, scaling, Networks(), device)
        self.feed = make_feed(self.config, store, scaling, device)
        self.engine = Engine(self.learner, "float32", recorder_for(device, self.config.execution))
        self.position = 0
        self.seconds(WARM_UP)

    def seconds(self, rounds: int) -> float:
        """Of so many rounds."""
        import torch

        from saddle.base.chance import stream

        batch, turns = self.config.batch_size, self.learner.turns
        began = time.perf_counter()
        for _ in range(rounds):
            self.learner.schedule(self.position)
            batches = [self.feed.batch(self.position + turn * batch, batch) for turn in range(turns)]
            number = self.position // (batch * turns)
            self.engine.play(batches, number, stream(self.config.seed, "round", self.position))
            self.position += batch * turns
            self.learner.follow(self.position, batch * turns)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - began


def device_name() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU, one thread each"


if __name__ == "__main__":
    main()
