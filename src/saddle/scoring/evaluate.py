"""Score a trained generator; each score comes with its spread and its floor, without which it means nothing."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from saddle.base.progress import Progress, Silent
from saddle.base.sizes import check_memory
from saddle.config import load_config
from saddle.data.splits import open_held_out, open_validation, why_nothing_held_out
from saddle.errors import CheckpointError, ConfigError, MetricError, ScoreWarning
from saddle.features.extractors import find_extractor
from saddle.metrics.inputs import check_points
from saddle.networks.pixelcnn import PixelCNN
from saddle.runs.folder import RunFolder
from saddle.runs.scores import Evaluation, Score, check_keepable, digest_of, keep_scores, read_evaluations
from saddle.scoring.likelihood import asked_about
from saddle.scoring.measures import Measure, Quantity, choose, floor_samples
from saddle.scoring.sides import Extracted, RealData
from saddle.trained.classifier import errors as count_errors
from saddle.trained.classifier import load_classifier
from saddle.trained.draw import as_saved
from saddle.trained.generator import Generator, load
from saddle.trained.likelihood import log_likelihoods
from saddle.trained.nearest import data_of

COUNT = 10_000
# This is about the classifier of a semi-supervised run and not about samples, so it is no measure.
ERRORS = Quantity("errors", "lower", "errors of the classifier on held-out data")
_COUNT_OF_NUMBERS = 100_000
_FIRST_SEED = 1  # the grids of a run are drawn from stream 0


class Trained(Protocol):
    """A run folder, and the user's own module if its generator is one; see ``saddle.Run``."""

    @property
    def path(self) -> Path: ...

    @property
    def network(self) -> nn.Module | None: ...


def evaluate(
    run: str | Path | Trained,
    *,
    metrics: str | Sequence[str] | None = None,
    count: int | None = None,
    seeds: int = 3,
    extractor: str | nn.Module | None = None,
    inception_weights: str | Path | None = None,
    data: object = None,
    labels: Tensor | Sequence[int] | None = None,
    generator: nn.Module | None = None,
    device: str = "auto",
    rescore: bool = True,
    progress: Progress | None = None,
) -> Evaluation:
    """Score the generator in a run folder or a generator file; of a run, the scores are kept in ``evaluation.json``.

    Args:
        run: what ``saddle.train`` returned, a run folder, or a generator file; outside a run folder it needs ``data``.
        metrics: by name; all that fit if not given.
        count: samples for each seed; 10,000 if not given, 100,000 of data that are single numbers.
        seeds: how many sampling seeds, 1 and those that follow.
        extractor: a name, or a module, images (B, C, H, W) in [0, 1] → features (B, n); by default the one that was
            trained on the data, else cifar10-cnn-v1 for images of three channels, random-conv-v1 for others, or pixels
            of images below 8 pixels.
        inception_weights: the file with the weights of the Inception network.
        data: other data to compare the samples with, as ``saddle.train`` takes them; for a run that was trained on data
            in memory, the same data again.
        labels: class indices for data given as a tensor or array.
        generator: for a generator that is the user's own module, one built as for training.
        device: cpu, cuda, mps or auto.
        rescore: whether to score again what was scored before, by the same protocol and with the same seeds.
        progress: who is told.

    Returns:
        The scores that were asked for.

    Raises:
        MetricError: an unknown metric, an extractor that does not fit, or features that are not finite.
        SaddleError: the generator or its data cannot be loaded.
    """
    if isinstance(run, str | Path):
        path = Path(run)
    elif hasattr(run, "path") and hasattr(run, "network"):
        path, generator = run.path, generator or run.network
    else:
        raise ConfigError(
            "this is not a run", expected="a Run, or the path of a run folder or generator file", got=type(run)
        )
    progress = progress or Silent()
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if seeds < 1 or (count is not None and count < 2):
        raise ConfigError(
            "there is nothing to score", expected="at least 1 seed and 2 samples", got=f"{seeds} and {count}"
        )
    file = _generator_file(path)
    digest = digest_of(file) or ""  # before: a run may be training on
    trained = load(path, device=device, generator=generator)
    config, store = data_of(path, trained, data, labels, progress=progress)
    if trained.class_names and trained.class_names != store.class_names:
        raise MetricError(
            f"{store.name} does not have the classes of this generator", expected=", ".join(trained.class_names[:10]),
            got=", ".join(store.class_names[:10]) or "no labels",
        )  # fmt: skip
    weights = None if inception_weights is None else Path(inception_weights)
    real = RealData(
        store,
        open_held_out(config, store, progress=progress),
        open_validation(config, store, progress=progress),
        find_extractor(extractor, store, inception_weights=weights, device=device),
        progress,
    )
    sampled = None if metrics is None else [name for name in metrics if name != ERRORS.name]
    by_class, likelihood = bool(trained.class_names), isinstance(trained.network, PixelCNN)
    measures = [] if metrics and not sampled else choose(sampled, real, by_class=by_class, likelihood=likelihood)
    count = count or (_COUNT_OF_NUMBERS if store.shape == (1,) else COUNT)
    if (pairs := real.pairs(count, held_out=True)) is not None:
        count = len(pairs)  # each input once
    # Samples as they would be saved, and their features, which are no fewer than these numbers in double precision.
    check_memory(9 * count * prod(store.shape), f"scoring {count:,} samples", remedy="take a smaller --count")
    folder = RunFolder(file.parent)
    if folder.exists():
        check_keepable(folder, progress.say)
    kept = read_evaluations(folder, progress.say).get(file.name) if folder.exists() else None
    usable = not rescore and kept is not None and kept.generator == digest
    known = {} if not usable or kept is None else {score.key: score for score in kept.scores}
    earlier = [_known(measure, known, real, count, seeds) for measure in measures]
    missing = [measure for measure, there in zip(measures, earlier, strict=True) if not there]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ScoreWarning)
        scores = [score for there in earlier for score in there]
        if missing:
            if any(measure.asks_about is None for measure in missing):
                real.prepare()
            scores += _score(trained, real, missing, count, seeds, progress, named=metrics is not None)
        named = metrics is not None and ERRORS.name in metrics
        if (metrics is None or named) and (errors := _classifier_errors(file, real, device, named=named)) is not None:
            scores.append(errors)
    found = Evaluation(
        generator=digest,
        images_seen=trained.header.images_seen,
        scores=tuple(scores),
        notes=tuple(dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, ScoreWarning))),
    )
    for one in caught:
        if not issubclass(one.category, ScoreWarning):  # somebody else's, such as a user's extractor's
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return keep_scores(folder, file.name, found, progress.say) if folder.exists() else found


def _known(
    measure: Measure, known: Mapping[tuple[str, str, str], Score], real: RealData, count: int, seeds: int
) -> list[Score]:
    """The scores of all quantities of a measure, if they were taken before; else none."""
    protocol, data = _protocol(measure, real, count), _data_name(real)
    found = [known.get((name, protocol, data)) for name in measure.names]
    wanted = measure.count(count, real), seeds if measure.asks_about is None else 1
    same = [score for score in found if score is not None and (score.count, score.seeds) == wanted]
    return same if len(same) == len(found) else []


def _classifier_errors(file: Path, real: RealData, device: str, *, named: bool) -> Score | None:
    """How many held-out samples the classifier of a semi-supervised run gets wrong; None without one.

    Raises:
        MetricError: it was asked for by name, and there is none.
    """
    run, held_out = RunFolder(file.parent), real.held_out_store
    began = time.monotonic()
    wrong = None
    # The classifier belongs to the last state of the run, as its generator does.
    own = run.exists() and load_config(run.config).discriminator.network.family == "custom"
    if run.classifier.is_file() and file == run.generator and held_out is not None and not own:
        try:
            classifier = load_classifier(run.classifier, device=device)
            wrong = count_errors(classifier.probabilities(held_out), held_out, classifier)
        except CheckpointError as error:
            if named:
                raise
            warnings.warn(f"without {ERRORS.name}: {error.what}", ScoreWarning, stacklevel=2)
    if wrong is None or held_out is None:
        if named:
            raise MetricError(
                f"the metric {ERRORS.name!r} does not fit this run",
                expected="a semi-supervised run, and held-out data with labels of the same classes",
            )
        return None
    return Score(
        metric=ERRORS.name, title=ERRORS.title, better=ERRORS.better, value=wrong, spread=None, floor=None,
        floor_of=None, count=len(held_out), seeds=1, protocol=f"errors-of-{_short(len(held_out))}",
        data=_data_name(real), seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


@dataclass
class _Measured:
    """The values that a measure gave, seed by seed, and how long they took."""

    measure: Measure
    values: list[Sequence[float]] = field(default_factory=list[Sequence[float]])
    seconds: float = 0.0


def _score(
    generator: Generator,
    real: RealData,
    measures: Sequence[Measure],
    count: int,
    seeds: int,
    progress: Progress,
    *,
    named: bool,
) -> list[Score]:
    """The scores; a measure that so few samples are not enough for is left out, unless it was asked for by name."""
    measured = [_Measured(measure) for measure in measures if measure.asks_about is None]
    asking = [measure for measure in measures if measure.asks_about is not None]
    progress.start("scoring", seeds * len(measured) + len(asking), "measures")
    asked = [_ask(generator.network, measure, real, count) for measure in asking]
    progress.advance(len(asking))
    for seed in range(_FIRST_SEED, _FIRST_SEED + seeds) if measured else ():
        samples = _extract(generator, real, count, seed)
        check_points(samples.features, "features")
        for one in list(measured):
            began = time.monotonic()
            try:
                one.values.append(one.measure.compute(samples, real))
            except MetricError as error:
                if named:
                    raise
                text = f"without {', '.join(one.measure.names)}: {error.what}"
                warnings.warn(text, ScoreWarning, stacklevel=2)
                measured.remove(one)
            one.seconds += time.monotonic() - began
            progress.advance(1)
    progress.finish()
    if measured and real.held_out_store is None and real.store.draw is None:
        warnings.warn(f"no floor of held-out samples: {why_nothing_held_out(real.store)}", ScoreWarning, stacklevel=2)
    return [score for one in (*asked, *measured) for score in _summed_up(one, real, count)]


def _ask(network: nn.Module, measure: Measure, real: RealData, count: int) -> _Measured:
    """What a measure finds that asks the network about real samples; no seed decides anything there."""
    assert isinstance(network, PixelCNN) and measure.asks_about is not None
    began = time.monotonic()
    samples = asked_about(measure.asks_about, real, count, partial(log_likelihoods, network))
    values = measure.compute(samples, real)
    return _Measured(measure, [values], time.monotonic() - began)


def _summed_up(measured: _Measured, real: RealData, count: int) -> list[Score]:
    """The scores of a measure's quantities, with their floors."""
    measure, floor = measured.measure, floor_samples(measured.measure, real, count)
    floors: Sequence[float] | None = None
    if floor is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ScoreWarning)  # that these are too few, ``Score.note`` says
                floors = measure.compute(floor[0], real)
        except MetricError as error:
            warnings.warn(f"there is no floor of {measure.names[0]}: {error.what}", ScoreWarning, stacklevel=2)
    scores: list[Score] = []
    for place, quantity in enumerate(measure.quantities):
        single = [float(values[place]) for values in measured.values]
        score = Score(
            metric=quantity.name,
            title=quantity.title,
            better=quantity.better,
            value=statistics.fmean(single),
            spread=statistics.stdev(single) if len(single) > 1 else None,
            floor=None if floors is None else float(floors[place]),
            floor_of=None if floor is None or floors is None else f"{len(floor[0]):,} {floor[1]}",
            count=measure.count(count, real),
            seeds=len(single),
            protocol=_protocol(measure, real, count),
            data=_data_name(real),
            seconds=round(measured.seconds, 3),
        )
        scores.append(score)
    return scores


def _protocol(measure: Measure, real: RealData, count: int) -> str:
    return measure.protocol.format(extractor=real.extractor.name, count=_short(measure.count(count, real)))


def _data_name(real: RealData) -> str:
    first = "" if len(real.train) == len(real.store) else f", {len(real.train):,} of them"
    return f"{real.store.name} {real.store.fingerprint[:8]} ({len(real.store):,}{first})"


def _extract(generator: Generator, real: RealData, count: int, seed: int) -> Extracted:
    """Samples with their features; of pairs, what is made of held-out inputs, with the targets."""
    pairs = real.pairs(count, held_out=True)
    if pairs is not None and pairs.inputs is not None:
        made = as_saved(generator.translate(torch.from_numpy(pairs.inputs), seed=seed))
        return real.extract(made, targets=torch.from_numpy(np.asarray(pairs.values)))
    labels = real.labels_to_ask_for(count, seed) if generator.class_names else None
    return real.extract(_draw(generator, count, seed, labels), labels)


def _draw(generator: Generator, count: int, seed: int, labels: Tensor | None) -> Tensor:
    """Samples as they would be saved."""
    classes = None if labels is None else labels.tolist()
    return torch.cat([as_saved(samples) for samples, _ in generator.stream(count, seed=seed, label=classes)])


def _generator_file(path: Path) -> Path:
    return RunFolder(path).generator if path.is_dir() else path


def _short(count: int) -> str:
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)
