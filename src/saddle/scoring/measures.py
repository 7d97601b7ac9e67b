"""The scores that saddle gives, each with the rule by which it is computed: what it needs, its parts, its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from saddle.base.suggest import suggest
from saddle.data.named.distributions import Mixture, Univariate
from saddle.errors import MetricError
from saddle.metrics.frechet import frechet_distance
from saddle.metrics.inputs import check_points
from saddle.metrics.kernel import kernel_distance
from saddle.metrics.labels import agreement, category_modes, class_shares, inception_score, mixture_modes
from saddle.metrics.manifold import density_coverage, precision_recall
from saddle.metrics.nearest import copied_share, neighbour_error
from saddle.metrics.parzen import SIGMAS, log_likelihoods, parzen
from saddle.metrics.points import kolmogorov_smirnov, sliced_wasserstein, wasserstein
from saddle.scoring.sides import Judge, Looked

# Real samples that neighbourhoods and kernels are computed with.
_SOME = 10_000
# A covariance of more features than these takes hours.
_WIDEST = 4096
# Samples whose nearest training image is looked for.
_COPIES = 2000
# A class is found when it has this share of its share in the data: single samples taken for it do not count.
_PRESENT = 0.1
# Held-out samples whose distances tell how near is too near: 100 in each of two halves.
_HELD_OUT = 200
# The paper's code chooses the Parzen window on so many validation images (Goodfellow et al. 2014).
_VALIDATION = 1000


class Figure(NamedTuple):
    """One number that a measure gives.

    Args:
        name: as in tables and in ``--metric``.
        better: which way is better; None of a figure that goes with another, such as its error.
        title: in words.
    """

    name: str
    better: Literal["lower", "higher"] | None
    title: str


Values = Sequence[float]


@dataclass(frozen=True)
class Measure:
    """One way of scoring samples.

    Args:
        figures: that it gives, in the order of ``compute``'s values.
        protocol: its name, in which {extractor} and {count} are filled in.
        lacks: what it would need and a judge does not have, or None if it fits. The second argument says whether the
            samples were asked for by class.
        compute: samples held against real data → one value a figure.
        real: what stands for perfect samples when the floor is measured.
        held_out: whether it compares with held-out samples, and so must not choose among generators.
        most: samples that it looks at, however many there are; None: all.
        labelled: whether real samples need labels to stand for perfect ones.
    """

    figures: tuple[Figure, ...]
    protocol: str
    lacks: Callable[[Judge, bool], str | None]
    compute: Callable[[Looked, Judge], Values]
    real: Literal["held out", "half held out", "training"] = "held out"
    held_out: bool = False
    most: int | None = None
    labelled: bool = False

    def count(self, count: int) -> int:
        """How many of ``count`` samples it looks at."""
        return count if self.most is None else min(count, self.most)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(figure.name for figure in self.figures)


def _wide(judge: Judge, _: bool) -> str | None:
    return "points with two or more coordinates" if judge.store.shape == (1,) else None


def _few_features(judge: Judge, by_class: bool) -> str | None:
    width = judge.train.features.shape[1]
    return f"at most {_WIDEST:,} features, not {width:,}" if width > _WIDEST else _wide(judge, by_class)


def _channels(judge: Judge) -> int:
    probabilities = judge.train.probabilities
    return 0 if probabilities is None else probabilities.shape[1]


def _one_class(judge: Judge, _: bool) -> str | None:
    return None if _channels(judge) == 1 else "an extractor that tells classes apart"


def _own_classes(judge: Judge, _: bool) -> str | None:
    known = _channels(judge) == 1 and judge.store.class_names == judge.extractor.class_names
    return None if known else "an extractor that was trained on the data's classes"


def _stacked(judge: Judge, _: bool) -> str | None:
    return None if _channels(judge) > 1 else "stacked images and an extractor that tells classes apart"


def _conditional(judge: Judge, by_class: bool) -> str | None:
    return _own_classes(judge, by_class) if by_class else "samples asked for by class"


def _with_test_labels(judge: Judge, by_class: bool) -> str | None:
    if not by_class:
        return "samples asked for by class"
    real = judge.held_out_store
    labelled = real is not None and real.labels is not None and real.class_names == judge.store.class_names
    return None if labelled and judge.store.kind == "images" else "held-out images with labels of the same classes"


def _held_out_images(judge: Judge, _: bool) -> str | None:
    real = judge.held_out_store
    enough = real is not None and len(real) >= _HELD_OUT and judge.store.kind == "images"
    return None if enough else f"at least {_HELD_OUT} held-out images"


def _validation_images(judge: Judge, _: bool) -> str | None:
    fits = judge.validation_store is not None and judge.store.kind == "images"
    return None if fits else "images left out of the training by data.first"


def _all_splits(judge: Judge, by_class: bool) -> str | None:
    if judge.held_out_store is None:
        return "held-out images"
    return _validation_images(judge, by_class)


def _line(judge: Judge, _: bool) -> str | None:
    return None if _coordinate(judge) is not None or judge.store.shape == (1,) else "points on the line"


def _mixture(judge: Judge, _: bool) -> str | None:
    known = judge.store.distribution
    return None if isinstance(known, Mixture) and len(known.centres) > 1 else "points of a mixture with several modes"


def _flat_points(judge: Judge, by_class: bool) -> str | None:
    return _wide(judge, by_class) if judge.store.kind == "points" else "points with two or more coordinates"


def _coordinate(judge: Judge) -> Univariate | None:
    return None if judge.store.distribution is None else judge.store.distribution.coordinate


def _frechet(samples: Looked, judge: Judge) -> Values:
    return (frechet_distance(samples.moments, judge.train.moments),)


def _kernel(samples: Looked, judge: Judge) -> Values:
    return kernel_distance(samples.features, judge.train.some(_SOME).features)


def _manifold(samples: Looked, judge: Judge) -> Values:
    return precision_recall(samples.features, judge.train.some(_SOME).features)


def _density(samples: Looked, judge: Judge) -> Values:
    return density_coverage(samples.features, judge.train.some(_SOME).features)


def _inception_score(samples: Looked, _: Judge) -> Values:
    assert samples.probabilities is not None
    return (inception_score(samples.probabilities[:, 0]).value,)


def _classes(samples: Looked, judge: Judge) -> Values:
    assert judge.train.labels is not None
    classes = len(judge.store.class_names)
    true, found = class_shares(judge.train.labels, classes), class_shares(samples.found, classes)
    return int((found >= _PRESENT * true).sum()), 100 * (found - true).abs().max().item()


def _stacked_modes(samples: Looked, _: Judge) -> Values:
    assert samples.probabilities is not None
    modes = samples.probabilities.shape[2] ** samples.probabilities.shape[1]
    return category_modes(samples.found, torch.full((modes,), 1 / modes, dtype=torch.float64))


def _agreement(samples: Looked, _: Judge) -> Values:
    assert samples.labels is not None
    return (agreement(samples.found, samples.labels),)


def _neighbour_error(samples: Looked, judge: Judge) -> Values:
    real = judge.held_out
    assert real is not None and real.labels is not None and samples.labels is not None
    return (100 * neighbour_error(samples.flat, samples.labels, real.flat, real.labels),)


def _copies(samples: Looked, judge: Judge) -> Values:
    held_out = judge.half_held_out(0).some(_COPIES).flat
    return (copied_share(samples.flat[:_COPIES], judge.train.flat, held_out),)


def _parzen(samples: Looked, judge: Judge) -> Values:
    assert judge.held_out is not None
    found = parzen(samples.flat, judge.validation(_VALIDATION), judge.held_out.flat)
    return found.value, found.error


def _parzen_validation(samples: Looked, judge: Judge) -> Values:
    return (log_likelihoods(samples.flat, judge.validation(_VALIDATION), SIGMAS).mean(1).max().item(),)


def _on_the_line(samples: Looked, judge: Judge) -> Values:
    truth: Univariate | Tensor = _coordinate(judge) or judge.train.flat.flatten()
    values = samples.flat.flatten()
    return kolmogorov_smirnov(values, truth), wasserstein(values, truth)


def _mixture_modes(samples: Looked, judge: Judge) -> Values:
    known = judge.store.distribution
    assert isinstance(known, Mixture)
    found = mixture_modes(samples.flat, torch.from_numpy(known.centres), known.sigma)
    return found.modes, 100 * found.high_quality, found.reverse_kl


def _sliced(samples: Looked, judge: Judge) -> Values:
    return (sliced_wasserstein(samples.flat, judge.train.some(len(samples)).flat),)


MEASURES = (
    Measure((Figure("fd", "lower", "Fréchet distance"),), "fd-{extractor}-{count}", _few_features, _frechet),
    Measure(
        (Figure("kd", "lower", "kernel distance"), Figure("kd_error", None, "its standard error")),
        "kd-{extractor}-{count}", _wide, _kernel,
    ),
    Measure(
        (Figure("precision", "higher", "precision"), Figure("recall", "higher", "recall")),
        "pr-k3-{extractor}-{count}", _wide, _manifold,
    ),
    Measure(
        (Figure("density", "higher", "density"), Figure("coverage", "higher", "coverage")),
        "dc-k5-{extractor}-{count}", _wide, _density,
    ),
    Measure(
        (Figure("is", "higher", "Inception-score form"),), "is-{extractor}-{count}", _one_class, _inception_score
    ),
    Measure(
        (Figure("classes", "higher", "classes found"), Figure("class_gap", "lower", "largest gap of a class, points")),
        "classes-{extractor}-{count}", _own_classes, _classes,
    ),
    Measure(
        (Figure("modes", "higher", "modes found"), Figure("kl", "lower", "KL to equal shares, nats")),
        "modes-{extractor}-{count}", _stacked, _stacked_modes,
    ),
    Measure(
        (Figure("agreement", "higher", "share with the class asked for"),),
        "agreement-{extractor}-{count}", _conditional, _agreement, labelled=True,
    ),
    Measure(
        (Figure("1nn", "lower", "1-nearest-neighbour error, %"),), "1nn-pixels-{count}", _with_test_labels,
        _neighbour_error, real="training", held_out=True,
    ),
    Measure(
        (Figure("copies", "lower", "share of copies"),), "copies-pixels-{count}", _held_out_images, _copies,
        real="half held out", held_out=True, most=_COPIES,
    ),
    Measure(
        (Figure("parzen", "higher", "Parzen log-likelihood, nats"), Figure("parzen_error", None, "its standard error")),
        "parzen-{count}", _all_splits, _parzen, real="training", held_out=True,
    ),
    Measure(
        (Figure("parzen_validation", "higher", "Parzen log-likelihood of validation images, nats"),),
        "parzen-validation-{count}", _validation_images, _parzen_validation, real="training",
    ),
    Measure(
        (Figure("ks", "lower", "Kolmogorov-Smirnov"), Figure("w1", "lower", "Wasserstein-1")), "line-{count}", _line,
        _on_the_line,
    ),
    Measure(
        (
            Figure("modes", "higher", "modes found"),
            Figure("high_quality", "higher", "high-quality share, %"),
            Figure("reverse_kl", "lower", "reverse KL, nats"),
        ),
        "mixture-{count}", _mixture, _mixture_modes,
    ),
    Measure((Figure("sw", "lower", "sliced Wasserstein-1"),), "sw-{count}", _flat_points, _sliced),
)  # fmt: skip


def choose(names: Sequence[str] | None, judge: Judge, *, by_class: bool) -> list[Measure]:
    """The measures that give the named figures; without names, all that fit.

    Raises:
        MetricError: an unknown name, or a measure that does not fit these data.
    """
    if not names:
        return [measure for measure in MEASURES if measure.lacks(judge, by_class) is None]
    chosen: list[Measure] = []
    for name in names:
        known = [measure for measure in MEASURES if name in measure.names]
        if not known:
            every = sorted({figure for measure in MEASURES for figure in measure.names})
            raise MetricError(
                f"there is no metric {name!r}", expected=", ".join(every), remedy=suggest(name, every)
            )
        lacking = [measure.lacks(judge, by_class) for measure in known]
        if None not in lacking:
            raise MetricError(
                f"the metric {name!r} does not fit {judge.store.name}", expected=" or ".join(map(str, lacking))
            )
        measure = known[lacking.index(None)]
        if measure not in chosen:
            chosen.append(measure)
    return chosen


def floor_samples(measure: Measure, judge: Judge, count: int) -> tuple[Looked, str] | None:
    """Real samples in the place of generated ones, at most ``count``, and what they are; None if there are none fit.

    True draws where the data are drawn; else held-out samples, or training samples where the measure itself uses the
    held-out ones.
    """
    if (drawn := judge.fresh(count)) is not None:
        return drawn, "true draws"
    if measure.real == "training":
        return judge.train.some(count), "training samples"
    if judge.held_out is None or judge.held_out_store is None:
        return None
    same_classes = judge.held_out.labels is not None and judge.held_out_store.class_names == judge.store.class_names
    if measure.labelled and not same_classes:
        return None
    count = measure.count(count)
    real = judge.half_held_out(1) if measure.real == "half held out" else judge.held_out
    return real.some(count), "held-out samples"


def check_samples(samples: Looked) -> None:
    """Raises:
    MetricError: values or features are not finite.
    """
    check_points(samples.values.flatten(1), "samples")
    check_points(samples.features, "features")
