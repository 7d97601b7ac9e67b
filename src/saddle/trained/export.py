"""Samples to files: a picture, an array or a table written piece by piece, a folder of PNGs."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from saddle.base import processes
from saddle.base.files import atomic_folder, atomic_path
from saddle.base.sizes import check_disk
from saddle.data.scaling import to_pixels
from saddle.errors import ConfigError, SaddleError
from saddle.show.grid import PICTURES, save_picture, tile, to_pictures
from saddle.show.points import picture_points
from saddle.trained.draw import share_of
from saddle.trained.generator import Generator
from saddle.trained.labels import Labels

SMALLEST_PNG = 67  # bytes
# A grid of more images is no picture any more.
_GRID = 4096

_Pieces = Iterator[tuple[Tensor, Tensor | None]]


def save_samples(
    generator: Generator,
    out: str | Path,
    count: int,
    *,
    seed: int = 0,
    label: Labels = None,
    truncation: float = 1.0,
) -> None:
    """Write ``count`` samples to ``out``, in the form that its suffix names; see ``Generator.sample``.

    ``.png``, ``.jpg`` or ``.webp``: one grid, or a plot of points. A grid of several classes has a row for each class
    and shows the same latents in each of them, a column for each latent; the last column is not full where the classes
    do not divide ``count``. ``.npy``: uint8 (N, C, H, W), or float32 (N, d) for points. ``.npz``: the same under
    ``images`` or ``points``, and ``labels`` of a conditional generator. ``.csv``, for points: a header x0,x1,..., and
    the name of the class in a last column, ``class``, of a conditional generator. No suffix, for images: a folder of
    numbered PNGs. All but pictures are written as the samples come, so memory does not grow with ``count``.

    Raises:
        ConfigError: an unknown suffix, a form that does not fit, or as ``Generator.sample``.
        TooLarge: the disk has no room for them.
        SaddleError: ``out`` cannot be written.
    """
    out = Path(out)
    images = generator.header.kind == "images"
    pieces = generator.stream(count, seed=seed, label=label, truncation=truncation)
    check_out(out)
    if processes.count() > 1 and out.suffix.lower() != ".npy":
        raise ConfigError("several processes write samples into one array", expected="--out with .npy", got=str(out))
    each = prod(generator.shape) * (1 if images else 4) if out.suffix else SMALLEST_PNG
    check_disk(out, count * each, f"{count:,} samples", remedy="take fewer, or give an --out on another disk")
    match out.suffix.lower():
        case suffix if suffix in PICTURES and images:
            if count > _GRID:
                raise ConfigError(
                    f"a grid of {count:,} images is too large to look at",
                    expected=f"at most {_GRID:,} in a {suffix}",
                    remedy="--out samples.npy, or a folder",
                )
            classes = generator.labels(label)
            if classes is None or len(classes) == 1:
                picture = tile(np.concatenate([to_pixels(samples) for samples, _ in pieces]))
            else:
                picture = _class_grid(generator, count, classes.tolist(), seed, truncation)
            save_picture(picture, out)
        case suffix if suffix in PICTURES:
            save_picture(picture_points(np.concatenate([samples.numpy() for samples, _ in pieces])), out)
        case ".csv" if not images:
            _write_table(out, pieces, generator)
        case ".npy" if processes.count() > 1:

            def mine(numbers: range) -> _Pieces:
                size, start = len(numbers), numbers.start
                return generator.stream(size, seed=seed, label=label, truncation=truncation, first=start)

            _write_together(out, mine, count, generator)
        case ".npy":
            with atomic_path(out) as temporary, temporary.open("wb") as file:
                _write_array(file, pieces, count, generator)
        case ".npz":
            _write_archive(out, pieces, count, generator)
        case "" if images:
            _write_folder(out, pieces, count)
        case other:
            forms = (*PICTURES, ".npy", ".npz", "a folder" if images else ".csv")
            raise ConfigError(
                f"{generator.header.kind} cannot be written in this form",
                expected=f"--out with {', '.join(forms[:-1])} or {forms[-1]}",
                got=other or "no suffix, which is a folder of images",
            )


def check_out(out: Path) -> None:
    """Find out early whether a file can be written at ``out``.

    Raises:
        SaddleError: its folder does not exist, or it is a folder itself.
    """
    if not out.parent.is_dir():
        raise SaddleError(f"there is no folder {out.parent}", expected="an --out in an existing folder")
    if out.is_dir() and out.suffix:
        raise SaddleError(f"{out} is a folder", expected="a file to write", remedy="give another --out")


def check_folder(out: Path) -> None:
    """Find out early whether ``out`` can become a folder of PNGs.

    Raises:
        SaddleError: it is a file, or a folder that is not empty.
    """
    if out.is_file():
        raise SaddleError(f"{out} is a file", expected="a folder for the PNGs", remedy="give another --out")
    if out.is_dir() and any(out.iterdir()):
        raise SaddleError(
            f"the folder {out} is not empty", expected="a new or empty folder", remedy="give another --out"
        )


def _class_grid(generator: Generator, count: int, classes: list[int], seed: int, truncation: float) -> Image.Image:
    """A row for each class, a column for each latent; of the last latent only as many classes as make up ``count``."""
    lengths = [len(range(row, count, len(classes))) for row in range(min(count, len(classes)))]
    shown = classes[: len(lengths)]
    grid = to_pixels(generator.class_grid(max(lengths), seed=seed, label=shown, truncation=truncation))
    images = np.concatenate([row[:length] for row, length in zip(grid, lengths, strict=True)])
    return tile(images, lengths=lengths, rows=[generator.class_names[index] for index in shown])


def _write_table(out: Path, pieces: _Pieces, generator: Generator) -> None:
    names = generator.class_names
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*(f"x{number}" for number in range(generator.shape[0])), *(["class"] if names else [])])
        for samples, labels in pieces:
            rows = [[f"{value:.9g}" for value in row] for row in samples.tolist()]  # nine digits keep every float32
            if labels is not None:
                rows = [[*row, names[label]] for row, label in zip(rows, labels.tolist(), strict=True)]
            writer.writerows(rows)


def _write_array(file: IO[bytes], pieces: _Pieces, count: int, generator: Generator) -> NDArray[np.int64] | None:
    """Write the samples as one array; the labels come back."""
    images = generator.header.kind == "images"
    descr = npy.dtype_to_descr(np.dtype(np.uint8 if images else np.float32))
    header: dict[str, Any] = {"descr": descr, "fortran_order": False, "shape": (count, *generator.shape)}
    npy.write_array_header_1_0(file, header)
    found: list[NDArray[np.int64]] = []
    for samples, labels in pieces:
        file.write(_bytes_of(samples, generator))
        if labels is not None:
            found.append(labels.numpy())
    return np.concatenate(found) if found else None


def _write_together(out: Path, draw: Callable[[range], _Pieces], count: int, generator: Generator) -> None:
    """Let each of several processes write its samples into its part of one array."""
    each = prod(generator.shape) * (1 if generator.header.kind == "images" else 4)
    numbers = share_of(count, generator.shape)
    with ExitStack() as stack:

        def make() -> tuple[str, int]:
            temporary = stack.enter_context(atomic_path(out))
            with temporary.open("wb") as file:
                _write_array(file, iter(()), count, generator)
                begin = file.tell()
                file.truncate(begin + count * each)
            return str(temporary), begin

        path, begin = processes.first(make)

        def fill() -> None:
            with Path(path).open("r+b") as file:
                file.seek(begin + numbers.start * each)
                for samples, _ in draw(numbers) if numbers else ():
                    file.write(_bytes_of(samples, generator))

        processes.together(fill)


def _bytes_of(samples: Tensor, generator: Generator) -> memoryview:
    return np.ascontiguousarray(to_pixels(samples) if generator.header.kind == "images" else samples.numpy()).data


def _write_archive(out: Path, pieces: _Pieces, count: int, generator: Generator) -> None:
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        with archive.open(zipfile.ZipInfo(f"{generator.header.kind}.npy"), "w", force_zip64=True) as file:
            labels = _write_array(file, pieces, count, generator)
        if labels is not None:
            with archive.open(zipfile.ZipInfo("labels.npy"), "w", force_zip64=True) as file:
                npy.write_array(file, labels, allow_pickle=False)


def _write_folder(out: Path, pieces: _Pieces, count: int) -> None:
    check_folder(out)
    digits = max(6, len(str(count - 1)))
    pictures = (picture for samples, _ in pieces for picture in to_pictures(to_pixels(samples)))
    with atomic_folder(out) as temporary:
        for number, picture in enumerate(pictures):
            picture.save(temporary / f"{number:0{digits}d}.png")
