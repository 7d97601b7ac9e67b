"""From a Pillow image to a uint8 array of given size and channels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from saddle.base.sizes import check_memory
from saddle.config.schema import DataConfig

Fit = Literal["crop", "pad", "stretch"]
Size = tuple[int, int]  # height, width

MODE_OF_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
ORIENTATION = 0x0112  # EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # its values that exchange height and width
_WORK = 16  # bytes a pixel that resizing one image takes at most: Pillow has four for a colour, and works on copies


def wanted_size(config: DataConfig) -> Size | None:
    """``config.size`` as (height, width), or None."""
    return (config.size, config.size) if isinstance(config.size, int) else config.size


def standard(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8 bits, upright, in mode L, LA, RGB or RGBA, without loss of colour or alpha.

    Raises:
        ValueError: the range of the pixel values is not known.
    """
    if image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    mode = image.mode
    if mode == "P":
        if image.has_transparency_data:
            return image.convert("RGBA")
        red, green, blue = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3).T
        return image.convert("L" if (red == green).all() and (green == blue).all() else "RGB")
    if mode.startswith("I"):
        return _from_integers(image)
    if mode == "F":
        return _from_floats(image)
    if mode in ("1", "L", "RGB") and "transparency" in image.info:
        return image.convert("RGBA" if mode == "RGB" else "LA")
    if mode in ("L", "LA", "RGB", "RGBA"):
        return image
    return image.convert({"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}.get(mode, "RGB"))


def is_grey(image: Image.Image) -> bool:
    """Whether a ``standard`` image has no colour."""
    return image.mode in ("L", "LA")


def is_transparent(image: Image.Image) -> bool:
    """Whether one can see through a ``standard`` image anywhere; an alpha channel alone does not make it so."""
    return image.mode in ("LA", "RGBA") and bool(np.asarray(image.getchannel("A")).min() < 255)


def resize(image: Image.Image, size: Size, fit: Fit) -> Image.Image:
    """Antialiased resize to (height, width).

    ``crop`` covers the size and cuts off what is too long, equally at both ends. ``pad`` fits the whole image inside
    the size, on black (transparent if the image has alpha). ``stretch`` ignores the aspect ratio.
    """
    height, width = size
    if image.size == (width, height):
        return image
    if fit == "pad":
        scale = min(width / image.width, height / image.height)
        inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        canvas = Image.new(image.mode, (width, height))
        canvas.paste(_scale(image, inner, None), ((width - inner[0]) // 2, (height - inner[1]) // 2))
        return canvas
    if fit == "stretch":
        return _scale(image, (width, height), None)
    scale = max(width / image.width, height / image.height)
    cover = width / scale, height / scale
    left, top = (image.width - cover[0]) / 2, (image.height - cover[1]) / 2
    # Rounding must not move the box out of the image.
    box = max(0, left), max(0, top), min(image.width, left + cover[0]), min(image.height, top + cover[1])
    return _scale(image, (width, height), box)


def to_array(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """A ``standard`` image as uint8 (C, H, W). With fewer than four channels, alpha is composited on white."""
    if channels < 4 and image.mode in ("LA", "RGBA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if image.mode != MODE_OF_CHANNELS[channels]:
        image = image.convert(MODE_OF_CHANNELS[channels])
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def render(image: Image.Image, size: Size | None, channels: int, fit: Fit) -> NDArray[np.uint8]:
    """A ``standard`` image as uint8 (C, H, W) of the given size (None: its own)."""
    return to_array(image if size is None else resize(image, size, fit), channels)


def check_room(images: int, shape: tuple[int, int, int]) -> None:
    """Refuse so many images (C, H, W) that would not fit in memory; 0: one at a time.

    Raises:
        TooLarge: they would not.
    """
    channels, height, width = shape
    what = f"{f'{images:,} images' if images else 'an image'} of {height:,} x {width:,} pixels"
    check_memory((images * channels + _WORK) * height * width, what, remedy="set a smaller data.size")


def conform(values: NDArray[np.uint8], config: DataConfig) -> NDArray[np.uint8]:
    """Images (N, C, H, W) in the size and channels of ``config``; the same array if nothing has to change.

    Raises:
        TooLarge: they would not fit in memory.
    """
    height, width = size = wanted_size(config) or (values.shape[2], values.shape[3])
    channels = config.channels or (3 if values.shape[1] == 4 else values.shape[1])
    shape = (channels, height, width)
    if values.shape[1:] == shape:
        return values
    check_room(len(values), shape)
    result = np.empty((len(values), *shape), np.uint8)
    for row, pixels in enumerate(values):
        interleaved = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
        result[row] = render(Image.fromarray(interleaved), size, channels, config.fit)
    return result


def _scale(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None) -> Image.Image:
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=2.0)


def _from_integers(image: Image.Image) -> Image.Image:
    # Pillow opens 16-bit grey as "I;16" or, from some formats, as 32-bit "I" with the same range.
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"integer pixels from {values.min()} to {values.max()}, expected 0 to 65535")
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def _from_floats(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if not (values.min() >= 0 and values.max() <= 1):  # also false for NaN
        raise ValueError(f"float pixels from {values.min()} to {values.max()}, expected 0 to 1")
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))
