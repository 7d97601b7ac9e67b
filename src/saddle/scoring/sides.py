"""The two sides of every score: samples as an extractor sees them, and the real data they are held against."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
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
from saddle.metrics.frechet import Moments
from saddle.metrics.inputs import numbers

# More real samples than these add nothing that a score could tell; they are chosen evenly. Of large pictures compared
# by their pixels there are fewer, so that their features take a gigabyte at most.
MOST, _NUMBERS = 60_000, 2**28
_FORMAT = "saddle-features-1"


@dataclass(frozen=True)
class Looked:
    """Samples, and what an extractor sees in them.

    Args:
        values: uint8 images (N, C, H, W) or float points (N, d).
        labels: the classes they have or were asked for, (N,), or None.
        features: (N, n).
        probabilities: (N, channels, classes), or None.
    """

    values: Tensor
    labels: Tensor | None
    features: Tensor
    probabilities: Tensor | None

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def moments(self) -> Moments:
        return Moments.of(self.features)

    @cached_property
    def flat(self) -> Tensor:
        """Images in [0, 1] or points, as rows (N, values of a sample)."""
        return numbers(self.values).flatten(1)

    @cached_property
    def found(self) -> Tensor:
        """The most probable class of each sample, (N,); needs probabilities."""
        assert self.probabilities is not None
        return class_numbers(self.probabilities)

    def some(self, count: int) -> Looked:
        """``count`` of the samples, or all, in an order drawn once and for all: files often come class by class."""
        chance = torch.Generator().manual_seed(stream(0, "some", len(self)))
        chosen = torch.randperm(len(self), generator=chance)[:count]
        return self.rows(chosen)

    def rows(self, chosen: Tensor | slice) -> Looked:
        """The samples of these numbers."""
        labels = None if self.labels is None else self.labels[chosen]
        probabilities = None if self.probabilities is None else self.probabilities[chosen]
        return Looked(self.values[chosen], labels, self.features[chosen], probabilities)


def look(
    values: Tensor, labels: Tensor | None, extractor: Extractor, advance: Callable[[int], None] = lambda _: None
) -> Looked:
    """Show samples to an extractor, in pieces."""
    features: list[Tensor] = []
    probabilities: list[Tensor] = []
    for piece in values.split(extractor.batch):
        seen = extractor(piece)
        features.append(seen.features.cpu())
        if seen.probabilities is not None:
            probabilities.append(seen.probabilities.cpu())
        advance(len(piece))
    return Looked(values, labels, torch.cat(features), torch.cat(probabilities) if probabilities else None)


def look_at_store(store: Store, extractor: Extractor, progress: Progress | None = None) -> Looked:
    """Show real samples to an extractor; what it sees is cached by the content of both.

    Raises:
        DataError: the cache cannot be written.
    """
    progress = progress or Silent()
    kept = extractor.name not in ("pixels", "points") and not isinstance(extractor, Module)
    most = MOST if kept else min(MOST, _NUMBERS // math.prod(store.shape))
    chosen = np.unique(np.linspace(0, len(store) - 1, min(len(store), most)).astype(np.int64))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        values = torch.from_numpy(store.values[chosen] if len(chosen) < len(store) else store.values)
    labels = None if store.labels is None else torch.from_numpy(store.labels[chosen])
    if not kept:  # quick to have again, or of code that may have changed
        return look(values, labels, extractor)
    key = sha256(f"{fingerprint_of(values.numpy(), None, ())}/{extractor.fingerprint}".encode()).hexdigest()
    path = cache_folder() / "features" / f"{extractor.name}-{key[:32]}.safetensors"
    try:
        tensors, _ = load_tensors(path)
        return Looked(values, labels, tensors["features"], tensors.get("probabilities"))
    except CheckpointError:  # not there yet, or damaged
        pass
    progress.start(f"{extractor.name} looks at {store.name}", len(values), "samples")
    looked = look(values, labels, extractor, progress.advance)
    progress.finish()
    tensors = {"features": looked.features}
    if looked.probabilities is not None:
        tensors["probabilities"] = looked.probabilities
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(path, tensors, {"format": _FORMAT, "extractor": extractor.name, "data": store.name})
    except OSError as error:
        raise unusable_cache(error) from error
    except CheckpointError as error:
        raise DataError(error.what, got=error.got, remedy="make room, or set SADDLE_CACHE to another folder") from None
    return looked


class Judge:
    """Real data as the measures want them; each part is looked at when it is first asked for.

    Args:
        store: what the generator learned from.
        held_out: real samples that it never saw, or None.
        validation: real samples that may choose settings, or None.
        extractor: what samples are compared by.
        progress: who watches the real data being looked at.
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
    def train(self) -> Looked:
        return look_at_store(self.store, self.extractor, self._progress)

    @cached_property
    def held_out(self) -> Looked | None:
        return (
            None if self.held_out_store is None else look_at_store(self.held_out_store, self.extractor, self._progress)
        )

    def half_held_out(self, which: Literal[0, 1]) -> Looked:
        """Every second held-out sample; there must be some."""
        assert self.held_out is not None
        return self.held_out.rows(slice(which, None, 2))

    def prepare(self) -> None:
        """Look at all real data now, and not in the middle of something else that is watched."""
        _ = self.train, self.held_out

    def validation(self, count: int) -> Tensor:
        """The first ``count`` validation samples, rows as in ``Looked.flat``; there must be some."""
        assert self.validation_store is not None
        return numbers(torch.from_numpy(self.validation_store.values[:count].copy())).flatten(1)

    def fresh(self, count: int) -> Looked | None:
        """``count`` true draws, where the data are drawn from a distribution; else None."""
        if self.store.draw is None:
            return None
        values = self.store.draw(np.random.default_rng(stream(0, "fresh", count)), count)
        return look(torch.from_numpy(values), None, self.extractor)

    def asked(self, count: int, seed: int) -> Tensor:
        """Labels (count,) to ask a conditional generator for, with the shares that the classes have in the data."""
        chance = np.random.default_rng(stream(seed, "asked"))
        shares = self.store.class_shares()
        return torch.from_numpy(chance.choice(len(shares), count, p=shares))

    def look(self, values: Tensor, labels: Tensor | None = None) -> Looked:
        """Show generated samples, uint8 (N, C, H, W) or float (N, d), to the extractor."""
        return look(values, labels, self.extractor)
