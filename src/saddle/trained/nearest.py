"""Is it a copy? The real samples nearest to generated ones, and how near held-out real samples come."""

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
from saddle.data.splits import open_held_out
from saddle.errors import ConfigError, DataError
from saddle.metrics.nearest import Neighbours
from saddle.metrics.nearest import nearest as nearest_rows
from saddle.runs.folder import RunFolder
from saddle.trained.generator import Generator, Label, load

# So many held-out samples tell the median well enough.
_HELD_OUT = 500


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
    if not 1 <= count <= len(values):
        raise DataError("there are not so many neighbours", expected=f"1 to {len(values):,}", got=count)
    unit = 255 if values.dtype == np.uint8 else 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        rows = torch.from_numpy(values).flatten(1)
    found = nearest_rows(queries.flatten(1).double() * unit, rows, count)
    return Neighbours((found.distances / unit).float(), found.indices)


class Comparison(NamedTuple):
    """Samples beside the data that their generator learned from.

    Args:
        samples: (B, *shape).
        data: the real samples.
        neighbours: the nearest of these.
        held_out: the median distance of held-out real samples to their nearest, or None where none are held out.
    """

    samples: Tensor
    data: Store
    neighbours: Neighbours
    held_out: float | None

    @property
    def median(self) -> float:
        """The median distance of the samples to their nearest."""
        return self.neighbours.distances[:, 0].median().item()


def compare(
    path: Path,
    count: int,
    *,
    neighbours: int = 5,
    seed: int = 0,
    label: Label | None = None,
    source: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Comparison:
    """Look up the training samples nearest to those that ``Generator.sample`` draws.

    Args:
        path: a run folder, or a generator file together with ``source``.
        neighbours: of each sample.
        source: see ``data_of``.

    Raises:
        SaddleError: see ``load``, ``Generator.sample``, ``data_of`` and ``nearest``.
    """
    generator = load(path, device=device)
    samples = generator.sample(count, seed=seed, label=label)
    config, data = data_of(path, generator, source, progress=progress)
    held_out = open_held_out(config, data, progress=progress)
    found = nearest(samples, data.values, neighbours)
    return Comparison(samples, data, found, held_out_distance(held_out, data.values) if held_out else None)


def held_out_distance(held_out: Store, values: NDArray[Any]) -> float:
    """The median distance of held-out samples, at most 500 of them, to their nearest row of ``values``."""
    chosen = np.unique(np.linspace(0, len(held_out) - 1, min(_HELD_OUT, len(held_out))).astype(np.int64))
    queries = _numbers(held_out.values[chosen]).reshape(-1, *held_out.shape)
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
        generator: of that path; other data are brought to its shape.
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
        config = DataConfig(source=named)
        if generator.header.kind == "images":
            channels, height, width = generator.shape
            config = DataConfig.model_validate({"source": named, "size": (height, width), "channels": channels})
    elif run.exists():
        config = load_config(run.config).data
    else:
        raise ConfigError("a generator file does not hold the path of its data", remedy="give them with --data")
    if in_memory:
        store = from_object(source, labels, config=config)
    else:
        try:
            store = open_data(config, progress=progress)
        except DataError as error:
            if source is not None:
                raise
            told = "data that were given in memory are given again: in Python, saddle.evaluate(run, data=...)"
            remedy = f"{error.remedy}; {told}" if error.remedy else told
            raise DataError(error.what, expected=error.expected, got=error.got, remedy=remedy) from None
    if store.shape != generator.shape:
        raise DataError(
            f"{store.name} does not fit this generator", expected=f"samples of shape {generator.shape}", got=store.shape
        )
    return config, store


def read_images(names: Sequence[str], path: Path, generator: Generator, *, progress: Progress | None = None) -> Tensor:
    """Images (B, C, H, W) in [0, 1] of the generator's shape.

    Args:
        names: image files, or numbers of samples in the data of the run at ``path``.

    Raises:
        ConfigError: the generator makes no images, or a number means nothing without a run.
        DataError: a file or the data cannot be read, or there are not so many samples.
    """
    if generator.header.kind != "images":
        raise ConfigError(
            "this generator makes points, not images", remedy="in Python, Generator.invert takes points, too"
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
    return _numbers(np.stack(images)).reshape(-1, *generator.shape)


def _numbers(values: NDArray[Any]) -> Tensor:
    """Rows of a store as float numbers, images in [0, 1]: (N, values of a row)."""
    numbers = torch.from_numpy(values.astype(np.float32)).flatten(1)
    return numbers / 255 if values.dtype == np.uint8 else numbers
