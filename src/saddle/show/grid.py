"""Many small images as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from saddle.base.files import atomic_path
from saddle.errors import ConfigError, DataError

_READABLE = 48  # pixels: smaller images are enlarged to at least this
_LABEL_SIZE = 12
_LABEL_GREY = 110  # readable on white as well as on the dark page behind a transparent picture
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_WRITERS: dict[str, dict[str, Any]] = {".png": {}, ".webp": {"lossless": True}}


def tile(
    images: NDArray[np.uint8],
    *,
    columns: int | None = None,
    labels: Sequence[str] | None = None,
    rows: Sequence[str] | None = None,
    scale: int | None = None,
    padding: int = 2,
) -> Image.Image:
    """Lay images out row by row on white (RGBA: on nothing).

    Args:
        images: uint8 (N, C, H, W) in 0..255, C 1 (grey), 3 (RGB) or 4 (RGBA), N at least 1.
        columns: images in a row; None: as many as make the picture nearly square.
        labels: N short texts, each written below its image and cut where the image ends.
        rows: a short text for each row, written to the left of it.
        scale: whole factor of enlargement, pixels stay sharp; None: the least that makes the longer side 48 pixels.
        padding: pixels between and around the cells.

    Returns:
        A picture of mode L, RGB or RGBA.

    Raises:
        DataError: ``images`` has another type or shape, or ``labels`` or ``rows`` another length.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in _MODES or images.size == 0:
        raise DataError(
            "these values cannot be shown as a grid of images",
            expected="uint8 (N, C, H, W) with C = 1, 3 or 4 and at least one image",
            got=f"{images.dtype} {images.shape}",
            remedy="bring the images to this form; points are drawn by picture_points",
        )
    count, channels, height, width = images.shape
    if labels is not None and len(labels) != count:
        raise DataError("labels and images differ in number", expected=count, got=len(labels), remedy="one each")

    scale = scale or math.ceil(_READABLE / max(height, width))
    columns = min(columns or math.ceil(math.sqrt(count * height / width)), count)
    lines = math.ceil(count / columns)
    if rows is not None and len(rows) != lines:
        raise DataError("the texts and the rows differ in number", expected=lines, got=len(rows), remedy="one each")
    shown_height, shown_width = height * scale, width * scale
    label_height = 0 if labels is None else _LABEL_SIZE + 4
    font = ImageFont.load_default(_LABEL_SIZE)
    names = [_one_line(text) for text in rows or ()]
    margin = max((math.ceil(font.getlength(name)) + _LABEL_SIZE for name in names), default=0)
    pitch_y, pitch_x = shown_height + label_height + padding, shown_width + padding
    corners = [(padding + i // columns * pitch_y, margin + padding + i % columns * pitch_x) for i in range(count)]

    canvas = np.full((lines * pitch_y + padding, margin + columns * pitch_x + padding, channels), 255, np.uint8)
    canvas[:, :, 3:] = 0  # RGBA starts transparent
    for (top, left), image in zip(corners, images, strict=True):
        enlarged = image.repeat(scale, axis=1).repeat(scale, axis=2)
        canvas[top : top + shown_height, left : left + shown_width] = enlarged.transpose(1, 2, 0)
    picture = Image.fromarray(canvas.squeeze(2) if channels == 1 else canvas)
    draw = ImageDraw.Draw(picture)
    grey = {"L": _LABEL_GREY, "RGB": (_LABEL_GREY,) * 3, "RGBA": (*(_LABEL_GREY,) * 3, 255)}[picture.mode]
    for (top, left), label in zip(corners, labels or (), strict=False):
        text = _shortened(label, draw, font, shown_width)
        draw.text((left + shown_width / 2, top + shown_height + 1), text, fill=grey, font=font, anchor="ma")
    for (top, left), name in zip(corners[::columns], names, strict=False):
        draw.text((left - _LABEL_SIZE / 2, top + shown_height / 2), name, fill=grey, font=font, anchor="rm")
    return picture


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture losslessly as PNG or WebP, by the suffix of ``path``; equal pictures make equal bytes.

    Raises:
        ConfigError: another suffix.
        SaddleError: the file cannot be written; no part of it is left.
    """
    if path.suffix.lower() not in _WRITERS:
        raise ConfigError(
            f"{path.name} has no suffix of a picture",
            expected=" or ".join(_WRITERS),
            got=path.suffix or "none",
            remedy=f"name it {path.stem}.png",
        )
    with atomic_path(path) as temporary:
        picture.save(temporary, **_WRITERS[path.suffix.lower()])


def _shortened(label: str, draw: ImageDraw.ImageDraw, font: Any, width: int) -> str:
    """The longest beginning of ``label`` that fits ``width`` pixels, with an ellipsis where something was cut."""
    label = _one_line(label)
    for length in range(len(label), 0, -1):
        text = label if length == len(label) else label[:length].rstrip() + "…"
        if draw.textlength(text, font=font) <= width:
            return text
    return ""


def _one_line(text: str) -> str:
    """A line break cannot be measured."""
    return " ".join(text.split())
