"""Train one of the networks whose features the metrics compare: the files in ``src/saddle/features/weights``.

    python tools/train_extractor.py mnist-cnn-v1 --out mnist-cnn-v1.safetensors

Trained once on the official training images, with the run's random affine changes; the test images are looked at once,
at the end, and choose nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from saddle.base.tensors import save_tensors
from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.data.store import Store
from saddle.features.small_cnn import SmallCNN


@dataclass(frozen=True)
class Plan:
    """How one network is trained."""

    data: str
    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    shift: float  # largest shift, as a share of the image's side


PLANS = {
    "mnist-cnn-v1": Plan("mnist", (24, 48, 96), epochs=16, batch_size=128, shift=0.08),
    "digits-cnn-v1": Plan("digits", (24, 48), epochs=120, batch_size=50, shift=0.1),
}
ROTATION, ZOOM = math.radians(12), 0.12
LEARNING_RATE, WEIGHT_DECAY, AVERAGING = 4e-3, 1e-2, 0.998


def images_of(store: Store) -> Tensor:
    """The store's images in [-1, 1]."""
    return torch.from_numpy(store.values.astype("float32")) / 127.5 - 1


def changed(images: Tensor, shift: float) -> Tensor:
    """Images turned, zoomed and shifted at random; what comes in from outside is background."""
    count = len(images)
    angle = (torch.rand(count) * 2 - 1) * ROTATION
    zoom = 1 + (torch.rand(count, 2) * 2 - 1) * ZOOM
    move = (torch.rand(count, 2) * 2 - 1) * 2 * shift
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([cos * zoom[:, 0], -sin, move[:, 0], sin, cos * zoom[:, 1], move[:, 1]], 1)
    grid = affine_grid(rows.view(count, 2, 3), list(images.shape), align_corners=False)
    return grid_sample(images + 1, grid, align_corners=False) - 1


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

    network = SmallCNN(train.shape[0], plan.widths, len(train.class_names))
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGING), use_buffers=True
    )
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY, fused=True)
    steps = plan.epochs * (len(images) // plan.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    began = time.monotonic()
    for epoch in range(plan.epochs):
        network.train()
        total = torch.zeros(())
        order = torch.randperm(len(images))
        batches = order[: len(order) // plan.batch_size * plan.batch_size].view(-1, plan.batch_size)
        for index in batches:
            loss = cross_entropy(network(changed(images[index], plan.shift)), labels[index], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
            total += loss.detach()
        mean = total.item() / len(batches)
        print(f"epoch {epoch + 1:>3} of {plan.epochs}  loss {mean:.4f}  {time.monotonic() - began:.0f} s", flush=True)

    final = averaged.module
    score = accuracy(final, test)
    header = {
        "format": "saddle-extractor-1",
        "name": arguments.name,
        "shape": list(train.shape),
        "widths": list(plan.widths),
        "class_names": list(train.class_names),
        "accuracy": round(score, 6),
        "data": train.fingerprint,
        "test_data": test.fingerprint,
    }
    save_tensors(arguments.out, final.state_dict(), header)
    digest = hashlib.sha256(arguments.out.read_bytes()).hexdigest()
    print(f"test accuracy {score:.4%} of {len(test):,}; {arguments.out.stat().st_size:,} bytes; sha256 {digest}")


if __name__ == "__main__":
    main()
