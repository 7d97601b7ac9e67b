"""The one form of every kind of data: decoded once, kept as uint8 images or float32 points."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saddle.data.named.distributions import Distribution
from saddle.errors import DataError

Values = NDArray[np.uint8] | NDArray[np.float32]
TRANSPARENT = "transparent"  # the name of the note that ``transparency`` makes


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Store:
    """Decoded data.

    Args:
        name: what it is called in messages.
        values: images as uint8 (N, C, H, W), or points as float32 (N, d). They may be read-only and memory-mapped.
            With ``draw``, they are a fixed sample for pictures, scaling and the length of an epoch.
        labels: class indices as int64 (N,), or None.
        class_names: the name of each class; empty without labels.
        fingerprint: hexadecimal SHA-256 of all values, labels and class names, whichever part of them this store has;
            of inputs too where they were read, and not made of the values.
        skipped: files that are left out because they cannot be read.
        notes: facts for ``saddle data inspect``, such as original sizes and modes, as (name, value).
        draw: (chance, count) → fresh samples (count, *shape), which training sees instead of ``values``; or None.
        distribution: the distribution of points, where it is known.
        inputs: of pairs, the image that each of ``values`` is to be made of: uint8 (N, channels, H, W). Like these they
            may be read-only and memory-mapped.
        held_out: the samples that are held out of data without a test split of their own; see
            ``saddle.data.held_out``.
        nothing_held_out: why there are none, as a sentence; empty where ``held_out`` is given, and for data that may
            have a test split of their own.
    """

    name: str
    values: Values
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    fingerprint: str
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    draw: Callable[[np.random.Generator, int], Values] | None = None
    distribution: Distribution | None = None
    inputs: NDArray[np.uint8] | None = None
    held_out: Store | None = None
    nothing_held_out: str = ""

    def __len__(self) -> int:
        return len(self.values)

    def taking(self, index: slice | NDArray[np.int64]) -> Store:
        """A store of some of the samples; its fingerprint stays that of the whole."""
        labels = None if self.labels is None else self.labels[index]
        inputs = None if self.inputs is None else self.inputs[index]
        return replace(self, values=self.values[index], labels=labels, inputs=inputs)

    def spread(self, count: int) -> Store:
        """A store of at most ``count`` of the samples, evenly spaced, since data may come sorted; in their order."""
        return self.taking(np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64)))

    def notices(self) -> list[str]:
        """What a user must be told when a training begins: which data it does not see, or sees changed."""
        notices = [value for name, value in self.notes if name == TRANSPARENT]
        if self.skipped:
            some = "; ".join(f"{item.path}: {item.reason}" for item in self.skipped[:3])
            count = f"images of {self.name} that cannot be read are left out ({len(self.skipped):,})"
            notices.append(f"{count}: {some}" + ("; ..." if len(self.skipped) > 3 else ""))
        if self.held_out is not None:
            count = f"{len(self.held_out):,} samples of {self.name} are held out for scores"
            notices.append(f"{count}; --set data.held_out=0 trains on them, too")
        return notices

    def class_shares(self) -> tuple[float, ...]:
        """How often each class occurs, in class order; empty without labels."""
        if self.labels is None:
            return ()
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return tuple((counts / counts.sum()).tolist())

    @property
    def input_channels(self) -> int:
        """Channels of the inputs; 0 of data that are no pairs."""
        return 0 if self.inputs is None else self.inputs.shape[1]

    @property
    def kind(self) -> Literal["images", "points"]:
        return "images" if self.values.ndim == 4 else "points"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image, (C, H, W), or of one point, (d,)."""
        return self.values.shape[1:]


def make_store(
    name: str,
    values: Values,
    labels: NDArray[np.int64] | None = None,
    class_names: Sequence[str] = (),
    notes: Sequence[tuple[str, str]] = (),
    draw: Callable[[np.random.Generator, int], Values] | None = None,
    distribution: Distribution | None = None,
) -> Store:
    """A store with its fingerprint computed; arguments as in ``Store``.

    Raises:
        DataError: points so far apart that float32 does not hold their distance.
    """
    if values.ndim == 2:
        _check_spread(name, values)
    fingerprint = fingerprint_of(values, labels, class_names)
    names, facts = tuple(class_names), tuple(notes)
    return Store(name, values, labels, names, fingerprint, notes=facts, draw=draw, distribution=distribution)


def transparency(count: int, images: int) -> list[tuple[str, str]]:
    """A note that ``count`` of some images lose their transparency; none if there are none."""
    sentence = (
        f"{count:,} of {images:,} images are transparent: shown on white; --set data.channels=4 keeps the transparency"
    )
    return [(TRANSPARENT, sentence)] if count else []


def _check_spread(name: str, points: Values) -> None:
    low, high = points.min(), points.max()
    with np.errstate(over="ignore"):
        finite = np.isfinite(high - low)
    if not finite:
        raise DataError(
            f"{name} holds numbers too far apart for float32",
            expected=f"a range below {np.finfo(np.float32).max:.2g}",
            got=f"values from {low:g} to {high:g}",
            remedy="scale them",
        )


def fingerprint_of(
    values: Values,
    labels: NDArray[np.int64] | None,
    class_names: Sequence[str],
) -> str:
    """Hexadecimal SHA-256 of the content; reads ``values`` in pieces, so that a memory map stays on disk."""
    digest = hashlib.sha256(repr((values.dtype.str, values.shape, labels is not None, tuple(class_names))).encode())
    rows = max(1, 2**24 // max(1, values[:1].nbytes))
    for start in range(0, len(values), rows):
        digest.update(np.ascontiguousarray(values[start : start + rows]).data)
    if labels is not None:
        digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()
