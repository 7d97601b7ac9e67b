"""Seconds per epoch of the recipe ``mlp-tanh`` on MNIST, beside a loop written as tutorials write it.

    SADDLE_DATA=DIR python benchmarks/training.py [--images 60000] [--laps 3]

Both train the same networks with the same batches of 128 on the same images. The laps alternate, saddle first, each in
a process of its own, since flushed denormals and thread counts belong to a process. Imports, reading the files and
choosing the thread count come before a lap. saddle's lap includes its log lines, two sample grids, and a checkpoint
and generator file at its end, which in a long run come only every 200,000 images. A lap of fewer images than an epoch
is scaled up to one.

The tutorial's side is a ``DataLoader`` in the training process, which makes a Pillow image and then a tensor of each
image, ``nn.Sequential`` networks with D ending in a sigmoid, ``BCELoss``, Adam, ``.item()`` in each step, and torch's
default threads. torchvision is no dependency: what its ToTensor and Normalize do is written out, more cheaply than
there. G plays on samples that D has seen, judged afresh, as in the recipe.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from summary import machine_line

EPOCH = 60_000
BATCH = 128
PROFILED = 100 * BATCH  # images


def main() -> None:
    """Run the laps and print the table, or run one lap."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=EPOCH, help="images a lap (default: an epoch, 60,000)")
    parser.add_argument("--laps", type=int, default=3, help="laps of each side (default: 3)")
    parser.add_argument("--lap", choices=LAPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (Path(os.environ.get("SADDLE_DATA", "")) / "mnist").is_dir() or "SADDLE_DATA" not in os.environ:
        parser.error("SADDLE_DATA must name a folder that holds mnist/ with the four idx files")
    if arguments.images < BATCH or arguments.laps < 1:
        parser.error(f"at least {BATCH} images and one lap are needed")
    if arguments.lap:
        print(json.dumps(LAPS[arguments.lap](arguments.images)))
        return
    pairs = [(run("saddle", arguments.images), run("tutorial", arguments.images)) for _ in range(arguments.laps)]
    show(pairs, run("profile", PROFILED), arguments.images)


def run(lap: str, images: int) -> dict[str, Any]:
    """One lap in a fresh process."""
    command = [sys.executable, __file__, "--lap", lap, "--images", str(images)]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    print(f"{lap}: {result}", file=sys.stderr, flush=True)
    return result


def show(pairs: list[tuple[dict[str, Any], dict[str, Any]]], profile: dict[str, Any], images: int) -> None:
    """Print what was measured as Markdown."""
    saddle, tutorial = (
        [side["seconds"] * EPOCH / side["images"] for side in laps] for laps in zip(*pairs, strict=True)
    )
    threads = [f"{ours['threads']} and {theirs['threads']}" for ours, theirs in pairs]
    print(f"\n`mlp-tanh` on MNIST, {len(pairs)} laps of {images:,} images each, alternating, one process a lap.")
    print(f"{machine_line()} Threads: {', '.join(threads)}.\n")
    print("| seconds an epoch | min | median | max |\n|---|---|---|---|")
    for name, seconds in (("saddle", saddle), ("as tutorials write it", tutorial)):
        print(f"| {name} | {min(seconds):.2f} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |")
    ratios = [theirs / ours for ours, theirs in zip(saddle, tutorial, strict=True)]
    print(f"\nRatio of each pair: {', '.join(f'{ratio:.2f}' for ratio in ratios)}.")
    print(
        f"Matrix products (mm, addmm) in saddle's lap: {profile['of_operators']:.0%} of the time in torch's operators, "
        f"{profile['of_wall']:.0%} of the wall clock with the profiler running."
    )


def saddle_lap(images: int, profiler: Any = None) -> dict[str, Any]:
    """``saddle.train`` as a user calls it; ``profiler`` runs while it trains."""
    import torch

    import saddle
    from saddle.base.progress import Silent

    class Stopwatch(Silent):
        seconds = 0.0

        def start(self, what: str, total: int | None, unit: str, *, done: int = 0) -> None:
            self.seconds = -time.perf_counter()
            if profiler:
                profiler.start()

        def finish(self) -> None:
            if profiler:
                profiler.stop()
            self.seconds += time.perf_counter()

    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"images": images}
        run = saddle.train("mlp-tanh", out=Path(folder) / "run", device="cpu", settings=settings, progress=watch)
        seen = run.log[-1]["images"]
    return {"images": seen, "seconds": watch.seconds, "threads": torch.get_num_threads()}


def tutorial_lap(images: int) -> dict[str, Any]:
    """The same training, as tutorials write it."""
    import numpy as np
    import torch
    from PIL import Image
    from torch import Tensor, nn
    from torch.utils.data import DataLoader, Dataset

    from saddle.config.schema import DataConfig
    from saddle.data import open_data

    class Images(Dataset[tuple[Tensor, int]]):
        def __init__(self) -> None:
            store = open_data(DataConfig(source="mnist"))
            assert store.labels is not None
            self.pixels, self.labels = store.values[:, 0], store.labels

        def __len__(self) -> int:
            return len(self.pixels)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            image = Image.fromarray(self.pixels[index])
            tensor = torch.from_numpy(np.array(image)).unsqueeze(0).float().div(255)  # ToTensor()
            return (tensor - 0.5) / 0.5, int(self.labels[index])  # Normalize((0.5,), (0.5,))

    torch.manual_seed(0)
    loader = DataLoader(Images(), batch_size=BATCH, shuffle=True, drop_last=True)
    generator = nn.Sequential(
        nn.Linear(100, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784), nn.Tanh()
    )
    discriminator = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 1), nn.Sigmoid())
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    criterion = nn.BCELoss()
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    losses: list[tuple[float, float]] = []
    seen = 0
    began = time.perf_counter()
    while seen < images:
        for real, _ in loader:
            fake = generator(torch.randn(BATCH, 100))
            optimizer_d.zero_grad()
            loss_d = criterion(discriminator(real.view(BATCH, -1)), ones) + criterion(
                discriminator(fake.detach()), zeros
            )
            loss_d.backward()
            optimizer_d.step()
            optimizer_g.zero_grad()
            loss_g = criterion(discriminator(fake), ones)
            loss_g.backward()
            optimizer_g.step()
            losses.append((loss_d.item(), loss_g.item()))
            seen += BATCH
            if seen >= images:
                break
    return {"images": seen, "seconds": time.perf_counter() - began, "threads": torch.get_num_threads()}


def profile_lap(images: int) -> dict[str, Any]:
    """Where the time of ``saddle_lap`` goes."""
    from torch.profiler import ProfilerActivity, profile

    profiler = profile(activities=[ProfilerActivity.CPU])
    lap = saddle_lap(images, profiler)
    operators = profiler.key_averages()
    products = sum(each.self_cpu_time_total for each in operators if each.key in ("aten::mm", "aten::addmm"))
    total = sum(each.self_cpu_time_total for each in operators)
    return {"of_operators": products / total, "of_wall": products / 1e6 / lap["seconds"]}


LAPS = {"saddle": saddle_lap, "tutorial": tutorial_lap, "profile": profile_lap}


if __name__ == "__main__":
    main()
