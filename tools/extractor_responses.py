"""How extractors answer to damaged pictures of any folder: a table of docs/metrics.md.

    python tools/extractor_responses.py FOLDER [--size 64] [--count 1400]

Half of the pictures stand for training images, and the other half is damaged. Printed is the Fréchet distance between
the two, over that of the undamaged half.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.features.extractors import Extractor, find_extractor
from saddle.metrics import Moments, frechet_distance

_EXTRACTORS = ("random-conv-v1", "cifar10-cnn-v1")


def _blurred(images: Tensor, radius: float) -> Tensor:
    pictures = [Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)) for image in _last(images).numpy()]
    return torch.from_numpy(np.stack([*map(np.asarray, pictures)])).permute(0, 3, 1, 2)


def _woven(images: Tensor, level: float) -> Tensor:
    height, width = images.shape[2:]
    squares = (torch.arange(height)[:, None] // 2 + torch.arange(width) // 2) % 2 * 2 - 1
    return _bytes(images + level * squares)


def _halves(images: Tensor, _: float) -> Tensor:
    joined, middle = images.clone(), images.shape[3] // 2
    joined[..., middle:] = images.roll(1, 0)[..., middle:]
    return joined


def _bent(images: Tensor, level: float) -> Tensor:
    count, _, height, width = images.shape
    shifts = torch.randn(count, 2, 5, 5, generator=torch.Generator().manual_seed(0)) * 2 * level
    smooth = interpolate(shifts, (height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    grid = affine_grid(torch.eye(2, 3).expand(count, 2, 3), list(images.shape), align_corners=False)
    return _bytes(grid_sample(images.float(), grid + smooth, padding_mode="border", align_corners=False))


def _repeated(images: Tensor, share: float) -> Tensor:
    return images[torch.arange(len(images)) % max(1, round((1 - share) * len(images)))]


DAMAGES: dict[str, tuple[float, Callable[[Tensor, float], Tensor]]] = {
    "none": (0, lambda images, _: images),
    "blurred by 1 pixel": (1, _blurred),
    "a pattern of 2 pixels, ± 10 of 255": (10, _woven),
    "left halves with others' right halves": (0, _halves),
    "bent, by 6 % of the side": (0.06, _bent),
    "an eighth, eight times": (0.875, _repeated),
}


def distances(extractor: Extractor, images: Tensor) -> list[float]:
    """The distance for each damage, over the first.

    Args:
        extractor: takes them.
        images: uint8 (N, C, H, W) in an order that means nothing.
    """

    def moments(values: Tensor) -> Moments:
        parts = [extractor(batch).features for batch in values.split(extractor.batch)]
        return Moments.of(torch.cat(parts).double())

    half = len(images) // 2
    real = moments(images[:half])
    found = [
        frechet_distance(moments(damage(images[half : 2 * half], level)), real) for level, damage in DAMAGES.values()
    ]
    return [distance / found[0] for distance in found]


def _last(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).contiguous()


def _bytes(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--count", type=int, default=1400)
    arguments = parser.parse_args()
    store = open_data(DataConfig(source=arguments.folder, size=arguments.size, held_out=0))
    order = torch.randperm(len(store), generator=torch.Generator().manual_seed(0))[: arguments.count]
    images = torch.from_numpy(store.values[order.numpy()])
    columns = [distances(find_extractor(name, store), images) for name in _EXTRACTORS]
    print(f"| damage | {' | '.join(f'`{name}`' for name in _EXTRACTORS)} |\n|---|{'---|' * len(_EXTRACTORS)}")
    for name, *row in zip(DAMAGES, *columns, strict=True):
        print(f"| {name} | {' | '.join(f'{ratio:.1f}' for ratio in row)} |")


if __name__ == "__main__":
    main()
