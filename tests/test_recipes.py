"""Every recipe that comes with saddle: two rounds, a stop, two more, samples."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import saddle
from saddle.base.progress import Silent
from saddle.config import load_recipe, recipe_names, resolve
from saddle.data.sources import NAMES


def images(size: int) -> dict[str, Any]:
    """40 labelled grey images, the bright part of which says the class."""
    labels = [number % 10 for number in range(40)]
    values = torch.zeros(40, 1, size, size, dtype=torch.uint8)
    for number, label in enumerate(labels):
        values[number, 0, label : label + 4, number % size :] = 255 - number
    return {"data": values, "labels": labels}


class StoppedAfterTwoRounds(Silent):
    """Asks this process to stop, as a scheduler would."""

    rounds = 0

    def advance(self, n: int) -> None:
        self.rounds += 1
        if self.rounds == 2:
            os.kill(os.getpid(), signal.SIGTERM)


# Of each kind of game and network one is tried each time; the others take as long together.
QUICK = ("cgan", "digits", "mnist", "ring8")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in recipe_names()]
)
def test_two_rounds_stop_two_more_and_sample(name: str, tmp_path: Path):
    config = resolve(load_recipe(name))
    settings: dict[str, Any] = {"threads": 1, "precision": "float32"}  # auto may find other ones in the second run
    settings["batch_size"] = max(config.game.packing, min(config.batch_size, 8))
    if config.auto:
        settings["evaluate.every"] = 0
    if config.generator.network.family == "r3gan":  # the published ones would take minutes for a round
        settings |= {f"{player}.network.widths": [16] for player in ("generator", "discriminator")}
    if config.learner == "likelihood":  # each pixel of a sample is a pass
        settings |= {"generator.network.width": 8, "generator.network.blocks": 2}
    arguments: dict[str, Any] = {}
    if config.data.source in ("", *NAMES):  # empty: the user's own
        arguments = images(8 if config.data.source in ("", "digits") else 28)
        if config.data.first:
            settings["data.first"] = 36
        if config.data.labelled:
            settings["data.labelled"] = 20
    round_ = settings["batch_size"] * config.game.discriminator_steps

    def train(out: str, progress: Silent) -> saddle.Run:
        more = settings | {"images": 4 * round_}
        return saddle.train(name, out=tmp_path / out, settings=more, progress=progress, **arguments)

    with pytest.raises(saddle.Interrupted):
        train("run", StoppedAfterTwoRounds())
    run = train("run", Silent())
    assert run.folder.generator.read_bytes() == train("whole", Silent()).folder.generator.read_bytes()
    if config.data.pairs == "none":
        samples = run.sample(12)
    else:
        samples = run.generator.translate(torch.rand(12, 1, *run.generator.shape[1:]))
    assert samples.shape == (12, *run.generator.shape)
    assert samples.isfinite().all()
    assert run.report().is_file()
