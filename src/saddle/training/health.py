"""Is the run still sound? Told in plain words, and nothing unsound is ever saved."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from math import isfinite

import torch
from torch import Tensor

from saddle.errors import Diverged, NotFinite

_REMEDY = (
    "a smaller learning rate (generator.optimizer.learning_rate, discriminator.optimizer.learning_rate) "
    "or a penalty on D's gradient (game.r1) usually helps; give the new settings a new --out"
)


def check_figures(figures: Mapping[str, float], images_seen: int) -> None:
    """Raises:
    Diverged: a figure of the log is NaN or infinite.
    """
    broken = [name.replace("_", " ") for name, value in figures.items() if not isfinite(value)]
    if broken:
        raise Diverged(
            f"the run diverged before {images_seen:,} images seen: {', '.join(broken)} no longer finite",
            remedy=_REMEDY,
        )


@contextmanager
def watched(images_seen: int) -> Generator[None]:
    """Samples that are not finite mean that the run has diverged.

    Raises:
        Diverged: the body met such samples.
    """
    try:
        yield
    except NotFinite as error:
        raise Diverged(f"the run diverged before {images_seen:,} images seen: {error.what}", remedy=_REMEDY) from None


def check_weights(tensors: Mapping[str, Tensor], images_seen: int) -> None:
    """Raises:
    Diverged: a weight, a buffer or an optimizer's moment is NaN or infinite.
    """
    sums = {name: tensor.sum(dtype=torch.float64) for name, tensor in tensors.items() if tensor.is_floating_point()}
    broken = [name for name, value in sums.items() if not isfinite(value.item())]
    if broken:
        raise Diverged(
            f"the run diverged before {images_seen:,} images seen: {len(broken)} of {len(tensors)} tensors hold values "
            f"that are no longer finite, {broken[0]} among them",
            remedy=_REMEDY,
        )
