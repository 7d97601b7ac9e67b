"""Is it a copy? The real samples nearest to generated ones, and how near held-out real samples are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saddle.base.progress import Progress
from saddle.config import load_config
from saddle.config.schema import DataConfig
from saddle.data import Store, from_object, open_data
from saddle.data.formats.decoding import read_image
from saddle.data.named.points import is_points
from saddle.data.scaling import as_floats
from saddle.data.sources import NAMES
from saddle.data.splits import open_held_out
from saddle.errors import ConfigError, DataError
from saddle.metrics.nearest import Neighbours
from saddle.metrics.nearest import nearest as nearest_rows
from saddle.runs.folder import RunFolder
from saddle.trained.generator import Generator, load
from saddle.trained.labels import Label

# The median is known well enough from this many held-out samples.
_HELD_OUT = 500
# What other data are given of the settings of a run.
_KEPT = {"held_out", "binarise", "pairs", "inputs"}
# The types of data in memory, as a run's config names them; a dataset has the name of its own class.
_IN_MEMORY = ("ndarray", "Tensor")


class DistinctNeighbours(NamedTuple):
    """The nearest rows of each query, where rows that are equal count as one.

    Args:
        distances: Euclidean, (B, k), nearest first; of images, of numbers in [0, 1].
        indices: (B, k), of the first of the rows that are equal.
        copies: (B, k), how many rows are equal to it, itself included.
    """

    distances: Tensor
    indices: Tensor
    copies: Tensor


def nearest(queries: Tensor, values: NDArray[Any], count: int) -> Neighbours:
    """The ``count`` rows of a store's ``values`` nearest to each query; of images, distances of numbers in [0, 1].

    Args:
        queries: images (B, C, H, W) in [0, 1], or points (B, d).
        values: uint8 images (N, C, H, W), or float points (N, d); they may be memory-mapped.
        count: at least 1, at most N.

    Raises:
        DataError: shapes differ, or there are fewer than ``count`` rows.
    """
    if tuple(queries.shape[1:]) != values.shape[1:]:
        raise DataError(
            "these data have another shape than the samples",
            expected=tuple(queries.shape[1:]),
            got=values.shape[1:],
        )
    _check_count(count, len(values))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        rows = torch.from_numpy(values).flatten(1)
    found = nearest_rows(queries.flatten(1).double(), rows, count)
    return Neighbours(found.distances.float(), found.indices)


def nearest_distinct(queries: Tensor, values: NDArray[Any], count: int) -> DistinctNeighbours:
    """As ``nearest``, but rows that are equal are one neighbour; fewer than ``count`` where there are fewer of these.

    Raises:
        DataError: as ``nearest``.
    """
    _check_count(count, len(values))
    wanted = min(count + 1, len(values))
    while True:
        found = nearest(queries, values, wanted)
        groups = [_group(*one, values) for one in zip(found.distances.tolist(), found.indices.tolist(), strict=True)]
        fewest = min(map(len, groups))
        if fewest > count or wanted == len(values):  # with one neighbour more, the rows equal to the last are all there
            break
        wanted = min(2 * wanted, len(values))
    shown = torch.tensor([group[: min(count, fewest)] for group in groups], dtype=torch.float64)
    distances, indices, copies = shown.unbind(2)
    return DistinctNeighbours(distances.float(), indices.long(), copies.long())


def _check_count(count: int, rows: int) -> None:
    if not 1 <= count <= rows:
        raise DataError("the data do not have this many neighbours", expected=f"1 to {rows:,}", got=count)


def _group(distances: list[float], indices: list[int], values: NDArray[Any]) -> list[tuple[float, int, int]]:
    """(distance, first index, number of rows) of each group of equal rows, in the order of the distances."""
    groups: dict[bytes, tuple[float, int, int]] = {}
    for distance, index in zip(distances, indices, strict=True):
        content = values[index].tobytes()
        nearest, first, copies = groups.get(content, (distance, index, 0))
        groups[content] = nearest, min(first, index), copies + 1
    return list(groups.values())


class CopyCheck(NamedTuple):
    """Samples beside the data that their generator learned from.

    Args:
        samples: (B, *shape).
        data: the real samples.
        neighbours: the real samples that are nearest.
        held_out: the median distance of held-out real samples to their nearest, or None where none are held out.
    """

    samples: Tensor
    data: Store
    neighbours: DistinctNeighbours
    held_out: float | None

    @property
    def median(self) -> float:
        """The median distance of the samples to their nearest."""
        return self.neighbours.distances[:, 0].median().item()


def check_for_copies(
    path: Path,
    count: int,
    *,
    neighbours: int = 5,
    seed: int = 0,
    label: Label | None = None,
    source: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> CopyCheck:
    """Look up the training samples nearest to those that ``Generator.sample`` draws.

    Args:
        path: a run folder, or a generator file together with ``source``.
        count: how many samples to draw.
        neighbours: how many to look up for each sample.
        seed, label: see ``Generator.sample``.
        source: see ``data_of``.
        device: where the samples are made.
        progress: who is told.

    Raises:
        SaddleError: see ``load``, ``Generator.sample``, ``data_of`` and ``nearest``.
    """
    generator = load(path, device=device)
    samples = generator.sample(count, seed=seed, label=label)
    config, data = data_of(path, generator, source, progress=progress)
    held_out = open_held_out(config, data, progress=progress)
    found = nearest_distinct(samples, data.values, neighbours)
    return CopyCheck(samples, data, found, held_out_distance(held_out, data.values) if held_out else None)


def held_out_distance(held_out: Store, values: NDArray[Any]) -> float:
    """The median distance of held-out samples, at most 500 of them, to their nearest row of ``values``."""
    chosen = np.unique(np.linspace(0, len(held_out) - 1, min(_HELD_OUT, len(held_out))).astype(np.int64))
    queries = as_floats(torch.from_numpy(held_out.values[chosen]))
    return nearest(queries, values, 1).distances.median().item()


def data_of(
    path: Path,
    generator: Generator,
    source: object = None,
    labels: Any = None,
    *,
    progress: Progress | None = None,
) -> tuple[DataConfig, Store]:
    """The data that a generator learned from, and the config that opened them.

    Args:
        path: a run folder, or a generator file in one; any other file needs ``source``.
        generator: the one at that path; other data are brought to its shape.
        source: other data: a name, a path, or the data themselves, with their ``labels``, as for ``saddle.train``.

    Raises:
        ConfigError: it is not known which data are meant.
        DataError: they cannot be opened, or have another shape.
    """
    run = RunFolder(path if path.is_dir() else path.parent)
    in_memory = source is not None and not isinstance(source, str | Path)
    if labels is not None and not in_memory:
        raise ConfigError("labels go with data given as a tensor or array", got=f"data {source!r}")
    if in_memory and run.exists():  # the same size, share and fit as in training
        config = load_config(run.config).data
        config = config.model_copy(update={"source": type(source).__name__, "fingerprint": None})
    elif source is not None:
        named = str(source) if isinstance(source, str | Path) else type(source).__name__
        settings: dict[str, Any] = {"source": named}
        if run.exists():  # should these be the data of the training, the same samples are held out
            settings |= load_config(run.config).data.model_dump(include=_KEPT)
        if generator.header.kind == "images":
            channels, height, width = generator.shape
            settings |= {"size": (height, width), "channels": channels}
        config = DataConfig.model_validate(settings)
    elif run.exists():
        config = load_config(run.config).data
    else:
        raise ConfigError("a generator file does not say where its data are", remedy="give them with --data")
    if in_memory:
        store = from_object(source, labels, config=config)
    else:
        try:
            store = open_data(config, progress=progress)
        except DataError as error:
            if source is not None:
                raise
            raise _gone(config, error) from None
    if generator.header.inputs is not None and store.inputs is None:
        raise DataError(
            f"{store.name} holds no pairs, and this generator makes images of images",
            remedy="give the run folder, whose settings say which pairs, in place of the generator file",
        )
    if store.shape != generator.shape:
        raise DataError(
            f"{store.name} does not fit this generator", expected=f"samples of shape {generator.shape}", got=store.shape
        )
    return config, store


def _gone(config: DataConfig, error: DataError) -> DataError:
    """What to say when the data of a run cannot be opened; of data in memory, it knows only the name of the type."""
    again = "give the same data again, in Python: saddle.evaluate(run, data=...)"
    if config.source in _IN_MEMORY:
        return DataError("this run learned from data in memory, which its folder does not hold", remedy=again)
    known = config.source in NAMES or is_points(config.source) or Path(config.source).exists()
    if known or not config.source.isidentifier():
        return error
    remedy = f"if it learned from data in memory, {again}; if not, {error.remedy or 'check the path'}"
    return DataError(error.what, expected=error.expected, got=error.got, remedy=remedy)


def read_images(names: Sequence[str], path: Path, generator: Generator, *, progress: Progress | None = None) -> Tensor:
    """Images (B, C, H, W) in [0, 1] of the generator's shape.

    Args:
        names: image files, or numbers of samples in the data of the run at ``path``.

    Raises:
        ConfigError: the generator makes no images, or a number is given without a run.
        DataError: a file or the data cannot be read, or there is no sample of that number.
    """
    if generator.header.kind != "images":
        raise ConfigError(
            "this generator makes points, not images", remedy="in Python, Generator.invert also takes points"
        )
    channels, height, width = generator.shape
    data: Store | None = None
    images: list[NDArray[Any]] = []
    for name in names:
        if Path(name).exists() or not name.isdecimal():
            images.append(read_image(Path(name), (channels, height, width)))
            continue
        data = data or data_of(path, generator, progress=progress)[1]
        if int(name) >= len(data):
            raise DataError(f"{data.name} has no such image", expected=f"a number below {len(data):,}", got=name)
        images.append(data.values[int(name)])
    return as_floats(torch.from_numpy(np.stack(images)))
