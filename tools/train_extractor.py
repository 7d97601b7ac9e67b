"""Train one of the networks whose features the metrics compare: the files in ``src/saddle/features/weights``.

    python tools/train_extractor.py mnist-cnn-v1 --out mnist-cnn-v1.safetensors

Trained on the training images, changed at random as the plan says; the test images are looked at once, at the end. The
plan of cifar10-cnn-v1 was chosen after earlier ones had been tested: see src/saddle/features/weights/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, pad
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from saddle.base.tensors import save_tensors
from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.data.store import Store
from saddle.features.small_cnn import SmallCNN

ROTATION, ZOOM = math.radians(12), 0.12
ADAM = partial(AdamW, weight_decay=1e-2, fused=True)
SGD_NESTEROV = partial(SGD, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True)


def moved(images: Tensor, shift: float) -> Tensor:
    """Images turned, zoomed and shifted at random, by up to ``shift`` of a side; what comes in is background."""
    count = len(images)
    angle = (torch.rand(count) * 2 - 1) * ROTATION
    zoom = 1 + (torch.rand(count, 2) * 2 - 1) * ZOOM
    move = (torch.rand(count, 2) * 2 - 1) * 2 * shift
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([cos * zoom[:, 0], -sin, move[:, 0], sin, cos * zoom[:, 1], move[:, 1]], 1)
    grid = affine_grid(rows.view(count, 2, 3), list(images.shape), align_corners=False)
    return grid_sample(images + 1, grid, align_corners=False) - 1


def cropped(images: Tensor, most: int) -> Tensor:
    """Images shifted by up to ``most`` pixels at random, and half of them mirrored; what comes in is a reflection."""
    count, channels, height, width = images.shape
    rows = torch.randint(2 * most + 1, (count, 1)) + torch.arange(height)
    columns = torch.randint(2 * most + 1, (count, 1)) + torch.arange(width)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns, columns.flip(1))
    each, channel = torch.arange(count).view(-1, 1, 1, 1), torch.arange(channels).view(-1, 1, 1)
    wider = pad(images, (most, most, most, most), mode="reflect")
    return wider[each, channel, rows[:, None, :, None], columns[:, None, None, :]]


class Cycle(NamedTuple):
    """A learning rate that rises and falls once.

    Args:
        epochs: that it lasts.
        batch_size: images in a step.
        rate: the largest.
        averaging: of the weights, from step to step.
    """

    epochs: int
    batch_size: int
    rate: float
    averaging: float


@dataclass(frozen=True)
class Plan:
    """How one network is trained.

    Args:
        data: its name.
        change: what is done to a batch of images (B, C, H, W) in [-1, 1] before it is seen.
        cycles: one after the other; each ends with, and the next begins with, the average of the weights.
        optimizer: of the parameters, anew in each cycle.
        pooled: which of the two kinds of SmallCNN.
        half: products in bfloat16, and weights kept in float16.
    """

    data: str
    widths: tuple[int, ...]
    change: Callable[[Tensor], Tensor]
    cycles: tuple[Cycle, ...]
    optimizer: Callable[[list[nn.Parameter]], Optimizer] = ADAM
    pooled: bool = False
    half: bool = False


PLANS = {
    "mnist-cnn-v1": Plan("mnist", (24, 48, 96), partial(moved, shift=0.08), (Cycle(16, 128, 4e-3, 0.998),)),
    "digits-cnn-v1": Plan("digits", (24, 48), partial(moved, shift=0.1), (Cycle(120, 50, 4e-3, 0.998),)),
    "cifar10-cnn-v1": Plan(
        "cifar10", (48, 128, 192), partial(cropped, most=2), (Cycle(9, 500, 0.5, 0.98), Cycle(2, 125, 0.04, 0.995)),
        SGD_NESTEROV, pooled=True, half=True,
    ),
}  # fmt: skip


def images_of(store: Store) -> Tensor:
    """The store's images in [-1, 1]."""
    return torch.from_numpy(store.values.astype("float32")) / 127.5 - 1


def prepare(network: SmallCNN, images: Tensor) -> None:
    """Begin a pooled network as its source does.

    The first convolution whitens 2×2 patches and stays as it is; each other one passes on the channels that it sees,
    and adds random ones.
    """
    convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 4 * images.shape[1])
    variances, directions = torch.linalg.eigh(torch.cov(patches.T))
    white = (directions / (variances + 5e-4).sqrt()).T.view(-1, *convolutions[0].weight.shape[1:])
    with torch.no_grad():
        convolutions[0].weight.copy_(torch.cat([white, -white]))
        convolutions[0].bias.zero_()
        for layer in convolutions[1:]:
            nn.init.dirac_(layer.weight[: layer.in_channels])
    convolutions[0].requires_grad_(False)


def train_for(cycle: Cycle, network: nn.Module, plan: Plan, images: Tensor, labels: Tensor) -> None:
    """Train the network for one cycle, which leaves it with the average of its weights."""
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(cycle.averaging), use_buffers=True)
    optimizer = plan.optimizer([parameter for parameter in network.parameters() if parameter.requires_grad])
    steps = cycle.epochs * (len(images) // cycle.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, cycle.rate, total_steps=steps)
    began = time.monotonic()
    for epoch in range(cycle.epochs):
        network.train()
        total = torch.zeros(())
        order = torch.randperm(len(images))
        batches = order[: len(order) // cycle.batch_size * cycle.batch_size].view(-1, cycle.batch_size)
        for index in batches:
            seen = plan.change(images[index]).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=plan.half):
                logits = network(seen)
            loss = cross_entropy(logits.float(), labels[index], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
            total += loss.detach()
        mean = total.item() / len(batches)
        print(f"epoch {epoch + 1:>3} of {cycle.epochs}  loss {mean:.4f}  {time.monotonic() - began:.0f} s", flush=True)
    network.load_state_dict(averaged.module.state_dict())


def accuracy(network: nn.Module, store: Store) -> float:
    """The share of the store's images that the network gets right."""
    network.eval()
    with torch.inference_mode():
        found = torch.cat([network(piece).argmax(1) for piece in images_of(store).split(500)])
    assert store.labels is not None
    return (found == torch.from_numpy(store.labels)).double().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=sorted(PLANS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    plan = PLANS[arguments.name]
    train = open_data(DataConfig(source=plan.data))
    test = open_data(DataConfig(source=plan.data, split="test"))
    assert train.labels is not None
    images, labels = images_of(train), torch.from_numpy(train.labels)

    network = SmallCNN(train.shape[0], plan.widths, len(train.class_names), pooled=plan.pooled)
    if plan.pooled:
        prepare(network, images[:: len(images) // 2_000])
    network.to(memory_format=torch.channels_last)
    for cycle in plan.cycles:
        train_for(cycle, network, plan, images, labels)
    if plan.half:
        network.half().float()  # what the file holds is what is measured
    score = accuracy(network, test)
    kept = (network.half() if plan.half else network).state_dict()
    header = {
        "format": "saddle-extractor-1",
        "name": arguments.name,
        "shape": list(train.shape),
        "widths": list(plan.widths),
        "pooled": plan.pooled,
        "class_names": list(train.class_names),
        "accuracy": round(score, 6),
        "data": train.fingerprint,
        "test_data": test.fingerprint,
    }
    save_tensors(arguments.out, kept, header)
    digest = hashlib.sha256(arguments.out.read_bytes()).hexdigest()
    print(f"test accuracy {score:.4%} of {len(test):,}; {arguments.out.stat().st_size:,} bytes; sha256 {digest}")


if __name__ == "__main__":
    main()
