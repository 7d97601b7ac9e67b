"""Settings that a recipe leaves open, such as ``images``: chosen from the data and the machine when a run begins."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch

from saddle.base import processes
from saddle.config import Config
from saddle.config.resolve import merge_settings, nest
from saddle.data.scaling import Scaling
from saddle.data.store import Store
from saddle.features.extractors import find_extractor
from saddle.runs.log import best_entry
from saddle.training.begin import Source
from saddle.training.learner import Sampled
from saddle.training.sampling import saved_samples
from saddle.training.symmetry import look_alike_mirrored

# How long a run is: as many images as this time allows, but no more than the data can teach.
_SECONDS = 3_300.0
_FEWEST, _MOST = 100_000, 20_000_000
_SHOWINGS = 1_000  # of each image, beyond which D knows them by heart
_SETTLED = 0.03  # a score that fell by less over the last quarter of a run has settled
# Scores take this share of the time, and there are so many of them at most.
_SCORING, _SCORES = 0.05, 20
# Below so many images, D sees them augmented (Zhao et al. 2020); fewer than these few teach hardly anything.
_LITTLE, _HARDLY_ANY = 5_000, 100
_SHAPES_AFTER = 100_000  # images seen when the first shapes show
_TIMED = range(16, 257)  # samples whose drawing and scoring is timed, fewer of larger ones
_TIMED_VALUES = 2**22  # in all of them together


def from_data(config: Config, store: Store, device: torch.device, source: Source | None = None) -> dict[str, Any]:
    """What the images decide by their number and their looks, as nested tables, of the settings that are left open.

    Args:
        config: of the run, which knows whether it is conditional.
        store: the data.
        device: where it is trained.
        source: the run that it begins from, whose networks it takes.
    """
    widths = [32 if device.type == "cpu" else 64] * 2
    if source is not None:
        networks = source.header.network, source.discriminator and source.discriminator.network
        widths = [getattr(network, "width", width) for network, width in zip(networks, widths, strict=True)]
    batch = config.batch_size
    while batch // 2 >= max(2, config.game.packing * processes.count()) and batch > len(store):
        batch //= 2
    chosen = {
        "batch_size": batch,
        "generator.network.width": widths[0],
        "discriminator.network.width": widths[1],
        "game.augment": {"kind": "diffaugment" if store.kind == "images" and len(store) < _LITTLE else "none"},
    }
    if not config.conditional:
        chosen["game.classification"] = 0.0
    if "data.mirror" in config.auto and store.kind == "images":
        chosen["data.mirror"] = look_alike_mirrored(store, labelled=bool(config.conditional))
    return merge_settings(nest([*key.split(".")], chosen[key]) for key in config.auto if key in chosen)


def from_record(config: Config, recorded: Config) -> dict[str, Any]:
    """What an earlier part of the run has chosen."""
    tables = recorded.model_dump(mode="json")

    def value(key: str) -> Any:
        found: Any = tables
        for name in key.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    return merge_settings(nest([*key.split(".")], value(key)) for key in config.auto)


def from_speed(config: Config, store: Store, seconds: float, score: float) -> dict[str, Any]:
    """The length and how often it is scored, as nested tables, where these are left open.

    Args:
        config: of the run.
        store: the data.
        seconds: that a thousand images seen take here.
        score: seconds that a score takes here.
    """
    images = config.total_images(len(store))
    chosen: dict[str, Any] = {}
    if "images" in config.auto:
        most = max(_FEWEST, min(_MOST, _SHOWINGS * len(store)))
        images = chosen["images"] = _rounded(min(max(1_000 * _SECONDS / seconds, _FEWEST), most))
    if "evaluate.every" in config.auto:
        affordable = _SCORING * images * seconds / 1_000 / score
        chosen["evaluate"] = {"every": images // max(1, min(_SCORES, int(affordable)))}
    return chosen


def time_of_a_score(config: Config, store: Store, learner: Sampled, scaling: Scaling) -> float:
    """Seconds that it takes here to draw and to look at ``evaluate.count`` samples."""
    extractor = find_extractor(config.evaluate.extractor, store)
    count = min(max(_TIMED_VALUES // prod(store.shape), _TIMED.start), _TIMED.stop - 1)
    inputs = None if store.inputs is None else store.inputs[:count]
    count = count if inputs is None else len(inputs)
    labels = torch.zeros(count, dtype=torch.int64) if config.conditional is True else None
    began = time.perf_counter()
    samples = saved_samples(learner, scaling, store.shape, 0, count, labels, inputs)
    for piece in samples.split(extractor.batch):
        extractor(piece)
    return (time.perf_counter() - began) * config.evaluate.count / count


def in_words(config: Config, store: Store, seconds: float) -> str:
    """What was chosen, and how long it will take.

    Args:
        config: of the run, settled.
        store: the data.
        seconds: that a thousand images seen take here.
    """
    size = "{1} × {0}, ".format(*store.shape[-2:]) if store.kind == "images" else ""
    classes = f", {len(store.class_names)} classes" if config.conditional else ""
    augmented = {"none": "no augmentation"}.get(kind := config.game.augment.kind, kind)
    channels = getattr(config.generator.network, "width", None)
    parts = [
        *([f"networks of width {channels}"] if channels else []),
        augmented,
        "mirrored at random" if config.data.mirror else "not mirrored",
        f"batches of {config.batch_size:,}",
        f"{config.total_images(len(store)):,} images",
    ]
    total = config.total_images(len(store))
    words = (
        f"{size}{len(store):,} {store.kind}{classes}: {', '.join(parts)}; "
        f"about {_duration(total * seconds / 1_000)} here"
    )
    if total > _SHAPES_AFTER:
        words += f", {_duration(_SHAPES_AFTER * seconds / 1_000)} until the first shapes"
    if len(store) < _HARDLY_ANY:
        words += (
            f". {len(store)} images are very few: expect little beside copies of them, which `saddle nearest` finds; "
            "some hundreds make a difference"
            + ("" if config.begin.source else ", and so does a start from a trained run (--from)")
        )
    return words


def prospect(scores: Sequence[Mapping[str, Any]], metric: str, total: int, seconds: float) -> str | None:
    """Whether a run that has ended was still improving, in words; None where too little was scored to say.

    Args:
        scores: its lines, oldest first.
        metric: that chose the best generator.
        total: its length in images seen.
        seconds: that it took.
    """
    before, after = (
        best_entry([line for line in scores if line["images"] <= 0.75 * total], metric),
        best_entry(scores, metric),
    )
    if before is None or after is None or len(scores) < 4:
        return None
    earlier, best = float(before[metric]), float(after[metric])
    if abs(best - earlier) < _SETTLED * abs(earlier):
        return f"{metric} has settled: in the last quarter of the run it went from {earlier:.3g} to {best:.3g} at best"
    return (
        f"{metric} was still improving, from {earlier:.3g} to {best:.3g} in the last quarter of the run: one that is "
        f"twice as long takes {_duration(2 * seconds)}, --set images={_rounded(2 * total)} --out ANOTHER"
    )


def _rounded(images: float) -> int:
    """To two digits."""
    size = 10 ** (len(str(int(images))) - 2)
    return int(images) // size * size


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds)):,} seconds"
    return f"{round(seconds / 60):,} minutes" if seconds < 5_400 else f"{seconds / 3_600:.1f} hours"
