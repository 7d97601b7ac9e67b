"""Scores of the averaged generator while it is trained, and which of them was the best."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from torch import Tensor

from saddle.base import processes
from saddle.base.chance import stream
from saddle.base.progress import Progress, Silent
from saddle.config.schema import Config
from saddle.data.scaling import Scaling
from saddle.data.splits import open_held_out, open_validation
from saddle.data.store import Store
from saddle.errors import ConfigError, MetricError, ScoreWarning
from saddle.features.extractors import find_extractor
from saddle.networks.pixelcnn import PixelCNN
from saddle.runs.folder import RunFolder
from saddle.scoring.likelihood import asked_about
from saddle.scoring.measures import Measure, choose, floor_samples
from saddle.scoring.sides import Extracted, RealData
from saddle.trained.likelihood import log_likelihoods
from saddle.training.best import Best
from saddle.training.health import watched
from saddle.training.learner import Sampled
from saddle.training.sampling import saved_samples

# A stream that nothing else draws from: the best of many scores is too good for the latents that it was found with, so
# ``saddle evaluate`` takes others.
_SEED = stream(0, "scores")
_FIGURE = "distance"  # of a look, which chooses where nothing is scored

# Asked after each score, with its line of ``scores.jsonl``: whether the run goes on.
GoOn = Callable[[Mapping[str, Any]], bool]


class Scorer:
    """Scores ``evaluate.count`` samples of the averaged G; the same latents each time, from a stream of their own.

    Args:
        config: of the run; with ``evaluate.every = 0`` nothing is ever scored.
        run: where scores are written down.
        store: the data.
        learner, scaling: what samples are drawn from, and how they become pixels or points.
        progress: who watches.
        go_on: asked after each score; without it the run goes on.

    Raises:
        ConfigError: the metric does not fit the data.
        MetricError: nor does the extractor.
    """

    stopped: bool = False  # whether the answer was once that the run does not go on

    def __init__(
        self,
        config: Config,
        run: RunFolder,
        store: Store,
        learner: Sampled,
        scaling: Scaling,
        progress: Progress,
        go_on: GoOn | None = None,
    ) -> None:
        self._settings = config.evaluate
        self._run = run
        self._learner = learner
        self._scaling = scaling
        self._progress = progress
        self._go_on = go_on
        self._epoch = len(store)
        self._shape = store.shape
        self._real: RealData | None = None
        if not self._settings.every:
            self.best = Best(learner, {"look": _FIGURE})
            return
        extractor = find_extractor(self._settings.extractor, store)
        by = self._settings.model_dump(mode="json", exclude={"every"}) | {"extractor": extractor.name}
        self.best = Best(learner, by)
        if not processes.is_first():
            return
        self._real = RealData(
            store, open_held_out(config.data, store), open_validation(config.data, store), extractor, progress
        )
        self._measure, better = deciding(config, self._real)
        self.best = Best(learner, by, higher=better == "higher")
        self._labels = self._real.labels_to_ask_for(self._settings.count, _SEED) if config.conditional else None
        if self._measure.asks_about is None:
            self._real.prepare()
        try:  # whatever may be wrong shows now, and not after an interval of training
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ScoreWarning)
                if (floor := floor_samples(self._measure, self._real, self._settings.count)) is not None:
                    self._measure.compute(floor[0], self._real)
        except MetricError as error:
            raise _unfit(error) from None
        rows, width = (0, 0) if floor is None else floor[0].features.shape
        for warning in dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, ScoreWarning)):
            # Of few held-out samples; as many as will be generated are enough.
            if not (warning.startswith(f"{rows:,} samples ") and rows <= width < self._settings.count):
                progress.say(warning)

    def of_member(self, run: RunFolder, learner: Sampled) -> Scorer:
        """The same for one member of a population: the real side is prepared once for all of them."""
        other = copy.copy(self)
        other._run, other._learner, other._progress, other._go_on = run, learner, Silent(), None
        other.best = self.best.of_member(learner)
        return other

    def note(self, figures: Mapping[str, float], images_seen: int) -> None:
        """Let a look decide which generator is the best, in a run that is not scored."""
        if not self._settings.every and _FIGURE in figures:
            self.best.offer(figures[_FIGURE], images_seen)

    def score(self, images_seen: int) -> None:
        """Score the generator now and write that down.

        Of several processes, the first one does it while the others wait.

        Raises:
            Diverged: the samples are not finite.
            SaddleError: the score cannot be written.
        """
        if self._settings.every:
            processes.first(lambda: self._score(images_seen))

    def _score(self, images_seen: int) -> None:
        assert self._real is not None
        with watched(images_seen):
            samples = self._samples(self._real)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScoreWarning)  # they were shown before the training
            values = self._measure.compute(samples, self._real)
        figures = dict(zip(self._measure.names, map(float, values), strict=True))
        better = self.best.offer(figures[self._settings.metric], images_seen)
        self._write(figures, images_seen, better=better)

    def _samples(self, real: RealData) -> Extracted:
        if self._measure.asks_about is None:
            return real.extract(self._draw(), self._labels)
        network = self._learner.result
        assert isinstance(network, PixelCNN)
        return asked_about(self._measure.asks_about, real, self._settings.count, partial(log_likelihoods, network))

    def _draw(self) -> Tensor:
        assert self._real is not None
        pairs = self._real.pairs(self._settings.count, held_out=False)
        inputs = None if pairs is None else pairs.inputs
        count = self._settings.count if inputs is None else len(inputs)
        return saved_samples(self._learner, self._scaling, self._shape, _SEED, count, self._labels, inputs)

    def _write(self, figures: Mapping[str, float], images_seen: int, *, better: bool) -> None:
        entry = {"images": images_seen, "epoch": round(images_seen / self._epoch, 4)}
        rounded = {name: round(value, 6) for name, value in figures.items()}
        line = entry | rounded | {"best": better}
        self._run.append_scores(line)
        metric = self._settings.metric
        self._progress.status(f"{metric} {figures[metric]:.4g}{' (best so far)' if better else ''}")
        if self._go_on is not None and not self._go_on(line):
            self.stopped = True

    def state(self) -> dict[str, Tensor]:
        """The best generator so far."""
        return self.best.state()

    def header(self) -> dict[str, Any]:
        """What ``state`` means: the best score, and by what it is the best."""
        return self.best.header()

    def load(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Take over what ``state`` and ``header`` gave; see ``Best.load``."""
        self.best.load(tensors, header)


def deciding(config: Config, real: RealData) -> tuple[Measure, Literal["lower", "higher"]]:
    """The measure that gives ``evaluate.metric``, and which way is better.

    Raises:
        ConfigError: there is none, it does not fit the data, or it must not choose a generator.
    """
    metric = config.evaluate.metric
    try:
        by_class, likelihood = config.conditional is True, config.learner == "likelihood"
        (measure,) = choose([metric], real, by_class=by_class, likelihood=likelihood)
    except MetricError as error:
        raise _unfit(error) from None
    if measure.held_out:
        raise ConfigError(
            f"evaluate.metric: {metric} looks at held-out data, which must not choose a generator",
            remedy="take another, such as fd, parzen_validation or nats_validation",
        )
    better = measure.quantities[measure.names.index(metric)].better
    if better is None:
        raise ConfigError(f"evaluate.metric: {metric} is not better for being higher or lower")
    return measure, better


def _unfit(error: MetricError) -> ConfigError:
    return ConfigError(f"evaluate.metric: {error.what}", expected=error.expected, got=error.got, remedy=error.remedy)
