"""Is it a copy? The real samples nearest to generated ones, and how near held-out real samples come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saddle.config import load_config
from saddle.config.schema import DataConfig
from saddle.data import Store, open_data
from saddle.data.decoding import read_image
from saddle.errors import ConfigError, DataError
from saddle.progress import Progress
from saddle.runs import RunFolder
from saddle.sampling import Generator, Label, load

# Values of the data that are looked at together.
_CHUNK_VALUES = 8_000_000
# So many held-out samples tell the median well enough.
_HELD_OUT = 500


class Neighbours(NamedTuple):
    """The nearest real samples of each query.

    Args:
        distances: Euclidean, (B, k), nearest first; images as numbers in [0, 1].
        indices: rows of the data, (B, k).
    """

    distances: Tensor
    indices: Tensor


def nearest(queries: Tensor, values: NDArray[Any], count: int) -> Neighbours:
    """The ``count`` rows of ``values`` nearest to each query.

    Args:
        queries: images (B, C, H, W) in [0, 1], or points (B, d).
        values: uint8 images (N, C, H, W), or float points (N, d); read in pieces, so they may be memory-mapped.
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
    flat = queries.flatten(1).double()
    squares, indices = flat.new_empty(len(flat), 0), torch.empty(len(flat), 0, dtype=torch.long)
    rows = max(1, _CHUNK_VALUES // max(flat.shape))
    for start in range(0, len(values), rows):
        real = _numbers(values[start : start + rows]).double()
        # ‖a - b‖² = ‖a‖² - 2ab + ‖b‖²: a product of matrices, and in double precision the rounding does not matter.
        found = torch.addmm(real.square().sum(1), flat, real.T, alpha=-2) + flat.square().sum(1, keepdim=True)
        found, where = found.topk(min(count, len(real)), largest=False)
        squares, indices = torch.cat([squares, found], 1), torch.cat([indices, start + where], 1)
        squares, order = squares.topk(min(count, squares.shape[1]), largest=False)
        indices = indices.gather(1, order)
    return Neighbours(squares.clamp(min=0).sqrt().float(), indices)


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
        source: see ``open_real_data``.

    Raises:
        SaddleError: see ``load``, ``Generator.sample``, ``open_real_data`` and ``nearest``.
    """
    generator = load(path, device=device)
    samples = generator.sample(count, seed=seed, label=label)
    data, held_out = open_real_data(path, generator, source, progress=progress)
    found = nearest(samples, data.values, neighbours)
    return Comparison(samples, data, found, held_out_distance(held_out, data.values) if held_out else None)


def held_out_distance(held_out: Store, values: NDArray[Any]) -> float:
    """The median distance of held-out samples, at most 500 of them, to their nearest row of ``values``."""
    chosen = np.unique(np.linspace(0, len(held_out) - 1, min(_HELD_OUT, len(held_out))).astype(np.int64))
    queries = _numbers(held_out.values[chosen]).reshape(-1, *held_out.shape)
    return nearest(queries, values, 1).distances.median().item()


def open_real_data(
    path: Path, generator: Generator, source: str | None = None, *, progress: Progress | None = None
) -> tuple[Store, Store | None]:
    """The data that a run was trained on, and those held out, if there are any.

    Args:
        path: the run folder, or a generator file, which needs ``source``.
        generator: its generator, to whose shape other data are brought.
        source: other data: a name or a path, as for ``saddle train --data``.

    Raises:
        ConfigError: it is not known which data are meant.
        DataError: they cannot be opened, or have another shape.
    """
    run = RunFolder(path)
    config = load_config(run.config).data if run.exists() else DataConfig()
    if source is not None:
        config = DataConfig(source=source)
        if generator.header.kind == "images":
            channels, height, width = generator.shape
            config = DataConfig.model_validate({"source": source, "size": (height, width), "channels": channels})
    elif not run.exists():
        raise ConfigError("a generator file does not hold the path of its data", remedy="give them with --data")
    store = open_data(config, progress=progress)
    other = "train" if config.split == "test" else "test"
    rest = config.model_copy(update={"split": other, "fingerprint": None, "first": None, "labelled": None})
    try:
        held_out = open_data(rest, progress=progress)
    except DataError:  # most data have one split only
        return store, None
    # What is drawn from a distribution is the same in each split.
    return store, None if held_out.fingerprint == store.fingerprint else held_out


def read_images(names: Sequence[str], path: Path, generator: Generator, *, progress: Progress | None = None) -> Tensor:
    """Images (B, C, H, W) in [0, 1] of the generator's shape.

    Args:
        names: image files, or numbers of samples in the data of the run at ``path``.

    Raises:
        ConfigError: the generator makes no images, or a number means nothing without a run.
        DataError: a file or the data cannot be read, or there are not so many samples.
    """
    if generator.header.kind != "images":
        raise ConfigError("this generator makes points, not images")
    channels, height, width = generator.shape
    data: Store | None = None
    images: list[NDArray[Any]] = []
    for name in names:
        if Path(name).exists() or not name.isdecimal():
            images.append(read_image(Path(name), (channels, height, width)))
            continue
        data = data or open_real_data(path, generator, progress=progress)[0]
        if int(name) >= len(data):
            raise DataError(f"{data.name} has no such image", expected=f"a number below {len(data):,}", got=name)
        images.append(data.values[int(name)])
    return _numbers(np.stack(images)).reshape(-1, *generator.shape)


def _numbers(values: NDArray[Any]) -> Tensor:
    """Rows of a store as float numbers, images in [0, 1]: (N, values of a row)."""
    numbers = torch.from_numpy(values.astype(np.float32)).flatten(1)
    return numbers / 255 if values.dtype == np.uint8 else numbers
