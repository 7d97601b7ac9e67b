"""Two-dimensional points: what D says everywhere, with samples and real points on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saddle.config import load_config
from saddle.errors import ConfigError
from saddle.game.losses import LOSSES
from saddle.networks.families import build_discriminator
from saddle.runs.folder import RunFolder
from saddle.show.preview import spread
from saddle.trained.files import GeneratorHeader, fill, load_network
from saddle.trained.generator import load
from saddle.trained.nearest import data_of
from saddle.training.begin import open_source
from saddle.training.players import below

_SIDE, _POINTS = 64, 600
_MARGIN = 0.2  # of the width, around the real points


@torch.no_grad()
def landscape(run: RunFolder) -> dict[str, Any]:
    """D at the newest checkpoint, on a square around the real points.

    Returns:
        ``low`` and ``high``, of both coordinates; ``images`` seen; ``real`` and ``samples``, pairs of numbers; and
        ``judged``: what D says from the lowest row to the highest, in each from left to right: a number from 0,
        generated, to 255, real; at 128 it cannot tell.

    Raises:
        ConfigError: these are no points in two dimensions, or D does not judge them one by one.
        SaddleError: there is no checkpoint yet, or a file is damaged.
    """
    config = load_config(run.config)
    generator = load(run.path, device="cpu")
    plain = generator.shape == (2,) and not generator.class_names and config.members == 1
    if not plain or config.game.packing > 1 or config.learner != "gan" or config.game.rule == "semi_supervised":
        raise ConfigError("only a D that judges single points in two dimensions has such a picture")
    source = open_source(str(run.path))
    discriminator = build_discriminator(config.discriminator, generator.shape, 0)
    fill(discriminator, below("discriminator.network.", source.tensors), Path(source.path))
    real = torch.from_numpy(spread(data_of(run.path, generator)[1], _POINTS)).float()
    low, high = real.min().item(), real.max().item()
    edge = _MARGIN * (high - low or 1.0)
    low, high = low - edge, high + edge
    line = torch.linspace(low, high, _SIDE)
    places = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).flatten(0, 1)
    scaling = load_network(run.generator, GeneratorHeader)[1]
    judged = _centred(discriminator.eval()(scaling.forward(places)), config.game.loss)
    return {
        "low": low,
        "high": high,
        "images": source.header.images_seen,
        "real": _rounded(real),
        "samples": _rounded(generator.sample(_POINTS, seed=0)),
        "judged": judged.tolist(),
    }


def _centred(logits: Tensor, loss: str) -> Tensor:
    """D's judgements as whole numbers around 128, which is neither real nor generated; 255 is the furthest."""
    middle = LOSSES[loss].middle
    away = logits - (logits.median() if middle is None else middle)
    furthest = away.abs().quantile(0.99).clamp(min=1e-9)
    return (128 + 127 * (away / furthest).clamp(-1, 1)).round().int()


def _rounded(points: Tensor) -> list[list[float]]:
    return [[float(f"{value:.4g}") for value in point] for point in points.tolist()]
