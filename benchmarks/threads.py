"""How long a round of `mlp-tanh` takes with one thread and with all, alone and beside busy processes.

OpenMP's threads spin while they wait for each other (GOMP_SPINCOUNT); the command line bounds that. Each measurement
runs in a process of its own, since the setting is read when torch is imported.

    python benchmarks/threads.py [--rounds 100]
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time

SPIN = {"torch's default": None, "1000, as the command line sets it": "1000"}


def measure(threads: int, rounds: int) -> None:
    """Print milliseconds a round; run in a child process."""
    import torch

    from saddle.config import load_recipe, resolve
    from saddle.config.schema import DataConfig
    from saddle.data import from_object
    from saddle.data.scaling import Scaling
    from saddle.training.assemble import Networks, make_feed, make_gan
    from saddle.training.engine import flush_denormals

    flush_denormals()
    torch.set_num_threads(threads)
    config = resolve(load_recipe("mlp-tanh"))
    images = torch.randint(0, 256, (2_000, 1, 28, 28), dtype=torch.uint8)
    store = from_object(images, config=DataConfig(source="noise"))
    device = torch.device("cpu")
    scaling = Scaling.fit(store, config.generator.network.output)
    gan = make_gan(config, store, scaling, Networks(), device)
    feed = make_feed(config, store, scaling, device)

    def play(count: int) -> None:
        for number in range(count):
            gan.play([feed.batch(number * config.batch_size, config.batch_size)], number)

    play(5)
    began = time.perf_counter()
    play(rounds)
    print(1000 * (time.perf_counter() - began) / rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.rounds)
        return
    cores = os.cpu_count() or 1
    print(f"Milliseconds a round of `mlp-tanh` (batch 128) on {cores} cores, {platform.machine()}\n")
    print("| GOMP_SPINCOUNT | threads | alone | beside a busy process a core |")
    print("|---|---|---|---|")
    for name, spin in SPIN.items():
        for threads in sorted({1, cores}):
            environment = {**os.environ, "GOMP_SPINCOUNT": spin} if spin else dict(os.environ)
            command = [sys.executable, __file__, "--measure", str(threads), "--rounds", str(arguments.rounds)]
            figures: list[str] = []
            for busy in (0, cores):
                others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
                try:
                    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                finally:
                    for other in others:
                        other.kill()
                        other.wait()
                figures.append(f"{float(done.stdout):.1f}")
            print(f"| {name} | {threads} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
