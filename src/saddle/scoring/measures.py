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
from saddle.features.inception import Inception
from saddle.metrics.frechet import frechet_distance
from saddle.metrics.kernel import kernel_distance
from saddle.metrics.labels import agreement, category_modes, class_shares, inception_score, mixture_modes
from saddle.metrics.manifold import density_coverage, precision_recall
from saddle.metrics.nearest import copied_share, neighbour_error
from saddle.metrics.parzen import SIGMAS, log_likelihoods, parzen
from saddle.metrics.points import kolmogorov_smirnov, sliced_wasserstein, wasserstein
from saddle.scoring.likelihood import Asked, asked_count, lacking, mean_nats, nats
from saddle.scoring.pairs import AGAINST_TARGETS, lacking_for, mean_of
from saddle.scoring.sides import MOST_CHECKED_FOR_COPIES, Extracted, RealData

# A covariance of more features than these takes hours.
_MOST_FEATURES = 4096
# A class is found when it has this share of its share in the data: single samples taken for it do not count.
_LEAST_SHARE = 0.1
# Held-out images whose distances tell how near is too near: 100 in each of two halves.
_FEWEST_FOR_COPIES = 200
# The paper's code chooses the Parzen window on so many validation images (Goodfellow et al. 2014).
_PARZEN_VALIDATION = 1000


class Quantity(NamedTuple):
    """One number that a measure gives; what users call a metric.

    Args:
        name: as in tables and in ``--metric``.
        better: which way is better; None for one that goes with another, such as its error.
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
        quantities: what it gives, in the order of ``compute``'s values.
        protocol: its name, in which {extractor} and {count} are filled in.
        lacks: what it needs and these real data do not have, or None if it fits. The second argument says whether the
            samples were asked for by class.
        compute: samples, compared with real data → one value for each quantity.
        floor_from: which real samples take the place of generated ones when the floor is measured, if any.
        held_out: whether it compares with held-out samples, and so must not choose among generators.
        most: it takes at most so many samples; None: all.
        labelled: whether the samples of the floor need labels.
        asks_about: the real samples whose likelihoods it is computed from; the network is asked for these, and no
            sample is generated. None: it compares generated samples.
    """

    quantities: tuple[Quantity, ...]
    protocol: str
    lacks: Callable[[RealData, bool], str | None]
    compute: Callable[[Extracted, RealData], Values]
    floor_from: Literal["held out", "half held out", "training", "nothing"] = "held out"
    held_out: bool = False
    most: int | None = None
    labelled: bool = False
    asks_about: Asked | None = None

    def count(self, count: int, real: RealData) -> int:
        """How many of ``count`` samples it takes."""
        if self.asks_about is not None:
            return asked_count(self.asks_about, real, count)
        return count if self.most is None else min(count, self.most)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(quantity.name for quantity in self.quantities)


def _wide(real: RealData, _: bool) -> str | None:
    return "points with two or more coordinates" if real.store.shape == (1,) else None


def _few_features(real: RealData, by_class: bool) -> str | None:
    width = real.train.features.shape[1]
    return f"at most {_MOST_FEATURES:,} features, not {width:,}" if width > _MOST_FEATURES else _wide(real, by_class)


def _channels(real: RealData) -> int:
    probabilities = real.train.probabilities
    return 0 if probabilities is None else probabilities.shape[1]


def _own_classes(real: RealData, _: bool) -> str | None:
    known = _channels(real) == 1 and real.store.class_names == real.extractor.class_names
    return None if known else "an extractor that was trained on the data's classes"


def _some_classes(real: RealData, by_class: bool) -> str | None:  # Inception's thousand are the score's own
    return None if real.extractor.name == Inception.name else _own_classes(real, by_class)


def _stacked(real: RealData, _: bool) -> str | None:
    return None if _channels(real) > 1 else "stacked images and an extractor that tells classes apart"


def _conditional(real: RealData, by_class: bool) -> str | None:
    return _own_classes(real, by_class) if by_class else "samples asked for by class"


def _with_test_labels(real: RealData, by_class: bool) -> str | None:
    if not by_class:
        return "samples asked for by class"
    test = real.held_out_store
    labelled = test is not None and test.labels is not None and test.class_names == real.store.class_names
    return None if labelled and real.store.kind == "images" else "held-out images with labels of the same classes"


def _held_out_images(real: RealData, _: bool) -> str | None:
    held_out = real.held_out_store
    enough = held_out is not None and len(held_out) >= _FEWEST_FOR_COPIES and real.store.kind == "images"
    return None if enough else f"at least {_FEWEST_FOR_COPIES} held-out images"


def _validation_images(real: RealData, _: bool) -> str | None:
    fits = real.validation_store is not None and real.store.kind == "images"
    return None if fits else "images left out of the training by data.first"


def _all_splits(real: RealData, by_class: bool) -> str | None:
    if real.held_out_store is None:
        return "held-out images"
    return _validation_images(real, by_class)


def _line(real: RealData, _: bool) -> str | None:
    return None if _coordinate(real) is not None or real.store.shape == (1,) else "points of one number"


def _mixture(real: RealData, _: bool) -> str | None:
    known = real.store.distribution
    return None if isinstance(known, Mixture) and len(known.centres) > 1 else "points of a mixture with several modes"


def _flat_points(real: RealData, by_class: bool) -> str | None:
    return _wide(real, by_class) if real.store.kind == "points" else "points with two or more coordinates"


def _coordinate(real: RealData) -> Univariate | None:
    return None if real.store.distribution is None else real.store.distribution.coordinate


def _frechet(samples: Extracted, real: RealData) -> Values:
    moments, axes = real.train_moments
    return (frechet_distance(samples.moments, moments, axes=axes),)


def _kernel(samples: Extracted, real: RealData) -> Values:
    return kernel_distance(samples.features, real.train_subset.features, within=real.train_subset.kernel_sums)


def _manifold(samples: Extracted, real: RealData) -> Values:
    reference = real.train_subset
    return precision_recall(samples.features, reference.features, neighbours=reference.neighbour_distances)


def _density(samples: Extracted, real: RealData) -> Values:
    reference = real.train_subset
    return density_coverage(samples.features, reference.features, neighbours=reference.neighbour_distances)


def _inception_score(samples: Extracted, _: RealData) -> Values:
    assert samples.probabilities is not None
    return (inception_score(samples.probabilities[:, 0]).value,)


def _classes(samples: Extracted, real: RealData) -> Values:
    assert real.train.labels is not None
    classes = len(real.store.class_names)
    true, found = class_shares(real.train.labels, classes), class_shares(samples.found, classes)
    return int((found >= _LEAST_SHARE * true).sum()), 100 * (found - true).abs().max().item()


def _stacked_modes(samples: Extracted, _: RealData) -> Values:
    assert samples.probabilities is not None
    modes = samples.probabilities.shape[2] ** samples.probabilities.shape[1]
    return category_modes(samples.found, torch.full((modes,), 1 / modes, dtype=torch.float64))


def _agreement(samples: Extracted, _: RealData) -> Values:
    assert samples.labels is not None
    return (agreement(samples.found, samples.labels),)


def _neighbour_error(samples: Extracted, real: RealData) -> Values:
    test = real.held_out
    assert test is not None and test.labels is not None and samples.labels is not None
    return (100 * neighbour_error(samples.flat, samples.labels, test.flat, test.labels),)


def _copies(samples: Extracted, real: RealData) -> Values:
    return (copied_share(samples.flat[:MOST_CHECKED_FOR_COPIES], real.train.flat, real.copy_limit),)


def _parzen(samples: Extracted, real: RealData) -> Values:
    assert real.held_out is not None
    found = parzen(samples.flat, real.validation(_PARZEN_VALIDATION), real.held_out.flat)
    return found.value, found.error


def _parzen_validation(samples: Extracted, real: RealData) -> Values:
    return (log_likelihoods(samples.flat, real.validation(_PARZEN_VALIDATION), SIGMAS).mean(1).max().item(),)


def _on_the_line(samples: Extracted, real: RealData) -> Values:
    truth: Univariate | Tensor = _coordinate(real) or real.train.flat.flatten()
    values = samples.flat.flatten()
    return kolmogorov_smirnov(values, truth), wasserstein(values, truth)


def _mixture_modes(samples: Extracted, real: RealData) -> Values:
    known = real.store.distribution
    assert isinstance(known, Mixture)
    found = mixture_modes(samples.flat, torch.from_numpy(known.centres), known.sigma)
    return found.modes, 100 * found.high_quality, found.reverse_kl, found.spread


def _sliced(samples: Extracted, real: RealData) -> Values:
    return (sliced_wasserstein(samples.flat, real.train.subset(len(samples)).flat),)


def _likelihood(which: Asked, *, labelled: bool) -> Measure:
    given, suffix = (" given the class", "-given-class") if labelled else ("", "")
    lacks = lacking(which, labelled=labelled)
    if which == "validation":
        quantities = (Quantity("nats_validation", "lower", f"nats of validation images{given}"),)
        protocol = f"nats-validation{suffix}-{{count}}"
        return Measure(quantities, protocol, lacks, mean_nats, floor_from="nothing", asks_about=which)
    quantities = (
        Quantity("nats", "lower", f"negative log-likelihood{given}, nats"),
        Quantity("nats_error", None, "its standard error"),
        Quantity("bits_per_dim", "lower", "the same in bits per dimension"),
    )
    protocol = f"nats{suffix}-{{count}}"
    return Measure(quantities, protocol, lacks, nats, floor_from="nothing", held_out=True, asks_about=which)


def _against_target(name: str) -> Measure:
    higher, title, distance = AGAINST_TARGETS[name]
    quantities = (
        Quantity(name, "higher" if higher else "lower", title), Quantity(f"{name}_error", None, "its standard error"),
    )  # fmt: skip
    lacks, compute = lacking_for(distance), mean_of(distance)
    return Measure(quantities, f"{name}-{{count}}", lacks, compute, floor_from="nothing", held_out=True)


MEASURES = (
    Measure((Quantity("fd", "lower", "Fréchet distance"),), "fd-{extractor}-{count}", _few_features, _frechet),
    Measure(
        (Quantity("kd", "lower", "kernel distance"), Quantity("kd_error", None, "its standard error")),
        "kd-{extractor}-{count}", _wide, _kernel,
    ),
    Measure(
        (Quantity("precision", "higher", "precision"), Quantity("recall", "higher", "recall")),
        "pr-k3-{extractor}-{count}", _wide, _manifold,
    ),
    Measure(
        (Quantity("density", "higher", "density"), Quantity("coverage", "higher", "coverage")),
        "dc-k5-{extractor}-{count}", _wide, _density,
    ),
    Measure(
        (Quantity("is", "higher", "Inception-score form"),), "is-{extractor}-{count}", _some_classes, _inception_score
    ),
    Measure(
        (
            Quantity("classes", "higher", "classes found"),
            Quantity("class_gap", "lower", "largest gap of a class, points"),
        ),
        "classes-{extractor}-{count}", _own_classes, _classes,
    ),
    Measure(
        (Quantity("modes", "higher", "modes found"), Quantity("kl", "lower", "KL to equal shares, nats")),
        "modes-{extractor}-{count}", _stacked, _stacked_modes,
    ),
    Measure(
        (Quantity("agreement", "higher", "share with the class asked for"),),
        "agreement-{extractor}-{count}", _conditional, _agreement, labelled=True,
    ),
    Measure(
        (Quantity("1nn", "lower", "1-nearest-neighbour error, %"),), "1nn-pixels-{count}", _with_test_labels,
        _neighbour_error, floor_from="training", held_out=True,
    ),
    Measure(
        (Quantity("copies", "lower", "share of copies"),), "copies-pixels-{count}", _held_out_images, _copies,
        floor_from="half held out", held_out=True, most=MOST_CHECKED_FOR_COPIES,
    ),
    Measure(
        (
            Quantity("parzen", "higher", "Parzen log-likelihood, nats"),
            Quantity("parzen_error", None, "its standard error"),
        ),
        "parzen-{count}", _all_splits, _parzen, floor_from="training", held_out=True,
    ),
    Measure(
        (Quantity("parzen_validation", "higher", "Parzen log-likelihood of validation images, nats"),),
        "parzen-validation-{count}", _validation_images, _parzen_validation, floor_from="training",
    ),
    Measure(
        (Quantity("ks", "lower", "Kolmogorov-Smirnov"), Quantity("w1", "lower", "Wasserstein-1")),
        "line-{count}", _line, _on_the_line,
    ),
    Measure(
        (
            Quantity("modes", "higher", "modes found"),
            Quantity("high_quality", "higher", "high-quality share, %"),
            Quantity("reverse_kl", "lower", "reverse KL, nats"),
            Quantity("mode_spread", None, "spread within modes, of the true one"),
        ),
        "mixture-{count}", _mixture, _mixture_modes,
    ),
    Measure((Quantity("sw", "lower", "sliced Wasserstein-1"),), "sw-{count}", _flat_points, _sliced),
    _likelihood("held out", labelled=False), _likelihood("held out", labelled=True),
    _likelihood("validation", labelled=False), _likelihood("validation", labelled=True),
    *map(_against_target, AGAINST_TARGETS),
)  # fmt: skip
# The metrics that no generated sample and so no seed has a part in.
UNSAMPLED = frozenset(name for measure in MEASURES if measure.asks_about is not None for name in measure.names)


def choose(names: Sequence[str] | None, real: RealData, *, by_class: bool, likelihood: bool) -> list[Measure]:
    """The measures that give the metrics of these names; without names, all that fit.

    Args:
        names: of metrics.
        real: what is compared with.
        by_class: whether samples are asked for by class.
        likelihood: whether the network has a likelihood.

    Raises:
        MetricError: an unknown name, or a measure that does not fit these data.
    """

    def lacks(measure: Measure) -> str | None:
        if measure.asks_about is not None and not likelihood:
            return "a network with a likelihood (learner = likelihood)"
        return measure.lacks(real, by_class)

    if not names:
        return [measure for measure in MEASURES if lacks(measure) is None]
    chosen: list[Measure] = []
    for name in names:
        known = [measure for measure in MEASURES if name in measure.names]
        if not known:
            every = sorted({known_name for measure in MEASURES for known_name in measure.names})
            raise MetricError(f"there is no metric {name!r}", expected=", ".join(every), remedy=suggest(name, every))
        lacking = [lacks(measure) for measure in known]
        if None not in lacking:
            raise MetricError(
                f"the metric {name!r} does not fit {real.store.name}",
                expected=" or ".join(dict.fromkeys(map(str, lacking))),
            )
        measure = known[lacking.index(None)]
        if measure not in chosen:
            chosen.append(measure)
    return chosen


def floor_samples(measure: Measure, real: RealData, count: int) -> tuple[Extracted, str] | None:
    """Real samples in the place of generated ones, at most ``count``, and what they are; None if none fit.

    They are true draws where the data are drawn from a distribution; else held-out samples, or training samples where
    the measure itself uses the held-out ones.
    """
    if measure.floor_from == "nothing":
        return None
    if (drawn := real.true_draws(count)) is not None:
        return drawn, "true draws"
    if measure.floor_from == "training":
        return real.train.subset(count), "training samples"
    if real.held_out is None or real.held_out_store is None:
        return None
    same_classes = real.held_out.labels is not None and real.held_out_store.class_names == real.store.class_names
    if measure.labelled and not same_classes:
        return None
    count = measure.count(count, real)
    chosen = real.half_held_out(1) if measure.floor_from == "half held out" else real.held_out
    return chosen.subset(count), "held-out samples"
