"""From what a request asks for to latents, and from samples to the bytes of an answer."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from math import prod
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from saddle.data.scaling import to_pixels
from saddle.errors import ConfigError
from saddle.show.grid import tile, to_pictures
from saddle.show.points import picture_points
from saddle.studio.answers import Refused
from saddle.studio.batching import Wanted
from saddle.trained.generator import Generator
from saddle.trained.labels import Labels, parse_classes

Form = Literal["png", "zip", "npy", "json"]
MEDIA: dict[Form, str] = {
    "png": "image/png",
    "zip": "application/zip",
    "npy": "application/octet-stream",
    "json": "application/json",
}
_MOST_VALUES: dict[Form, int] = {"png": 2**25, "zip": 2**25, "npy": 2**26, "json": 2**20}
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # equal samples make equal archives


def numbered_samples(
    generator: Generator, count: int, seed: int, first: int, labels: Labels, truncation: float
) -> Wanted:
    """The latents and classes of the samples of ``Generator.stream`` from number ``first`` on."""
    classes = generator.labels(labels)
    latents = generator.latents(count, seed, start=first, truncation=truncation)
    return Wanted(latents, None if classes is None else classes[torch.arange(first, first + count) % len(classes)])


def chosen_classes(generator: Generator, label: str | None, labels: str | None) -> Labels:
    """The classes that a request names: one, or several in turn.

    Raises:
        ConfigError: both are given, or there is no such class.
    """
    if label is not None and labels is not None:
        raise ConfigError("label and labels cannot both be given", remedy="give one of them")
    return label if labels is None else parse_classes(labels, generator.class_names)


def check_size(count: int, most: int, shape: Sequence[int], form: Form) -> None:
    """Refuse an answer that would be too large.

    Raises:
        Refused: more than ``most`` samples, or more values than this form holds.
    """
    allowed = largest(most, shape, form)
    if count > allowed:
        smaller = "several requests, with first=..." if form != "json" or count > most else "format=npy holds more"
        raise Refused(
            422,
            "so many samples do not go into one answer",
            expected=f"at most {allowed:,} as {form}",
            got=f"{count:,}",
            remedy=smaller,
        )


def largest(most: int, shape: Sequence[int], form: Form) -> int:
    """How many samples of ``shape`` go into one answer of this form; never more than ``most``."""
    return min(most, max(1, _MOST_VALUES[form] // prod(shape)))


def check_form(generator: Generator, form: Form) -> None:
    """Refuse what has no such form.

    Raises:
        ConfigError: points as single pictures.
    """
    if form == "zip" and generator.header.kind != "images":
        raise ConfigError("points are no pictures", expected="format=png, npy or json", got="zip")


def encoded(samples: Tensor, labels: Tensor | None, form: Form, *, columns: int | None = None) -> bytes:
    """Samples in the form of an answer; equal samples make equal bytes.

    Args:
        samples: images (n, C, H, W) in [0, 1] or points (n, d).
        labels: class indices (n,), for JSON.
        form: ``png``: one sample's own pixels, or a grid of several, or a plot of points; ``zip``: a PNG for each;
            ``npy``: uint8 (n, C, H, W), or float32 (n, d); ``json``: the same numbers, nested.
        columns: of a grid.
    """
    images = samples.ndim == 4
    values = to_pixels(samples) if images else samples.numpy()
    match form:
        case "png" if not images:
            return _png(picture_points(samples.numpy()))
        case "png":
            return _png(to_pictures(values)[0] if len(values) == 1 else tile(values, columns=columns))
        case "zip":
            return _archive(values)
        case "npy":
            buffer = io.BytesIO()
            np.save(buffer, values, allow_pickle=False)
            return buffer.getvalue()
        case "json":
            told = {"samples": values.tolist(), "labels": None if labels is None else labels.tolist()}
            return json.dumps(told, separators=(",", ":")).encode()


def _archive(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, picture in enumerate(to_pictures(pixels)):
            archive.writestr(zipfile.ZipInfo(f"{number:06d}.png", _LONG_AGO), _png(picture))
    return buffer.getvalue()


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
