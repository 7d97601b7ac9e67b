"""Score a trained generator, with the floor and the spread that a score means nothing without."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from saddle.base.progress import Progress, Silent
from saddle.data.splits import open_held_out, open_validation
from saddle.errors import ConfigError, MetricError, ScoreWarning
from saddle.features.extractors import find_extractor
from saddle.runs.folder import RunFolder
from saddle.runs.scores import Evaluation, Score, keep_scores, read_evaluations
from saddle.scoring.measures import Figure, Measure, check_samples, choose, floor_samples
from saddle.scoring.sides import Judge
from saddle.trained.classifier import errors as count_errors
from saddle.trained.classifier import load_classifier
from saddle.trained.draw import as_saved
from saddle.trained.generator import Generator, load
from saddle.trained.nearest import data_of

COUNT = 10_000
# Of the classifier, not of samples: it joins the measures of a semi-supervised run.
ERRORS = Figure("errors", "lower", "errors of the classifier on held-out data")
_COUNT_ON_THE_LINE = 100_000
_FIRST_SEED = 1  # the grids of a run are drawn from stream 0


class Trained(Protocol):
    """A run folder, with the network of its generator if that is the user's own module; see ``saddle.Run``."""

    @property
    def path(self) -> Path: ...

    @property
    def network(self) -> nn.Module | None: ...


def evaluate(
    run: str | Path | Trained,
    *,
    metrics: Sequence[str] | None = None,
    count: int | None = None,
    seeds: int = 3,
    extractor: str | nn.Module | None = None,
    weights: str | Path | None = None,
    data: object = None,
    labels: Tensor | Sequence[int] | None = None,
    network: nn.Module | None = None,
    device: str = "cpu",
    again: bool = True,
    progress: Progress | None = None,
) -> Evaluation:
    """Score the generator in a run folder or a generator file; of a run, the scores are kept in ``evaluation.json``.

    Args:
        run: what ``saddle.train`` returned, a run folder, or a generator file; outside a run folder it needs ``data``.
        metrics: figures by name; all that fit if not given.
        count: samples for each seed; 10,000 if not given, 100,000 of points on the line.
        seeds: how many sampling seeds, 1 and those that follow.
        extractor: a name, or a module, images (B, C, H, W) in [0, 1] → features (B, n); by default the one that was
            trained on the data, else pixels.
        weights: file of the Inception network.
        data: other data to hold the samples against, as ``saddle.train`` takes them; of a run that was trained on data
            in memory, the same again.
        labels: class indices for data given as a tensor or array.
        network: for a generator that is the user's own module, one built as for training.
        again: whether to score anew what was scored before, by the same protocol and with the same seeds.

    Returns:
        The scores that were asked for.

    Raises:
        MetricError: an unknown metric, an extractor that does not fit, samples that are not finite.
        SaddleError: the generator or its data cannot be loaded.
    """
    if isinstance(run, str | Path):
        path = Path(run)
    elif hasattr(run, "path") and hasattr(run, "network"):
        path, network = run.path, network or run.network
    else:
        raise ConfigError(
            "this is no run", expected="a Run, or the path of a run folder or generator file", got=type(run)
        )
    progress = progress or Silent()
    if seeds < 1 or (count is not None and count < 2):
        raise ConfigError(
            "there is nothing to score", expected="at least 1 seed and 2 samples", got=f"{seeds} and {count}"
        )
    file = _generator_file(path)
    digest = sha256(file.read_bytes()).hexdigest() if file.is_file() else ""  # before: a run may be training on
    generator = load(path, device=device, network=network)
    config, store = data_of(path, generator, data, labels, progress=progress)
    if generator.class_names and generator.class_names != store.class_names:
        raise MetricError(
            f"{store.name} does not have the classes of this generator", expected=", ".join(generator.class_names[:10]),
            got=", ".join(store.class_names[:10]) or "no labels",
        )  # fmt: skip
    judge = Judge(
        store,
        open_held_out(config, store, progress=progress),
        open_validation(config, store, progress=progress),
        find_extractor(extractor, store, weights=None if weights is None else Path(weights), device=device),
        progress,
    )
    sampled = None if metrics is None else [name for name in metrics if name != ERRORS.name]
    measures = [] if metrics and not sampled else choose(sampled, judge, by_class=bool(generator.class_names))
    count = count or (_COUNT_ON_THE_LINE if store.shape == (1,) else COUNT)
    folder = RunFolder(file.parent)
    kept = read_evaluations(folder).get(file.name) if folder.exists() else None  # a damaged file shows before the work
    fresh = again or kept is None or kept.generator != digest
    known = {} if fresh or kept is None else {score.key: score for score in kept.scores}
    earlier = [_known(measure, known, judge, count, seeds) for measure in measures]
    missing = [measure for measure, there in zip(measures, earlier, strict=True) if not there]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ScoreWarning)
        scores = [score for there in earlier for score in there]
        if missing:
            judge.prepare()
            scores += _score(generator, judge, missing, count, seeds, progress, named=metrics is not None)
    named = metrics is not None and ERRORS.name in metrics
    if (metrics is None or named) and (errors := _classifier_errors(file, judge, named=named)) is not None:
        scores.append(errors)
    found = Evaluation(
        generator=digest,
        images_seen=generator.header.images_seen,
        scores=tuple(scores),
        notes=tuple(dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, ScoreWarning))),
    )
    for one in caught:
        if not issubclass(one.category, ScoreWarning):  # somebody else's, such as a user's extractor's
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return keep_scores(folder, file.name, found) if folder.exists() else found


def _known(
    measure: Measure, known: Mapping[tuple[str, str, str], Score], judge: Judge, count: int, seeds: int
) -> list[Score]:
    """The scores of all figures of a measure, if they were taken before; else none."""
    protocol, data = _protocol(measure, judge, count), _told(judge)
    found = [known.get((name, protocol, data)) for name in measure.names]
    wanted = measure.count(count), seeds
    same = [score for score in found if score is not None and (score.count, score.seeds) == wanted]
    return same if len(same) == len(found) else []


def _classifier_errors(file: Path, judge: Judge, *, named: bool) -> Score | None:
    """How many held-out samples the classifier of a semi-supervised run gets wrong; None without one.

    Raises:
        MetricError: it was asked for by name, and there is none.
    """
    run, real = RunFolder(file.parent), judge.held_out_store
    began = time.monotonic()
    wrong = None
    # The classifier belongs to the last state of the run, as its generator does.
    if run.classifier.is_file() and file == run.generator and real is not None:
        classifier = load_classifier(run.classifier)
        wrong = count_errors(classifier.probabilities(real), real, classifier)
    if wrong is None or real is None:
        if named:
            raise MetricError(
                f"the metric {ERRORS.name!r} does not fit this run",
                expected="a semi-supervised run, and held-out data with labels of the same classes",
            )
        return None
    return Score(
        metric=ERRORS.name, title=ERRORS.title, better=ERRORS.better, value=wrong, spread=None, floor=None,
        floor_of=None, count=len(real), seeds=1, protocol=f"errors-of-{_short(len(real))}", data=_told(judge),
        seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


@dataclass
class _Taken:
    """A measure's figures, seed by seed, and the time they took."""

    measure: Measure
    values: list[Sequence[float]] = field(default_factory=list[Sequence[float]])
    seconds: float = 0.0


def _score(
    generator: Generator,
    judge: Judge,
    measures: Sequence[Measure],
    count: int,
    seeds: int,
    progress: Progress,
    *,
    named: bool,
) -> list[Score]:
    """The scores; a measure that cannot be taken of so few samples is left out, unless it was asked for by name."""
    taken = [_Taken(measure) for measure in measures]
    progress.start("scoring", seeds * len(measures), "measures")
    for seed in range(_FIRST_SEED, _FIRST_SEED + seeds):
        labels = judge.asked(count, seed) if generator.class_names else None
        samples = judge.look(_draw(generator, count, seed, labels), labels)
        check_samples(samples)
        for one in list(taken):
            began = time.monotonic()
            try:
                one.values.append(one.measure.compute(samples, judge))
            except MetricError as error:
                if named:
                    raise
                told = f"without {', '.join(one.measure.names)}: {error.what}"
                warnings.warn(told, ScoreWarning, stacklevel=2)
                taken.remove(one)
            one.seconds += time.monotonic() - began
            progress.advance(1)
    progress.finish()
    return [score for one in taken for score in _summed_up(one, judge, count)]


def _summed_up(taken: _Taken, judge: Judge, count: int) -> list[Score]:
    """The scores of a measure's figures, with their floors."""
    measure, floor = taken.measure, floor_samples(taken.measure, judge, count)
    real: Sequence[float] | None = None
    if floor is not None:
        try:
            real = measure.compute(floor[0], judge)
        except MetricError as error:
            warnings.warn(f"there is no floor of {measure.names[0]}: {error.what}", ScoreWarning, stacklevel=2)
    scores: list[Score] = []
    for place, figure in enumerate(measure.figures):
        single = [float(values[place]) for values in taken.values]
        score = Score(
            metric=figure.name,
            title=figure.title,
            better=figure.better,
            value=statistics.fmean(single),
            spread=statistics.stdev(single) if len(single) > 1 else None,
            floor=None if real is None else float(real[place]),
            floor_of=None if floor is None or real is None else f"{len(floor[0]):,} {floor[1]}",
            count=measure.count(count),
            seeds=len(single),
            protocol=_protocol(measure, judge, count),
            data=_told(judge),
            seconds=round(taken.seconds, 3),
        )
        scores.append(score)
    return scores


def _protocol(measure: Measure, judge: Judge, count: int) -> str:
    return measure.protocol.format(extractor=judge.extractor.name, count=_short(measure.count(count)))


def _told(judge: Judge) -> str:
    first = "" if len(judge.train) == len(judge.store) else f", {len(judge.train):,} of them"
    return f"{judge.store.name} {judge.store.fingerprint[:8]} ({len(judge.store):,}{first})"


def _draw(generator: Generator, count: int, seed: int, labels: Tensor | None) -> Tensor:
    """Samples as they would be saved."""
    classes = None if labels is None else labels.tolist()
    return torch.cat([as_saved(samples) for samples, _ in generator.stream(count, seed=seed, label=classes)])


def _generator_file(path: Path) -> Path:
    return RunFolder(path).generator if path.is_dir() else path


def _short(count: int) -> str:
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)
