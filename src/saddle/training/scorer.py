"""Scores of the averaged generator while it is trained, and which of them was the best."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from saddle.base.chance import stream
from saddle.base.progress import Progress
from saddle.config.schema import Config
from saddle.data.scaling import Scaling, to_pixels
from saddle.data.splits import open_held_out, open_validation
from saddle.data.store import Store
from saddle.errors import ConfigError, MetricError, ScoreWarning
from saddle.features.extractors import find_extractor
from saddle.game.latents import numbered
from saddle.networks.sides import generate
from saddle.runs.folder import RunFolder
from saddle.scoring.measures import choose, floor_samples
from saddle.scoring.sides import Judge
from saddle.training.health import check_samples
from saddle.training.players import Players

# A stream that nothing else draws from: the best of many scores is too good for the latents that it was found with, so
# ``saddle evaluate`` takes others.
_SEED = stream(0, "scores")
_CHUNK_VALUES = 4_000_000


class Scorer:
    """Scores ``evaluate.count`` samples of the averaged G; the same latents each time, from a stream of their own.

    Args:
        config: of the run; with ``evaluate.every = 0`` nothing is ever scored.
        run: where scores are written down.
        store: the data.
        players, scaling: what samples are drawn from, and how they become pixels or points.
        progress: who watches.

    Raises:
        ConfigError: the metric does not fit the data.
        MetricError: nor does the extractor.
    """

    best_at: int | None = None  # images seen

    def __init__(
        self, config: Config, run: RunFolder, store: Store, players: Players, scaling: Scaling, progress: Progress
    ) -> None:
        self._settings = config.evaluate
        self._run = run
        self._players = players
        self._scaling = scaling
        self._progress = progress
        self._epoch = len(store)
        self._chunk = max(1, min(1000, _CHUNK_VALUES // math.prod(store.shape)))
        self._best: float | None = None
        self._judge: Judge | None = None
        if not self._settings.every:
            return
        extractor = find_extractor(self._settings.extractor, store)
        self._judge = Judge(
            store, open_held_out(config.data, store), open_validation(config.data, store), extractor, progress
        )
        try:
            (self._measure,) = choose([self._settings.metric], self._judge, by_class=config.conditional is True)
        except MetricError as error:
            raise _unfit(error) from None
        if self._measure.held_out:
            raise ConfigError(
                f"evaluate.metric: {self._settings.metric} looks at held-out data, which must not choose a generator",
                remedy="take another, such as fd or parzen_validation",
            )
        if self._measure.figures[self._measure.names.index(self._settings.metric)].better is None:
            raise ConfigError(f"evaluate.metric: {self._settings.metric} says nothing about quality")
        self._figure = self._measure.names.index(self._settings.metric)
        self._sign = 1 if self._measure.figures[self._figure].better == "higher" else -1
        self._labels = self._judge.asked(self._settings.count, _SEED) if config.conditional else None
        self._latent = config.latent
        self._judge.prepare()
        try:  # whatever may be wrong shows now, and not after an interval of training
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ScoreWarning)
                if (real := floor_samples(self._measure, self._judge, self._settings.count)) is not None:
                    self._measure.compute(real[0], self._judge)
        except MetricError as error:
            raise _unfit(error) from None
        for told in dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, ScoreWarning)):
            progress.say(told)

    def is_best(self, images_seen: int) -> bool:
        """Score the generator now and write that down; whether it is the best so far. False where nothing is scored.

        Raises:
            Diverged: the samples are not finite.
            SaddleError: the score cannot be written.
        """
        if self._judge is None:
            return False
        samples = self._judge.look(self._samples(images_seen), self._labels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScoreWarning)  # said before the training
            values = self._measure.compute(samples, self._judge)
        value = float(values[self._figure])
        better = math.isfinite(value) and (self._best is None or self._sign * value > self._sign * self._best)
        if better:
            self._best, self.best_at = value, images_seen
        entry = {"images": images_seen, "epoch": round(images_seen / self._epoch, 4)}
        figures = {name: round(float(figure), 6) for name, figure in zip(self._measure.names, values, strict=True)}
        self._run.append_scores(entry | figures | {"best": better})
        self._progress.status(f"{self._settings.metric} {value:.4g}{' (best so far)' if better else ''}")
        return better

    def _samples(self, images_seen: int) -> Tensor:
        count, size, device = self._settings.count, self._chunk, self._players.device
        pieces: list[Tensor] = []
        for start in range(0, count, size):
            latents = numbered(self._latent, _SEED, start, min(size, count - start)).to(device)
            labels = None if self._labels is None else self._labels[start : start + size].to(device)
            made = generate(self._players.averaged, latents, labels)
            check_samples(made, images_seen)
            values = self._scaling.backward(made)
            pieces.append(torch.from_numpy(to_pixels(values)) if self._scaling.images else values.cpu())
        return torch.cat(pieces)

    def header(self) -> dict[str, Any]:
        """The best so far, and by what it is the best."""
        settings = self._settings.model_dump(mode="json", exclude={"every"})
        return {"best": self._best, "best_at": self.best_at, "settings": settings}

    def load(self, header: Mapping[str, Any]) -> None:
        """Take over what ``header`` gave; scores by other settings cannot be compared and are forgotten."""
        if header["settings"] == self._settings.model_dump(mode="json", exclude={"every"}):
            self._best, self.best_at = header["best"], header["best_at"]


def _unfit(error: MetricError) -> ConfigError:
    return ConfigError(f"evaluate.metric: {error.what}", expected=error.expected, got=error.got, remedy=error.remedy)
