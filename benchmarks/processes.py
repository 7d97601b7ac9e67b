"""Images per second of one run with one process, one process with two threads, and two processes (torchrun, gloo).

    python benchmarks/processes.py [--recipe mnist] [--data digits] [--images 6400] [--laps 3] [--json FILE]

Each lap is a training of its own on the CPU, as a user starts it. The laps alternate. A lap's figure is the median of
the rates of its log lines but the first, so that start-up is left out. Prints Markdown; ``--json`` keeps every figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from summary import machine, machine_line, table

LINES = 6
# What is compared: processes, and threads of each.
SIDES = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}


def main() -> None:
    """Run the laps and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="mnist", help="a recipe (default: mnist)")
    parser.add_argument("--data", default="digits", help="its data (default: digits)")
    parser.add_argument("--images", type=int, default=6400, help="images a lap (default: 6,400)")
    parser.add_argument("--laps", type=int, default=3, help="laps of each side (default: 3)")
    parser.add_argument("--json", type=Path, help="where every figure goes")
    arguments = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(arguments.laps):
        for name, (processes, threads) in SIDES.items():
            rate = lap(arguments.recipe, arguments.data, arguments.images, processes, threads)
            rates[name].append(rate)
            print(f"{name}: {rate:,.0f} images/s", file=sys.stderr, flush=True)
    what = {"recipe": arguments.recipe, "data": arguments.data, "images": arguments.images}
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"machine": machine(), **what, "images_per_second": rates}, indent=2) + "\n"
        )
    print(f"\n`{arguments.recipe}` on {arguments.data}, {arguments.laps} laps of {arguments.images:,} images each.")
    print(f"{machine_line()}\n")
    rows = [
        (name, *(f"{number:,.0f}" for number in (min(each), statistics.median(each), max(each))))
        for name, each in rates.items()
    ]
    print(table(("images/s", "min", "median", "max"), rows))


def lap(recipe: str, data: str, images: int, processes: int, threads: int) -> float:
    """Images per second of one training."""
    settings = (f"images={images}", f"log.every={max(1, images // LINES)}", f"samples.every={images}")
    options = [word for setting in settings for word in ("--set", setting)]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train = ["-m", "saddle", "train", recipe, "--data", data, "--device", "cpu", "--threads", str(threads)]
        command = [sys.executable, *launcher, *train, "--out", str(run), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return statistics.median(line["images_per_second"] for line in lines[1:])


if __name__ == "__main__":
    main()
