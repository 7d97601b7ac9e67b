"""Samples to files: a grid, arrays written piece by piece, a folder of PNGs."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from saddle.base.files import atomic_folder, atomic_path
from saddle.data.scaling import to_pixels
from saddle.errors import ConfigError, SaddleError
from saddle.show.grid import save_picture, tile
from saddle.show.points import picture_points
from saddle.trained.generator import Generator, Label

# A grid of more cells is no picture any more.
_GRID = 4096


def save_samples(
    generator: Generator,
    out: Path,
    count: int,
    *,
    seed: int = 0,
    label: Label | Sequence[Label] | None = None,
    truncation: float = 1.0,
) -> int:
    """Write ``count`` samples to ``out``, in the form that its suffix names; see ``Generator.sample``.

    ``.png``: one grid, or a plot of points; of several classes the rows, and each column one latent. ``.npy``: uint8
    (N, C, H, W), or float32 (N, d) for points. ``.npz``: the same under ``images`` or ``points``, and ``labels`` of a
    conditional generator. No suffix: a folder of numbered PNGs. Arrays and folders are written as the samples come, so
    memory does not grow with ``count``.

    Returns:
        How many were written: ``count``, or more where the rows of a class grid are to be full.

    Raises:
        ConfigError: an unknown suffix, or a form that does not fit.
        SaddleError: ``out`` cannot be written.
    """
    images = generator.header.kind == "images"
    if count < 1:
        raise ConfigError("cannot draw this many samples", expected="--count of at least 1", got=count)
    classes = generator.labels(label)
    generator.latents(1, seed, truncation=truncation)
    stream = generator.stream(count, seed=seed, label=label, truncation=truncation)
    labels: list[NDArray[np.int64]] = []
    pieces = (_array(samples, numbers, images, labels) for samples, numbers in stream)
    check_out(out)
    match out.suffix.lower():
        case ".png":
            rows = 1 if classes is None else len(classes)
            columns = math.ceil(count / rows)
            if rows * columns > _GRID:
                raise ConfigError(
                    f"a picture of {rows * columns:,} samples could not be looked at",
                    expected=f"at most {_GRID:,} for a .png",
                    remedy="--out samples.npy, or a folder",
                )
            if classes is not None and rows > 1 and images:
                grid = to_pixels(generator.class_grid(columns, seed=seed, label=label, truncation=truncation))
                names = [generator.class_names[index] for index in classes]
                save_picture(tile(grid.reshape(-1, *generator.shape), columns=columns, rows=names), out)
                return rows * columns
            values = np.concatenate(list(pieces))
            save_picture(tile(values) if images else picture_points(values), out)
        case ".npy":
            with atomic_path(out) as temporary, temporary.open("wb") as file:
                _write_array(file, pieces, count, generator.shape, images)
        case ".npz":
            name = "images.npy" if images else "points.npy"
            with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
                with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
                    _write_array(file, pieces, count, generator.shape, images)
                if generator.class_names:
                    with archive.open(zipfile.ZipInfo("labels.npy"), "w") as file:
                        npy.write_array(file, np.concatenate(labels), allow_pickle=False)
        case "":
            if not images:
                raise ConfigError("points are no pictures", expected="--out with .png, .npy or .npz")
            _write_folder(out, pieces, count)
        case other:
            raise ConfigError("unknown form of output", expected=".png, .npy, .npz, or a folder", got=other)
    return count


def check_out(out: Path) -> None:
    """Find out early whether a file can be written at ``out``.

    Raises:
        SaddleError: its folder does not exist, or it is a folder itself.
    """
    if not out.parent.is_dir():
        raise SaddleError(f"there is no folder {out.parent}", expected="an --out in an existing folder")
    if out.is_dir() and out.suffix:
        raise SaddleError(f"{out} is a folder", expected="a file to write", remedy="give another --out")


def _array(samples: Tensor, numbers: Tensor | None, images: bool, labels: list[NDArray[np.int64]]) -> NDArray[Any]:
    """One piece as it is written; its labels are put aside."""
    if numbers is not None:
        labels.append(numbers.numpy())
    return to_pixels(samples) if images else samples.numpy()


def _write_array(
    file: IO[bytes], pieces: Iterator[NDArray[Any]], count: int, shape: tuple[int, ...], images: bool
) -> None:
    descr = npy.dtype_to_descr(np.dtype(np.uint8 if images else np.float32))
    npy.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": (count, *shape)})
    for piece in pieces:
        file.write(np.ascontiguousarray(piece).data)


def _write_folder(out: Path, pieces: Iterator[NDArray[np.uint8]], count: int) -> None:
    if out.is_file():
        raise SaddleError(f"{out} is a file", expected="a folder for the PNGs", remedy="give another --out")
    if out.is_dir() and any(out.iterdir()):
        raise SaddleError(f"the folder {out} is not empty", remedy="give another --out, so that no file is mixed in")
    digits = max(6, len(str(count - 1)))
    images = (image for piece in pieces for image in piece)
    with atomic_folder(out) as temporary:
        for number, image in enumerate(images):
            pixels = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
            Image.fromarray(pixels).save(temporary / f"{number:0{digits}d}.png")
