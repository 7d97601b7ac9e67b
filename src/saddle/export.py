"""Samples to files: a grid, arrays written piece by piece, a folder of PNGs, strips and animations."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from saddle.errors import ConfigError, SaddleError
from saddle.files import atomic_path
from saddle.sampling import Generator
from saddle.show.animation import save_animation
from saddle.show.grid import save_picture, tile
from saddle.show.points import picture_points
from saddle.training.record import to_pixels

# A grid of more cells is no picture any more.
_GRID = 4096


def save_samples(
    generator: Generator,
    out: Path,
    count: int,
    *,
    seed: int = 0,
    label: str | int | None = None,
    truncation: float = 1.0,
) -> None:
    """Write ``count`` samples to ``out``, in the form that its suffix names; see ``Generator.sample``.

    ``.png``: one grid, or a plot of points. ``.npy``: uint8 (N, C, H, W), or float32 (N, d) for points. ``.npz``: the
    same under ``images`` or ``points``, and ``labels`` of a conditional generator. No suffix: a folder of numbered
    PNGs. Arrays and folders are written as the samples come, so memory does not grow with ``count``.

    Raises:
        ConfigError: an unknown suffix, or a form that does not fit.
        SaddleError: ``out`` cannot be written.
    """
    images = generator.header.kind == "images"
    if count < 1:
        raise ConfigError("cannot draw this many samples", expected="--count of at least 1", got=count)
    if label is not None:
        generator.label(label)
    generator.latents(1, seed, truncation=truncation)
    stream = generator.stream(count, seed=seed, label=label, truncation=truncation)
    labels: list[NDArray[np.int64]] = []
    pieces = (_array(samples, numbers, images, labels) for samples, numbers in stream)
    _check_parent(out)
    match out.suffix.lower():
        case ".png":
            if count > _GRID:
                raise ConfigError(
                    f"a picture of {count:,} samples could not be looked at",
                    expected=f"at most {_GRID:,} for a .png",
                    remedy="--out samples.npy, or a folder",
                )
            values = np.concatenate(list(pieces))
            columns = len(generator.class_names) if label is None and generator.class_names else None
            save_picture(tile(values, columns=columns) if images else picture_points(values), out)
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


def save_interpolation(
    generator: Generator,
    out: Path,
    first: int,
    last: int,
    steps: int,
    *,
    space: str = "spherical",
    label: str | int | None = None,
) -> None:
    """Write the samples on the way from one latent to another: a ``.png`` strip, or a ``.gif`` or ``.webp`` animation.

    Raises:
        ConfigError: an unknown suffix, too few steps, or a generator of points.
    """
    if generator.header.kind != "images":
        raise ConfigError("this generator makes points, not images", remedy="use saddle sample")
    if out.suffix.lower() not in {".png", ".gif", ".webp"}:
        raise ConfigError("unknown form of output", expected=".png, .gif or .webp", got=out.suffix or out.name)
    _check_parent(out)
    images = to_pixels(generator.interpolate(first, last, steps, space=space, label=label))
    if out.suffix.lower() == ".png":
        save_picture(tile(images, columns=steps), out)
    else:
        frames = [tile(image[None]) for image in images]
        save_animation([*frames, *frames[-2:0:-1]], out, seconds_per_frame=0.1)  # there and back, without a jump


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
    out.mkdir(exist_ok=True)
    digits = max(6, len(str(count - 1)))
    number = 0
    for piece in pieces:
        for image in piece:
            pixels = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
            Image.fromarray(pixels).save(out / f"{number:0{digits}d}.png")
            number += 1


def _check_parent(out: Path) -> None:
    if not out.parent.is_dir():
        raise SaddleError(f"there is no folder {out.parent}", expected="an --out in an existing folder")
    if out.is_dir() and out.suffix:
        raise SaddleError(f"{out} is a folder", expected="a file to write", remedy="give another --out")
