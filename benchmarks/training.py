"""Images per second of recipes, beside loops written as tutorials write them.

    SADDLE_DATA=DIR python benchmarks/training.py [RECIPE ...] [--seconds 20] [--laps 3] [--precision float32 auto]
    [--device cuda] [--json FILE]

Both sides train the same kind of networks with the same batches on the images of MNIST. The laps alternate, each in a
process of its own, since flushed denormals and thread counts belong to a process. Imports, reading the files and
choosing threads and precision come before a lap. saddle's lap includes its log lines, two sample grids, and a
checkpoint and a generator file at its end, which in a long run come far more rarely.

The tutorial's side is a ``DataLoader`` in the training process, which makes a Pillow image and then a tensor of each
image, ``nn.Sequential`` networks with D ending in a sigmoid, ``BCELoss``, Adam, ``.item()`` in each step, and torch's
default threads. torchvision is no dependency: what its ToTensor and Normalize do is written out, more cheaply than
there. G plays on samples that D has seen, judged afresh.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from summary import machine, machine_line, table

PIXELS, LATENTS = 784, 100
CHUNK = 512  # rounds whose time decides how long a lap becomes


class Tutorial(NamedTuple):
    """What a tutorial's script trains.

    Args:
        batch: images in a batch.
        rate, betas: of both of its optimizers.
        networks: () → G and D, which take rows where they are no convolutions.
        classes: of labels, joined to what G and D take; 0: none.
        rows: whether images are flattened.
    """

    batch: int
    rate: float
    betas: tuple[float, float]
    networks: Callable[[], Any]
    classes: int = 0
    rows: bool = True


def mlp_tanh() -> Any:
    from torch import nn

    generator = nn.Sequential(
        nn.Linear(LATENTS, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, PIXELS), nn.Tanh()
    )
    return generator, nn.Sequential(nn.Linear(PIXELS, 256), nn.ReLU(), nn.Linear(256, 1), nn.Sigmoid())


def mlp_dropout() -> Any:
    from torch import nn

    def layer(before: int, after: int, shaping: nn.Module) -> list[nn.Module]:
        return [nn.Linear(before, after), shaping, nn.Dropout(0.1)]

    generator = [*layer(LATENTS, 256, nn.ReLU()), *layer(256, 256, nn.ReLU()), nn.Linear(256, PIXELS), nn.Tanh()]
    leaky = nn.LeakyReLU(0.01)
    discriminator = [*layer(PIXELS, 256, leaky), *layer(256, 256, leaky), nn.Linear(256, 1), nn.Sigmoid()]
    return nn.Sequential(*generator), nn.Sequential(*discriminator)


def cgan() -> Any:
    from torch import nn

    def stack(before: int, after: int, end: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Linear(before, 200), nn.LeakyReLU(0.02), nn.LayerNorm(200), nn.Linear(200, after), end)

    return stack(LATENTS + 10, PIXELS, nn.Sigmoid()), stack(PIXELS + 10, 1, nn.Sigmoid())


def dcgan() -> Any:
    from torch import nn

    start = nn.Unflatten(1, (LATENTS, 1, 1)), nn.ConvTranspose2d(LATENTS, 64, 7, bias=False)
    generator = nn.Sequential(
        *(*start, nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh()),
    )
    discriminator = nn.Sequential(
        *(nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(32, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(64 * 49, 1), nn.Sigmoid()),
    )
    return generator, discriminator


TUTORIALS = {
    "mlp-tanh": Tutorial(128, 2e-4, (0.5, 0.999), mlp_tanh),
    "mlp-dropout": Tutorial(64, 2e-4, (0.9, 0.999), mlp_dropout),
    "cgan-published": Tutorial(1, 1e-4, (0.9, 0.999), cgan, classes=10),
    "dcgan": Tutorial(64, 2e-4, (0.5, 0.999), dcgan, rows=False),
}


def main() -> None:
    """Run the laps and print the table, or run one lap."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", default=list(TUTORIALS), help=", ".join(TUTORIALS))
    parser.add_argument("--seconds", type=float, default=20.0, help="of a lap, about (default: 20)")
    parser.add_argument("--laps", type=int, default=3, help="laps of each side (default: 3)")
    parser.add_argument("--precision", nargs="+", default=["float32", "auto"], help="saddle's (default: float32 auto)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--lap", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (Path(os.environ.get("SADDLE_DATA") or "nowhere") / "mnist").is_dir():
        parser.error("SADDLE_DATA must name a folder that holds mnist/ with the four idx files")
    if unknown := [name for name in arguments.recipes if name not in TUTORIALS]:
        parser.error(f"no such recipe here: {', '.join(unknown)}; there are {', '.join(TUTORIALS)}")
    if arguments.lap:
        recipe, side = arguments.recipes[0], arguments.lap
        lap = tutorial_lap(recipe, arguments) if side == "tutorial" else saddle_lap(recipe, side, arguments)
        print(json.dumps(lap))
        return
    sides = [*(f"saddle, {precision}" for precision in arguments.precision), "tutorial"]
    found: dict[str, Any] = {"machine": machine(), "device": arguments.device, "recipes": {}}
    for recipe in arguments.recipes:
        laps = [{side: run(recipe, side, arguments) for side in sides} for _ in range(arguments.laps)]
        found["recipes"][recipe] = laps
    show(found, sides)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def run(recipe: str, side: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One lap in a fresh process."""
    command = [sys.executable, __file__, recipe, "--lap", side.removeprefix("saddle, ")]
    command += ["--seconds", str(arguments.seconds), "--device", arguments.device]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    print(f"{recipe}, {side}: {result}", file=sys.stderr, flush=True)
    return result


def show(found: dict[str, Any], sides: list[str]) -> None:
    """Print what was measured as Markdown."""
    print(f"\nImages per second on {found['device']}, median (and range) of the laps. {machine_line()}\n")
    rows: list[list[object]] = []
    for recipe, laps in found["recipes"].items():
        row: list[object] = [f"`{recipe}`"]
        for side in sides:
            rates = [lap[side]["images"] / lap[side]["seconds"] for lap in laps]
            ratios = [
                rate * lap["tutorial"]["seconds"] / lap["tutorial"]["images"]
                for rate, lap in zip(rates, laps, strict=True)
            ]
            how = ", ".join(dict.fromkeys(lap[side]["how"] for lap in laps))
            text = f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}; {how})"
            row.append(text + ("" if side == "tutorial" else f", **{statistics.median(ratios):.1f} times**"))
        rows.append(row)
    print(table(["recipe", *sides], rows))


def saddle_lap(recipe: str, precision: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """``saddle.train`` as a user calls it, for about so many seconds."""
    import saddle
    from saddle.base.progress import Silent
    from saddle.config import load_config

    class Stopwatch(Silent):
        seconds = 0.0

        def start(self, what: str, total: int | None, unit: str, *, done: int = 0) -> None:
            self.seconds = -time.perf_counter()

        def finish(self) -> None:
            self.seconds += time.perf_counter()

    def train(images: int, **more: Any) -> tuple[float, Any]:
        watch = Stopwatch()
        run = saddle.train(
            recipe, out=Path(folder) / str(images), images=images, settings={"precision": precision, **more},
            device=arguments.device, progress=watch,
        )  # fmt: skip
        return watch.seconds, run

    with tempfile.TemporaryDirectory() as folder:
        batch = TUTORIALS[recipe].batch
        first = CHUNK * batch
        seconds, run = train(first)
        config = load_config(run.folder.config)
        images = max(first, round(first * arguments.seconds / seconds / batch) * batch)
        seconds, run = train(images + batch, threads=int(config.threads), precision=config.precision)
        seen = run.log[-1]["images"]
    return {"images": seen, "seconds": seconds, "how": f"{config.precision}, {config.threads} threads"}


def tutorial_lap(recipe: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The same training, as tutorials write it, for so many seconds."""
    import numpy as np
    import torch
    from PIL import Image
    from torch import Tensor, nn
    from torch.nn.functional import one_hot
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
    torch.backends.cudnn.allow_tf32 = False  # as saddle's float32 has it
    tutorial, device = TUTORIALS[recipe], torch.device(arguments.device)
    batch, classes = tutorial.batch, tutorial.classes
    loader = DataLoader(Images(), batch_size=batch, shuffle=True, drop_last=True)
    generator, discriminator = (network.to(device) for network in tutorial.networks())
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=tutorial.rate, betas=tutorial.betas)
        for network in (generator, discriminator)
    ]
    criterion = nn.BCELoss()
    ones, zeros = torch.ones(batch, 1).to(device), torch.zeros(batch, 1).to(device)
    losses: list[tuple[float, float]] = []

    def joined(values: Tensor, labels: Tensor) -> Tensor:
        return torch.cat([values, one_hot(labels, classes).float()], 1) if classes else values

    began, seen = time.perf_counter(), 0
    while time.perf_counter() - began < arguments.seconds:
        for images, classes_shown in loader:
            labels = classes_shown.to(device)
            real = (images.view(batch, -1) if tutorial.rows else images).to(device)
            fake = generator(joined(torch.randn(batch, LATENTS).to(device), labels))
            optimizers[1].zero_grad()
            loss_d = criterion(discriminator(joined(real, labels)), ones)
            loss_d = loss_d + criterion(discriminator(joined(fake.detach(), labels)), zeros)
            loss_d.backward()
            optimizers[1].step()
            optimizers[0].zero_grad()
            loss_g = criterion(discriminator(joined(fake, labels)), ones)
            loss_g.backward()
            optimizers[0].step()
            losses.append((loss_d.item(), loss_g.item()))
            seen += batch
            if time.perf_counter() - began >= arguments.seconds:
                break
    return {"images": seen, "seconds": time.perf_counter() - began, "how": f"{torch.get_num_threads()} threads"}


if __name__ == "__main__":
    main()
