"""The two sides of every score: samples with their features, and the real data that they are compared with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from saddle.base.chance import stream
from saddle.base.progress import Progress, Silent
from saddle.base.tensors import load_tensors, save_tensors
from saddle.data.cache import cache_folder, unusable_cache
from saddle.data.store import Store, fingerprint_of
from saddle.errors import CheckpointError, DataError
from saddle.features.extractors import Extractor, Module, class_numbers
from saddle.metrics.frechet import Axes, Moments
from saddle.metrics.kernel import KernelSums, sums_within
from saddle.metrics.nearest import copy_limit, neighbour_distances

# More real samples than these would not make a score more exact; they are chosen evenly. Of large images there are
# fewer where each pixel is a feature: so many numbers in all.
MOST_REAL, _MOST_NUMBERS = 60_000, 2**28
# Neighbourhoods and kernels are computed with so many real samples.
_MOST_NEIGHBOURS = 10_000
# The largest k of the measures of neighbourhoods.
_LARGEST_K = 5
# Samples, and held-out ones, whose nearest training image is looked for.
MOST_CHECKED_FOR_COPIES = 2000
_FORMAT = "saddle-features-1"
_Shape = tuple[int | None, ...]  # None: any length


@dataclass(frozen=True)
class Extracted:
    """Samples, and what an extractor finds in them.

    Args:
        values: uint8 images (N, C, H, W) or float points (N, d).
        labels: the classes that they have or were asked for, (N,), or None.
        features: (N, n), floats; or uint8, which counts from 0 to 1.
        probabilities: (N, channels, classes), or None.
        log_likelihoods: what the network that is scored says of real samples, (N,); else None.
        targets: what the samples should have been, as ``values``, where they were made of inputs; else None.
    """

    values: Tensor
    labels: Tensor | None
    features: Tensor
    probabilities: Tensor | None
    log_likelihoods: Tensor | None = None
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def moments(self) -> Moments:
        return Moments.of(self.features)

    @cached_property
    def kernel_sums(self) -> KernelSums:
        return sums_within(self.features)

    @cached_property
    def neighbour_distances(self) -> Tensor:
        """How far each sample is from its 5 nearest others, or from all others if there are fewer: (N, 5)."""
        return neighbour_distances(self.features, min(_LARGEST_K, len(self) - 1))

    @property
    def flat(self) -> Tensor:
        """The samples as rows, (N, numbers of a sample); uint8 counts from 0 to 1."""
        return self.values.flatten(1)

    @cached_property
    def found(self) -> Tensor:
        """The most probable class of each sample, (N,); needs probabilities."""
        assert self.probabilities is not None
        return class_numbers(self.probabilities)

    def subset(self, count: int) -> Extracted:
        """``count`` of the samples, or all, in an order drawn once and for all: files often come class by class."""
        chance = torch.Generator().manual_seed(stream(0, "some", len(self)))
        chosen = torch.randperm(len(self), generator=chance)[:count]
        return self.rows(chosen)

    def rows(self, chosen: Tensor | slice) -> Extracted:
        """The samples of these numbers."""
        labels = None if self.labels is None else self.labels[chosen]
        probabilities = None if self.probabilities is None else self.probabilities[chosen]
        return Extracted(self.values[chosen], labels, self.features[chosen], probabilities)


def extract(
    values: Tensor, labels: Tensor | None, extractor: Extractor, advance: Callable[[int], None] = lambda _: None
) -> Extracted:
    """Samples with their features, which are computed in pieces; ``advance`` is told how many samples each has."""
    features: list[Tensor] = []
    probabilities: list[Tensor] = []
    for piece in values.split(extractor.batch):
        output = extractor(piece)
        features.append(output.features.cpu())
        if output.probabilities is not None:
            probabilities.append(output.probabilities.cpu())
        advance(len(piece))
    return Extracted(values, labels, torch.cat(features), torch.cat(probabilities) if probabilities else None)


def extract_store(store: Store, extractor: Extractor, progress: Progress | None = None) -> Extracted:
    """Real samples with their features; the features of a network are cached, by the content of both.

    Raises:
        DataError: the cache cannot be written.
    """
    progress = progress or Silent()
    # Pixels and points are quick to have again, and the code of a user's own module may have changed.
    cached = extractor.name not in ("pixels", "points") and not isinstance(extractor, Module)
    most = MOST_REAL if cached else min(MOST_REAL, _MOST_NUMBERS // math.prod(store.shape))
    chosen = np.unique(np.linspace(0, len(store) - 1, min(len(store), most)).astype(np.int64))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        values = torch.from_numpy(store.values[chosen] if len(chosen) < len(store) else store.values)
    labels = None if store.labels is None else torch.from_numpy(store.labels[chosen])
    if not cached:
        return extract(values, labels, extractor)

    def compute() -> dict[str, Tensor]:
        progress.start(f"features of {store.name} by {extractor.name}", len(values), "samples")
        found = extract(values, labels, extractor, progress.advance)
        progress.finish()
        probabilities = {} if found.probabilities is None else {"probabilities": found.probabilities}
        return {"features": found.features} | probabilities

    shapes: dict[str, _Shape] = {"features": (len(values), None)}
    if extractor.class_names:
        shapes["probabilities"] = (len(values), None, len(extractor.class_names))
    tensors = _from_cache(extractor.name, _content(values, extractor), shapes, compute)
    return Extracted(values, labels, tensors["features"], tensors.get("probabilities"))


def _content(values: Tensor, extractor: Extractor) -> str:
    return f"{fingerprint_of(values.numpy(), None, ())}/{extractor.fingerprint}"


def _from_cache(
    name: str, content: str, shapes: Mapping[str, _Shape], compute: Callable[[], Mapping[str, Tensor]]
) -> Mapping[str, Tensor]:
    """The tensors that are cached for ``content``; they are computed where none are there, damaged ones or others."""
    key = sha256(content.encode()).hexdigest()
    path = cache_folder() / "features" / f"{name}-{key[:32]}.safetensors"
    with suppress(CheckpointError):
        tensors, header = load_tensors(path)
        if header == {"format": _FORMAT} and _fit(tensors, shapes):
            return tensors
    tensors = compute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(path, tensors, {"format": _FORMAT})
    except OSError as error:
        raise unusable_cache(error) from error
    except CheckpointError as error:
        raise DataError(error.what, got=error.got, remedy="make room, or set SADDLE_CACHE to another folder") from None
    return tensors


def _fit(tensors: Mapping[str, Tensor], shapes: Mapping[str, _Shape]) -> bool:
    """Whether these are floats of such shapes, and nothing else."""
    return tensors.keys() == shapes.keys() and all(
        tensor.dtype in (torch.float32, torch.float64)
        and tensor.ndim == len(shapes[name])
        and all(wanted in (None, found) for wanted, found in zip(shapes[name], tensor.shape, strict=True))
        for name, tensor in tensors.items()
    )


class RealData:
    """Real samples as the measures need them; each part is computed when it is first needed.

    Args:
        store: what the generator learned from.
        held_out: real samples that it never saw, or None.
        validation: real samples that may choose settings, or None.
        extractor: what samples are compared by.
        progress: who watches the features being computed.
    """

    def __init__(
        self,
        store: Store,
        held_out: Store | None,
        validation: Store | None,
        extractor: Extractor,
        progress: Progress | None = None,
    ) -> None:
        self.store = store
        self.extractor = extractor
        self.held_out_store = held_out
        self.validation_store = validation
        self._progress = progress

    @cached_property
    def train(self) -> Extracted:
        return extract_store(self.store, self.extractor, self._progress)

    @cached_property
    def train_subset(self) -> Extracted:
        """The training samples that neighbourhoods and kernels are computed with."""
        return self.train.subset(_MOST_NEIGHBOURS)

    @cached_property
    def train_moments(self) -> tuple[Moments, Axes]:
        """Of the training samples' features. Those of pixels, which are many, are cached."""
        if self.extractor.name != "pixels":
            return self.train.moments, self.train.moments.axes

        def compute() -> dict[str, Tensor]:
            moments = self.train.moments
            return {"mean": moments.mean, "scatter": moments.scatter} | moments.axes._asdict()

        width = math.prod(self.store.shape)
        square: _Shape = (width, width)
        shapes: dict[str, _Shape] = {"mean": (width,), "scatter": square, "variances": (width,), "directions": square}
        tensors = _from_cache("pixel-moments", _content(self.train.values, self.extractor), shapes, compute)
        axes = Axes(tensors["variances"], tensors["directions"])
        return Moments(len(self.train), tensors["mean"], tensors["scatter"]), axes

    @cached_property
    def held_out(self) -> Extracted | None:
        if self.held_out_store is None:
            return None
        return extract_store(self.held_out_store, self.extractor, self._progress)

    def half_held_out(self, which: Literal[0, 1]) -> Extracted:
        """Every second held-out sample; there must be some."""
        assert self.held_out is not None
        return self.held_out.rows(slice(which, None, 2))

    @cached_property
    def copy_limit(self) -> float:
        """How near to a training image a copy is, by one half of the held-out images; there must be some."""
        return copy_limit(self.train.flat, self.half_held_out(0).subset(MOST_CHECKED_FOR_COPIES).flat)

    def prepare(self) -> None:
        """Compute all features of real data now, and not in the middle of something else that is watched."""
        _ = self.train, self.held_out

    def validation(self, count: int) -> Tensor:
        """The first ``count`` validation samples, rows as in ``Extracted.flat``; there must be some."""
        assert self.validation_store is not None
        return torch.from_numpy(self.validation_store.values[:count].copy()).flatten(1)

    def true_draws(self, count: int) -> Extracted | None:
        """``count`` true draws, where the data are drawn from a distribution; else None."""
        if self.store.draw is None:
            return None
        values = self.store.draw(np.random.default_rng(stream(0, "fresh", count)), count)
        return extract(torch.from_numpy(values), None, self.extractor)

    def labels_to_ask_for(self, count: int, seed: int) -> Tensor:
        """Labels (count,) to ask a conditional generator for, with the shares that the classes have in the data."""
        chance = np.random.default_rng(stream(seed, "asked"))
        shares = self.store.class_shares()
        return torch.from_numpy(chance.choice(len(shares), count, p=shares))

    def extract(self, values: Tensor, labels: Tensor | None = None, targets: Tensor | None = None) -> Extracted:
        """Generated samples, uint8 (N, C, H, W) or float (N, d), with the same features as the real ones."""
        return replace(extract(values, labels, self.extractor), targets=targets)

    def pairs(self, count: int, *, held_out: bool) -> Store | None:
        """At most ``count`` pairs, whose inputs samples are made of; None of data that are no pairs.

        Args:
            count: how many.
            held_out: whether they are held-out ones, if there are any.
        """
        chosen = self.held_out_store if held_out and self.held_out_store is not None else self.store
        return None if chosen.inputs is None else chosen.spread(count)
