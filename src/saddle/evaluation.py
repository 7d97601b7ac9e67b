"""Score a trained generator, with the floor and the spread that a score means nothing without."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from saddle.classification import errors as count_errors
from saddle.classification import load_classifier
from saddle.data.feed import to_pixels
from saddle.data.splits import open_held_out, open_validation
from saddle.errors import ConfigError, MetricError
from saddle.metrics.extractors import find_extractor
from saddle.metrics.judge import Judge
from saddle.metrics.measures import Figure, Measure, check_samples, choose, floor_samples
from saddle.neighbours import data_of
from saddle.progress import Progress, Silent
from saddle.runs import RunFolder
from saddle.sampling import Generator, load
from saddle.scores import Evaluation, Score, keep_scores

COUNT = 10_000
# Of the classifier, not of samples: it joins the measures of a semi-supervised run.
ERRORS = Figure("errors", "lower", "errors of the classifier on held-out data")
_COUNT_ON_THE_LINE = 100_000
_FIRST_SEED = 1  # the grids of a run are drawn from stream 0


def evaluate(
    path: str | Path,
    *,
    metrics: Sequence[str] | None = None,
    count: int | None = None,
    seeds: int = 3,
    extractor: str | nn.Module | None = None,
    weights: str | Path | None = None,
    data: str | None = None,
    network: nn.Module | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Score the generator in a run folder or a generator file; of a run, the scores are kept in ``evaluation.json``.

    Args:
        path: a run folder, or a generator file; outside a run folder it needs ``data``.
        metrics: figures by name; all that fit if not given.
        count: samples for each seed; 10,000 if not given, 100,000 of points on the line.
        seeds: how many sampling seeds, 1 and those that follow.
        extractor: a name, or a module, images (B, C, H, W) in [0, 1] → features (B, n); by default the one that was
            trained on the data, else pixels.
        weights: file of the Inception network.
        data: other data to hold the samples against.
        network: for a generator that is the user's own module, one built as for training.

    Raises:
        MetricError: an unknown metric, an extractor that does not fit, samples that are not finite.
        SaddleError: the generator or its data cannot be loaded.
    """
    path, progress = Path(path), progress or Silent()
    if seeds < 1 or (count is not None and count < 2):
        raise ConfigError(
            "there is nothing to score", expected="at least 1 seed and 2 samples", got=f"{seeds} and {count}"
        )
    generator = load(path, device=device, network=network)
    config, store = data_of(path, generator, data, progress=progress)
    judge = Judge(
        store,
        open_held_out(config, store, progress=progress),
        open_validation(config, store, progress=progress),
        find_extractor(extractor, store, weights=None if weights is None else Path(weights)),
        progress,
    )
    file = _generator_file(path)
    wanted = None if metrics is None else [name for name in metrics if name != ERRORS.name]
    measures = [] if wanted == [] and metrics else choose(wanted, judge, by_class=bool(generator.class_names))
    errors = _classifier_errors(file, judge, named=metrics is not None and ERRORS.name in metrics)
    count = count or (_COUNT_ON_THE_LINE if store.shape == (1,) else COUNT)
    judge.prepare()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        scores = _score(generator, judge, measures, count, seeds, progress)
    if errors is not None and (metrics is None or ERRORS.name in metrics):
        scores.append(errors)
    found = Evaluation(
        generator=sha256(file.read_bytes()).hexdigest(),
        images_seen=generator.header.images_seen,
        data=store.name,
        scores=tuple(scores),
        notes=tuple(dict.fromkeys(str(warning.message) for warning in caught)),
    )
    return keep_scores(RunFolder(file.parent), file.name, found) if RunFolder(file.parent).exists() else found


def _classifier_errors(file: Path, judge: Judge, *, named: bool) -> Score | None:
    """How many held-out samples the classifier beside a semi-supervised generator gets wrong; None without one.

    Raises:
        MetricError: it was asked for by name, and there is none.
    """
    path = RunFolder(file.parent).classifier
    real = judge.held_out_store
    if not path.is_file() or real is None:
        if named:
            raise MetricError(
                f"the metric {ERRORS.name!r} does not fit this run",
                expected="a semi-supervised run, and held-out data with labels",
            )
        return None
    began = time.monotonic()
    classifier = load_classifier(path)
    wrong = count_errors(classifier.probabilities(real), real, classifier)
    assert wrong is not None  # a run's data keep their classes in each split
    return Score(
        metric=ERRORS.name, title=ERRORS.title, better=ERRORS.better, value=wrong, spread=None, floor=None,
        floor_of=None, count=len(real), seeds=1, protocol=f"errors-of-{_short(len(real))}",
        seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


class _Taken(NamedTuple):
    """Values of a measure's figures by seed, their floor, and the time."""

    values: list[Sequence[float]]
    floor: tuple[Sequence[float], str] | None
    seconds: float


def _score(
    generator: Generator, judge: Judge, measures: Sequence[Measure], count: int, seeds: int, progress: Progress
) -> list[Score]:
    taken = [_Taken([], None, 0.0) for _ in measures]
    progress.start("scoring", seeds * len(measures), "measures")
    for seed in range(_FIRST_SEED, _FIRST_SEED + seeds):
        labels = judge.asked(count, seed) if generator.class_names else None
        samples = judge.look(_draw(generator, count, seed, labels), labels)
        check_samples(samples)
        for number, measure in enumerate(measures):
            began = time.monotonic()
            values = [*taken[number].values, measure.compute(samples, judge)]
            taken[number] = _Taken(values, None, taken[number].seconds + time.monotonic() - began)
            progress.advance(1)
    progress.finish()
    scores: list[Score] = []
    for measure, (values, _, seconds) in zip(measures, taken, strict=True):
        floor = floor_samples(measure, judge, count)
        real = None if floor is None else measure.compute(floor[0], judge)
        for place, figure in enumerate(measure.figures):
            single = [float(one[place]) for one in values]
            score = Score(
                metric=figure.name,
                title=figure.title,
                better=figure.better,
                value=statistics.fmean(single),
                spread=statistics.stdev(single) if seeds > 1 else None,
                floor=None if real is None else float(real[place]),
                floor_of=None if floor is None else f"{len(floor[0]):,} {floor[1]}",
                count=count,
                seeds=seeds,
                protocol=measure.protocol.format(extractor=judge.extractor.name, count=_short(count)),
                seconds=round(seconds, 3),
            )
            scores.append(score)
    return scores


def _draw(generator: Generator, count: int, seed: int, labels: Tensor | None) -> Tensor:
    """Samples as they would be saved: images as uint8."""
    pieces: list[Tensor] = []
    classes = None if labels is None else labels.tolist()
    for samples, _ in generator.stream(count, seed=seed, label=classes):
        pieces.append(torch.from_numpy(to_pixels(samples)) if samples.ndim == 4 else samples)
    return torch.cat(pieces)


def _generator_file(path: Path) -> Path:
    return RunFolder(path).generator if path.is_dir() else path


def _short(count: int) -> str:
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)
