"""A folder of pictures in, a folder of pictures out: what a generator that learned from pairs makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

from saddle.base import processes
from saddle.base.files import atomic_folder
from saddle.base.opening import kind_at, shown
from saddle.base.sizes import check_disk
from saddle.data.formats.decoding import Plan, Reader, decode_rows
from saddle.data.formats.listing import image_names
from saddle.data.formats.reading import reading
from saddle.data.scaling import to_pixels
from saddle.errors import ConfigError, DataError
from saddle.show.grid import PICTURES, to_pictures
from saddle.trained.export import SMALLEST_PNG, check_folder
from saddle.trained.generator import Generator
from saddle.trained.inputs import takes_no_images

_AT_ONCE = 256  # pictures
_SOME = 3  # names in a message


def translate_folder(generator: Generator, source: Path, out: Path, *, seed: int = 0) -> int:
    """Write what a generator makes of each picture in a folder or zip, as PNGs of the same names in the folder ``out``.

    A picture of another size or aspect ratio is brought to the generator's as its data were (``data.fit``). The noise
    of a picture follows from ``seed`` and from its number among all of them, in the order of their names.

    Returns:
        How many there are.

    Raises:
        ConfigError: the generator did not learn from pairs, or ``out`` is named as a file.
        DataError: no pictures, some that cannot be read, or some whose names differ in the suffix alone.
        SaddleError: ``out`` is not empty or cannot be written; nothing is left of it then.
    """
    if generator.header.inputs is None:
        raise takes_no_images()
    if out.suffix.lower() in (*PICTURES, ".npy", ".npz", ".csv"):
        raise ConfigError(
            f"what is made of pictures goes into a folder, and {out} is named as a file", remedy="--out FOLDER"
        )
    if processes.count() > 1:
        raise ConfigError("one process translates pictures", got=f"{processes.count()}", remedy="leave out torchrun")
    if source.is_file() and source.suffix.lower() in PICTURES:
        raise DataError(
            f"{source} is a picture, and --input takes a folder or zip of pictures", remedy="put it into a folder"
        )
    if kind_at(source) is None:
        raise DataError(f"there is no folder or zip {source}", remedy="check --input")
    names = image_names(source)
    targets = _targets(source, names)
    check_folder(out)
    check_disk(out, len(names) * SMALLEST_PNG, f"{len(names):,} pictures", remedy="give an --out on another disk")
    with atomic_folder(out) as temporary:
        done = 0
        for pixels in _read(generator, source, names):
            images = generator.translate(torch.from_numpy(pixels), seed=seed, first=done)
            for picture, target in zip(to_pictures(to_pixels(images)), targets[done:], strict=False):
                (temporary / target).parent.mkdir(parents=True, exist_ok=True)
                picture.save(temporary / target)
            done += len(pixels)
    return len(names)


def _targets(source: Path, names: Sequence[str]) -> list[str]:
    """The names that the outputs have."""
    targets = [str(PurePosixPath(name).with_suffix(".png")) for name in names]
    counts = Counter(targets)
    same = [shown(name) for name, target in zip(names, targets, strict=True) if counts[target] > 1]
    if same:
        raise DataError(
            f"some pictures in {source} differ in their suffix alone, and would become one file",
            got=_some(same),
            remedy="rename them",
        )
    return targets


def _read(generator: Generator, source: Path, names: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    """The pictures in pieces, as uint8 (n, channels, H, W) of the generator's size."""
    inputs = generator.header.inputs
    assert inputs is not None
    shape = inputs.channels, generator.shape[1], generator.shape[2]
    size = max(1, min(_AT_ONCE, 2**26 // prod(shape)))
    with reading(source, "folder or zip of pictures"), Reader(source) as reader:
        for piece in (names[start : start + size] for start in range(0, len(names), size)):
            values = np.zeros((len(piece), *shape), np.uint8)
            plan = Plan(str(source), None, values.shape, inputs.fit, resize=True)
            outcomes = decode_rows(plan, values, reader, 0, piece)
            pairs = zip(piece, outcomes, strict=True)
            if broken := [f"{shown(name)}: {outcome}" for name, outcome in pairs if isinstance(outcome, str)]:
                raise DataError(
                    f"some pictures in {source} cannot be read", got=_some(broken), remedy="repair or remove them"
                )
            yield values


def _some(names: Sequence[str]) -> str:
    return "; ".join([*names[:_SOME], *(["..."] if len(names) > _SOME else [])])
