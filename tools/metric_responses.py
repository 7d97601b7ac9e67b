"""How each score answers to damaged samples: the figure and the table of docs/metrics.md.

    SADDLE_DATA=DIR python tools/metric_responses.py [--data mnist] [--count 2000]

Held-out real images stand for a perfect generator. They are damaged step by step: noise, blur, missing classes,
repeated samples, one class instead of all, copies of training images. Everything is compared with the training images.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.data.splits import open_held_out, open_validation
from saddle.features.extractors import find_extractor
from saddle.scoring.measures import Measure, choose
from saddle.scoring.sides import RealData
from saddle.show.figure import DISCRIMINATOR, add_axes, new_figure, to_picture

_NOT_DRAWN = ("kd_error", "parzen_error", "parzen_validation")
_LOGARITHMIC = ("fd",)
# The rest may choose the Parzen window.
_TRAINED_ON = {"mnist": 50_000, "digits": 1_200}


class Samples(NamedTuple):
    """uint8 images (N, 1, H, W) and the classes that they stand for (N,)."""

    images: Tensor
    labels: Tensor


class Damage(NamedTuple):
    """One way of getting worse.

    Args:
        name: with the unit of its levels.
        levels: from none to much.
        apply: (samples, training samples, level) → damaged samples.
    """

    name: str
    levels: Sequence[float]
    apply: Callable[[Samples, Samples, float], Samples]


def _noise(samples: Samples, _: Samples, level: float) -> Samples:
    chance = torch.Generator().manual_seed(0)
    noise = torch.randn(samples.images.shape, generator=chance) * level * 255
    return samples._replace(images=(samples.images + noise).clamp(0, 255).to(torch.uint8))


def _blur(samples: Samples, _: Samples, level: float) -> Samples:
    blurred = [
        np.asarray(Image.fromarray(image[0]).filter(ImageFilter.GaussianBlur(level)))
        for image in samples.images.numpy()
    ]
    return samples._replace(images=torch.from_numpy(np.stack(blurred))[:, None])


def _chosen(samples: Samples, index: Tensor) -> Samples:
    return Samples(samples.images[index], samples.labels[index])


def _missing(samples: Samples, _: Samples, level: float) -> Samples:
    left = torch.where(samples.labels >= level)[0]
    return _chosen(samples, left[torch.arange(len(samples.images)) % len(left)])


def _repeated(samples: Samples, _: Samples, level: float) -> Samples:
    distinct = max(1, round((1 - level) * len(samples.images)))
    return _chosen(samples, torch.arange(len(samples.images)) % distinct)


def _one_class(samples: Samples, _: Samples, level: float) -> Samples:
    three = torch.where(samples.labels == 3)[0]
    index = torch.arange(len(samples.images))
    collapsed = round(level * len(index))
    index[:collapsed] = three[torch.arange(collapsed) % len(three)]
    return _chosen(samples, index)


def _copies(samples: Samples, training: Samples, level: float) -> Samples:
    count = len(samples.images)
    copied = torch.randperm(count, generator=torch.Generator().manual_seed(0))[: round(level * count)]
    images, labels = samples.images.clone(), samples.labels.clone()
    images[copied], labels[copied] = training.images[copied], training.labels[copied]
    return Samples(images, labels)


DAMAGES = (
    Damage("noise, standard deviation", (0, 0.05, 0.1, 0.2, 0.4), _noise),
    Damage("blur, pixels", (0, 0.5, 1, 1.5, 2), _blur),
    Damage("classes missing", (0, 1, 3, 5, 8), _missing),
    Damage("share of repeats", (0, 0.5, 0.9, 0.98, 0.998), _repeated),
    Damage("share replaced by one class", (0, 0.25, 0.5, 0.75, 1), _one_class),
    Damage("share of copies", (0, 0.25, 0.5, 0.75, 1), _copies),
)


def two_sides(data: str, first: int) -> tuple[RealData, Samples]:
    """The real side, ``first`` training images, and what is damaged; every second held-out image for each."""
    config = DataConfig(source=data, first=first)
    store = open_data(config)
    held_out = open_held_out(config, store)
    assert held_out is not None
    half, other = held_out.taking(slice(0, None, 2)), held_out.taking(slice(1, None, 2))
    assert other.labels is not None
    real = RealData(store, half, open_validation(config, store), find_extractor(None, store))
    return real, Samples(torch.from_numpy(other.values.copy()), torch.from_numpy(other.labels))


def responses(
    real: RealData, samples: Samples, names: Sequence[str] | None = None, damages: Sequence[Damage] = DAMAGES
) -> dict[str, dict[str, list[float]]]:
    """The scores by damage, then by name: one value for each level."""
    assert real.train.labels is not None
    training = Samples(real.train.values, real.train.labels)
    measures: list[Measure] = choose(names, real, by_class=True)
    found: dict[str, dict[str, list[float]]] = {}
    for damage in damages:
        rows: dict[str, list[float]] = {}
        for level in damage.levels:
            damaged = damage.apply(samples, training, level)
            extracted = real.extract(damaged.images, damaged.labels)
            for measure in measures:
                for name, value in zip(measure.names, measure.compute(extracted, real), strict=True):
                    rows.setdefault(name, []).append(float(value))
        found[damage.name] = rows
    return found


def draw(found: dict[str, dict[str, list[float]]], names: Sequence[str]) -> Image.Image:
    """A row for each figure, a column for each damage."""
    figure = new_figure(2.0 * len(DAMAGES), 1.25 * len(names))
    for row, name in enumerate(names):
        values = [value for damage in DAMAGES for value in found[damage.name][name]]
        low, high = min(values), max(values)
        for column, damage in enumerate(DAMAGES):
            axes = add_axes(figure, len(names), len(DAMAGES), row * len(DAMAGES) + column + 1)
            axes.plot(range(len(damage.levels)), found[damage.name][name], "o-", color=DISCRIMINATOR, markersize=3)
            if name in _LOGARITHMIC:
                axes.set_yscale("log")
                axes.set_ylim(low / 1.5, high * 1.5)
            else:
                axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
            axes.set_xticks(range(len(damage.levels)), [f"{level:g}" for level in damage.levels])
            axes.tick_params(labelsize=6)
            if column == 0:
                axes.set_ylabel(name)
            if row == len(names) - 1:
                axes.set_xlabel(damage.name, fontsize=7)
    return to_picture(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist", choices=sorted(_TRAINED_ON))
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("docs/images/metric-responses.png"))
    arguments = parser.parse_args()
    real, samples = two_sides(arguments.data, _TRAINED_ON[arguments.data])
    found = responses(real, Samples(samples.images[: arguments.count], samples.labels[: arguments.count]))
    names = [name for name in found[DAMAGES[0].name] if name not in _NOT_DRAWN]
    for damage in DAMAGES:
        print(f"\n| {damage.name} | {' | '.join(f'{level:g}' for level in damage.levels)} |")
        print("|---" * (len(damage.levels) + 1) + "|")
        for name in names:
            print(f"| {name} | {' | '.join(f'{value:.4g}' for value in found[damage.name][name])} |")
    draw(found, names).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
