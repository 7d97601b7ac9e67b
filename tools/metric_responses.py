r"""How each score answers to damaged samples: the figures and the tables of docs/metrics.md.

    SADDLE_DATA=DIR python tools/metric_responses.py --extractor mnist-cnn-v1 --extractor random-conv-v1 \
        --extractor pixels [--data mnist] [--count 2000] [--out FILE]

Held-out real images stand for a perfect generator. They are damaged step by step: noise, blur, pieces in another order,
missing classes, repeated samples, one class instead of all, copies of training images. Everything is compared with the
training images, by each extractor.
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
from saddle.show.figure import LINES, add_axes, new_figure, to_picture

_NOT_DRAWN = ("kd_error", "parzen_error", "parzen_validation")
# The scores that depend on the extractor; the others are computed with the first one only.
_OF_FEATURES = ("fd", "kd", "precision", "recall", "density", "coverage")
# The rest may choose the Parzen window; None: there is no rest, and no such score.
_TRAINED_ON = {"mnist": 50_000, "digits": 1_200, "cifar10": None}


Responses = dict[str, dict[str, list[float]]]  # by damage, then by figure: one value for each level


class Samples(NamedTuple):
    """uint8 images (N, C, H, W) and the classes that they stand for (N,)."""

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
        np.asarray(Image.fromarray(image.squeeze()).filter(ImageFilter.GaussianBlur(level))).reshape(image.shape)
        for image in samples.images.permute(0, 2, 3, 1).numpy()
    ]
    return samples._replace(images=torch.from_numpy(np.stack(blurred)).permute(0, 3, 1, 2).contiguous())


def _shuffled(samples: Samples, _: Samples, level: float) -> Samples:
    parts, side = int(level), samples.images.shape[3] // int(level)
    chance = torch.Generator().manual_seed(0)
    images = samples.images.clone()
    for image, source in zip(images, samples.images, strict=True):
        pieces = source.unfold(1, side, side).unfold(2, side, side).flatten(1, 2)
        pieces = pieces[:, torch.randperm(parts**2, generator=chance)].unflatten(1, (parts, parts))
        whole = pieces.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        image[:, : whole.shape[1], : whole.shape[2]] = whole
    return samples._replace(images=images)


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
    rows = torch.randperm(len(training.images), generator=torch.Generator().manual_seed(1))[: len(copied)]
    images, labels = samples.images.clone(), samples.labels.clone()
    images[copied], labels[copied] = training.images[rows], training.labels[rows]
    return Samples(images, labels)


DAMAGES = (
    Damage("noise, standard deviation", (0, 0.05, 0.1, 0.2, 0.4), _noise),
    Damage("blur, pixels", (0, 0.5, 1, 1.5, 2), _blur),
    Damage("pieces of a side, shuffled", (1, 2, 4), _shuffled),
    Damage("classes missing", (0, 1, 3, 5, 8), _missing),
    Damage("share of repeats", (0, 0.5, 0.9, 0.98, 0.998), _repeated),
    Damage("share replaced by one class", (0, 0.25, 0.5, 0.75, 1), _one_class),
    Damage("share of copies", (0, 0.25, 0.5, 0.75, 1), _copies),
)


def two_sides(data: str, first: int | None, extractor: str | None = None) -> tuple[RealData, Samples]:
    """The real side, ``first`` training images, and what is damaged; every second held-out image for each."""
    config = DataConfig(source=data, first=first)
    store = open_data(config)
    held_out = open_held_out(config, store)
    assert held_out is not None
    half, other = held_out.taking(slice(0, None, 2)), held_out.taking(slice(1, None, 2))
    assert other.labels is not None
    real = RealData(store, half, open_validation(config, store), find_extractor(extractor, store))
    return real, Samples(torch.from_numpy(other.values.copy()), torch.from_numpy(other.labels))


def responses(
    real: RealData, samples: Samples, names: Sequence[str] | None = None, damages: Sequence[Damage] = DAMAGES
) -> Responses:
    """The scores by damage, then by name: one value for each level."""
    assert real.train.labels is not None
    training = Samples(real.train.values, real.train.labels)
    measures: list[Measure] = choose(names, real, by_class=True, likelihood=False)
    found: Responses = {}
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


def lines(found: dict[str, Responses], name: str) -> dict[str, dict[str, list[float]]]:
    """What is drawn of one figure: by extractor, then by damage.

    Fréchet and kernel distances are drawn in multiples of the undamaged value and of the largest one, since their units
    are each extractor's own.
    """
    drawn: dict[str, dict[str, list[float]]] = {}
    for extractor, rows in found.items():
        values = {damage: figures[name] for damage, figures in rows.items() if name in figures}
        if values:
            unit = {"fd": values[DAMAGES[0].name][0], "kd": max(map(max, values.values()))}.get(name, 1)
            drawn[extractor] = {damage: [value / unit for value in one] for damage, one in values.items()}
    return drawn


def draw(found: dict[str, Responses], names: Sequence[str]) -> Image.Image:
    """A row for each figure, a column for each damage, a line for each extractor."""
    figure = new_figure(1.6 * len(DAMAGES), 1.05 * len(names))
    for row, name in enumerate(names):
        drawn = lines(found, name)
        every = [value for rows in drawn.values() for values in rows.values() for value in values]
        low, high = min(every), max(every)
        for column, damage in enumerate(DAMAGES):
            axes = add_axes(figure, len(names), len(DAMAGES), row * len(DAMAGES) + column + 1)
            for (extractor, rows), (color, _) in zip(drawn.items(), LINES, strict=False):
                axes.plot(rows[damage.name], "o-", color=color, markersize=3, label=extractor)
            if name == "fd":
                axes.set_yscale("log")
                axes.set_ylim(low / 1.5, high * 1.5)
            else:
                axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
            axes.set_xticks(range(len(damage.levels)), [f"{level:g}" for level in damage.levels])
            axes.tick_params(labelsize=6)
            if column == 0:
                axes.set_ylabel({"fd": "fd, ratio", "kd": "kd, share"}.get(name, name))
            if row == len(names) - 1:
                axes.set_xlabel(damage.name, fontsize=7)
            if row == 0 and column == len(DAMAGES) - 1:  # copies are what no distance sees
                axes.legend(fontsize=5, loc="upper right")
    return to_picture(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist", choices=sorted(_TRAINED_ON))
    parser.add_argument("--extractor", action="append", required=True, help="repeatable; the first tells classes apart")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("docs/images/metric-responses.png"))
    arguments = parser.parse_args()
    found: dict[str, Responses] = {}
    for number, extractor in enumerate(arguments.extractor):
        real, samples = two_sides(arguments.data, _TRAINED_ON[arguments.data], extractor)
        # Folders come class by class.
        some = torch.randperm(len(samples.images), generator=torch.Generator().manual_seed(0))[: arguments.count]
        found[extractor] = responses(real, _chosen(samples, some), None if number == 0 else _OF_FEATURES)
        print(f"\n## {extractor}")
        for damage, rows in found[extractor].items():
            levels = next(one.levels for one in DAMAGES if one.name == damage)
            print(f"\n| {damage} | {' | '.join(f'{level:g}' for level in levels)} |")
            print("|---" * (len(levels) + 1) + "|")
            for name, values in rows.items():
                print(f"| {name} | {' | '.join(f'{value:.4g}' for value in values)} |", flush=True)
    first = found[arguments.extractor[0]][DAMAGES[0].name]
    draw(found, [name for name in first if name not in _NOT_DRAWN]).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
