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
_PAIRS = 8  # beside each other
_LABEL_GREY = 110  # readable on white as well as on the dark page behind a transparent picture
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_JPEG: dict[str, Any] = {"quality": 95, "subsampling": 0}  # hardly to be told from the original
_WRITERS: dict[str, dict[str, Any]] = {".png": {}, ".webp": {"lossless": True}, ".jpg": _JPEG, ".jpeg": _JPEG}
PICTURES = tuple(_WRITERS)  # the suffixes that ``save_picture`` writes


def tile(
    images: NDArray[np.uint8],
    *,
    columns: int | None = None,
    lengths: Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    rows: Sequence[str] | None = None,
    scale: int | None = None,
    padding: int = 2,
) -> Image.Image:
    """Lay images out row by row on white, or those of mode RGBA on a transparent ground.

    Args:
        images: uint8 (N, C, H, W) in 0..255, C 1 (grey), 3 (RGB) or 4 (RGBA), N at least 1.
        columns: images in a row; None: as many as make the picture nearly square.
        lengths: how many of the images each row holds, where rows differ; their sum is N. ``columns`` are then not
            given.
        labels: N short texts, each written below its image and cut where the image ends.
        rows: a short text for each row, written to the left of it.
        scale: whole factor of enlargement, pixels stay sharp; None: the smallest that makes the longer side at least
            48 pixels.
        padding: pixels between and around the cells.

    Returns:
        A picture of mode L, RGB or RGBA.

    Raises:
        DataError: ``images`` has another type or shape, or ``lengths``, ``labels`` or ``rows`` do not fit.
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
    if lengths is None:
        columns = min(columns or math.ceil(math.sqrt(count * height / width)), count)
        lengths = [min(columns, count - first) for first in range(0, count, columns)]
    if sum(lengths) != count or min(lengths) < 1:
        raise DataError("the rows do not hold all images", expected=f"{count} in all", got=list(lengths))

    scale = scale or math.ceil(_READABLE / max(height, width))
    if rows is not None and len(rows) != len(lengths):
        raise DataError(
            "the texts and the rows differ in number", expected=len(lengths), got=len(rows), remedy="one each"
        )
    shown_height, shown_width = height * scale, width * scale
    label_height = 0 if labels is None else _LABEL_SIZE + 4
    font = ImageFont.load_default(_LABEL_SIZE)
    names = [_one_line(text) for text in rows or ()]
    margin = max((math.ceil(font.getlength(name)) + _LABEL_SIZE for name in names), default=0)
    pitch_y, pitch_x = shown_height + label_height + padding, shown_width + padding
    corners = [
        (padding + row * pitch_y, margin + padding + column * pitch_x)
        for row, length in enumerate(lengths)
        for column in range(length)
    ]

    size = len(lengths) * pitch_y + padding, margin + max(lengths) * pitch_x + padding
    canvas = np.full((*size, channels), 255, np.uint8)
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
    for row, name in enumerate(names):
        middle = padding + row * pitch_y + shown_height / 2
        draw.text((margin + padding - _LABEL_SIZE / 2, middle), name, fill=grey, font=font, anchor="rm")
    return picture


def tile_pairs(
    inputs: NDArray[np.uint8], targets: NDArray[np.uint8], outputs: NDArray[np.uint8] | None = None
) -> Image.Image:
    """Inputs, below them what was made of them, and below that what should have been: blocks of three rows, named.

    Args:
        inputs, targets, outputs: uint8 (N, C, H, W); grey ones are shown beside coloured ones. Without outputs, blocks
            have two rows.
    """
    sides = {"input": inputs, "output": outputs, "target": targets}
    given = {name: images for name, images in sides.items() if images is not None}
    channels = max(images.shape[1] for images in given.values())
    alike = {name: _with_channels(images, channels) for name, images in given.items()}
    starts = range(0, len(inputs), _PAIRS)
    rows = [(name, images[start : start + _PAIRS]) for start in starts for name, images in alike.items()]
    images = np.concatenate([row for _, row in rows])
    return tile(images, lengths=[len(row) for _, row in rows], rows=[name for name, _ in rows])


def to_pictures(images: NDArray[np.uint8]) -> list[Image.Image]:
    """Each of the images (N, C, H, W) as a picture of its own, of its own size: mode L, RGB or RGBA."""
    return [Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)) for image in images]


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture by the suffix of ``path``: PNG or WebP without loss, or JPEG, which is on white.

    Equal pictures make equal bytes.

    Raises:
        ConfigError: another suffix.
        SaddleError: the file cannot be written; no part of it is left.
    """
    if path.suffix.lower() not in _WRITERS:
        raise ConfigError(
            f"{path.name} is not the name of a picture",
            expected=" or ".join(PICTURES),
            got=path.suffix or "none",
            remedy=f"name it {path.stem}.png",
        )
    options = _WRITERS[path.suffix.lower()]
    if options is _JPEG and picture.mode == "RGBA":  # JPEG has no transparency
        picture = on_white(picture)
    with atomic_path(path) as temporary:
        picture.save(temporary, **options)


def on_white(picture: Image.Image) -> Image.Image:
    """The picture as RGB, with white where it is transparent."""
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _with_channels(images: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """The images with more channels: grey as red, green and blue, and nothing transparent."""
    if images.shape[1] == 1 and channels > 1:
        images = images.repeat(3, 1)
    if images.shape[1] == 3 and channels == 4:
        images = np.concatenate([images, np.full_like(images[:, :1], 255)], 1)
    return images


def _shortened(label: str, draw: ImageDraw.ImageDraw, font: Any, width: int) -> str:
    """The longest beginning of ``label`` that fits ``width`` pixels, with an ellipsis where something was cut."""
    label = _one_line(label)
    for length in range(len(label), 0, -1):
        text = label if length == len(label) else label[:length].rstrip() + "…"
        if draw.textlength(text, font=font) <= width:
            return text
    return ""


def _one_line(text: str) -> str:
    """The text in one line: a text with line breaks cannot be measured."""
    return " ".join(text.split())
