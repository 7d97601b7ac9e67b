"""What benchmarks of single rounds share: a learner of a recipe on random images, and the time of its rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from saddle.base.machine import keep_freed_memory
from saddle.config import Config, load_recipe, parse_settings, resolve
from saddle.config.resolve import settle
from saddle.data.scaling import Scaling
from saddle.data.store import Store
from saddle.game.batch import Batch
from saddle.training.assemble import Networks, make_feed, make_gan
from saddle.training.engine import Engine, flush_denormals, recorder_for
from saddle.training.gan import GAN

SIDES = {"digits": 8, "images": 64}  # of a recipe's images, where they are not those of MNIST


class Rounds(NamedTuple):
    """A recipe's rounds.

    Args:
        config: of the recipe, with its settings.
        learner: as it begins.
        batches: number of the round → its batches.
        engine: plays them.
    """

    config: Config
    learner: GAN
    batches: Callable[[int], Sequence[Batch]]
    engine: Engine

    def play(self, number: int) -> None:
        """One round, as the loop plays it, averages included."""
        images = self.config.batch_size * self.learner.turns
        self.learner.schedule(number * images)
        self.engine.play(self.batches(number), number, number)
        self.learner.follow((number + 1) * images, images)


def rounds_of(recipe: str, settings: Sequence[str], device: torch.device, images: int = 4_000) -> Rounds:
    """The rounds of a recipe on so many random images, with labels where the recipe takes them."""
    flush_denormals()
    keep_freed_memory()
    config = resolve(load_recipe(recipe), parse_settings(list(settings)))
    side = SIDES.get(recipe, 28)
    shape = (3 if recipe == "images" else 1, side, side)
    pixels = np.random.default_rng(0).integers(0, 256, (images, *shape), dtype=np.uint8)
    classes = tuple("0123456789")
    store = Store("random images", pixels, np.arange(images) % len(classes), classes, "0" * 64)
    found = {"conditional": config.conditional in (True, "auto"), "device": str(device)}
    if config.precision == "auto":
        found["precision"] = "float32"
    config = settle(config, found, total=config.total_images(images))
    scaling = Scaling.fit(store, config.generator.network.output).to(device)
    learner = make_gan(config, store, scaling, Networks(), device)
    feed, batch = make_feed(config, store, scaling, device), config.batch_size

    def batches(number: int) -> list[Batch]:
        first = number * batch * learner.turns
        return [feed.batch(first + turn * batch, batch) for turn in range(learner.turns)]

    engine = Engine(learner, config.precision, recorder_for(device, config.execution))
    return Rounds(config, learner, batches, engine)


def milliseconds(rounds: Rounds, count: int) -> float:
    """Of one of ``count`` rounds, on average, so that lazy penalties count as often as they are due."""
    wait = torch.cuda.synchronize if rounds.learner.device.type == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    for number in range(count):
        rounds.play(number)
    wait()
    return 1000 * (time.perf_counter() - began) / count
