"""Pairs made of any images: each image is the target, and what is left of it by a rule is the input.

All but the resizing is arithmetic of whole numbers, so that an image has the same input on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saddle.base.sizes import check_memory
from saddle.config.schema import DataConfig
from saddle.data.formats.pixels import Size
from saddle.data.store import Store
from saddle.errors import DataError

Images = NDArray[np.uint8]
Numbers = NDArray[np.int32]

_AT_ONCE = 2**16  # bytes of images: what is computed of them stays in the processor's cache
_WEIGHTS = (19_595, 38_470, 7_471)  # of red, green and blue in brightness, in 65536ths (ITU-R BT.601)
_WEAKEST = 128**2  # square of the smallest gradient of an outline: brightness changes by 1 of 255 with each pixel
_LOW = 4  # by how much `low` divides the sides


def paired(store: Store, config: DataConfig) -> Store:
    """``store``, and what is held out of it, with the inputs that ``config.pairs`` makes; with those of files as it is.

    Raises:
        DataError: these are no images, images that are drawn fresh, or no files that hold pairs.
        TooLarge: the inputs would not fit in memory.
    """
    if config.pairs == "none" or store.inputs is not None:
        return store
    if config.pairs not in _RULES:
        raise DataError(
            f"data.pairs = {config.pairs} reads pairs from image files, and {store.name} is something else",
            expected="a folder or zip of images",
            remedy="--pairs edges, grey or low makes pairs of any images",
        )
    if store.kind != "images" or store.draw is not None:
        raise DataError(
            f"there are no pairs in {store.name}",
            expected="images",
            got="points" if store.kind == "points" else "images that are drawn fresh",
        )
    if config.pairs == "grey" and store.shape[0] == 1:
        raise DataError(f"{store.name} has no colours, so that grey inputs would be the targets", expected="colours")
    channels, rule = _RULES[config.pairs]
    shape = channels or store.shape[0], *store.shape[1:]
    inputs = len(store) * int(np.prod(shape))
    check_memory(inputs, f"the inputs of {len(store):,} images", remedy="take fewer: --set data.first=N")
    values = store.values.astype(np.uint8, copy=False)
    return replace(
        store,
        inputs=_in_pieces(values, shape, rule),
        held_out=None if store.held_out is None else paired(store.held_out, config),
    )


def edges(images: Images) -> Images:
    """Outlines, black on white: (N, C, H, W) → (N, 1, H, W).

    Where brightness changes most across an edge (Sobel's gradient of the smoothed image, thinned as by Canny 1986), and
    by more than a fifth of the image's largest change.
    """
    light = np.pad(brightness(images), ((0, 0), (3, 3), (3, 3)), mode="edge")
    smooth = _down(_along(light, 1, 2, 1), 1, 2, 1)
    right, down = _down(_along(smooth, -1, 0, 1), 1, 2, 1), _down(_along(smooth, 1, 2, 1), -1, 0, 1)
    change = right * right + down * down  # of one pixel more on each side
    right, down, height, width = right[:, 1:-1, 1:-1], down[:, 1:-1, 1:-1], *images.shape[2:]

    def higher(rows: int, columns: int) -> Numbers:
        """The larger change of the two neighbours in a direction."""
        ways = ((1 + rows, 1 + columns), (1 - rows, 1 - columns))
        return np.maximum(*(change[:, top : top + height, left : left + width] for top, left in ways))

    # Across the edge, in the nearest of four directions; the tangent of 22.5 degrees is 0.4142.
    falls, rises = higher(1, 1), higher(1, -1)
    neighbour = np.where(right * down > 0, falls, rises)
    neighbour = np.where(10_000 * abs(right) <= 4_142 * abs(down), higher(1, 0), neighbour)
    neighbour = np.where(10_000 * abs(down) <= 4_142 * abs(right), higher(0, 1), neighbour)
    here = change[:, 1:-1, 1:-1]
    weakest = np.maximum(here.max((1, 2), keepdims=True) // 25, _WEAKEST)
    return np.where((here > weakest) & (here >= neighbour), 0, 255).astype(np.uint8)[:, None]


def grey(images: Images) -> Images:
    """Brightness alone: (N, C, H, W) → (N, 1, H, W)."""
    return brightness(images).astype(np.uint8)[:, None]


def low(images: Images) -> Images:
    """The images at a quarter of their size, enlarged again: (N, C, H, W) → the same."""
    height, width = images.shape[2:]
    size = max(1, height // _LOW), max(1, width // _LOW)
    return _resized(_resized(images, size), (height, width))


def brightness(images: Images) -> Numbers:
    """Brightness from 0 to 255, of transparent images on white: (N, C, H, W) → (N, H, W)."""
    if images.shape[1] == 1:
        return images[:, 0].astype(np.int32)
    red, green, blue = (weight * images[:, channel].astype(np.int32) for channel, weight in enumerate(_WEIGHTS))
    light = (red + green + blue + 32_768) >> 16
    if images.shape[1] == 4:
        opacity = images[:, 3].astype(np.int32)
        light = (light * opacity + 255 * (255 - opacity) + 127) // 255
    return light


def _along(values: Numbers, left: int, middle: int, right: int) -> Numbers:
    """Sums of three neighbours in a row: (N, H, W) → (N, H, W - 2)."""
    return left * values[:, :, :-2] + middle * values[:, :, 1:-1] + right * values[:, :, 2:]


def _down(values: Numbers, above: int, middle: int, below: int) -> Numbers:
    """Sums of three neighbours in a column: (N, H, W) → (N, H - 2, W)."""
    return above * values[:, :-2] + middle * values[:, 1:-1] + below * values[:, 2:]


def _resized(images: Images, size: Size) -> Images:
    """As Pillow resizes each of them, at once: rows and columns are multiplied by what Pillow makes of unit vectors.

    Of colours with an opacity as many times as opaque: what a transparent pixel hides must not show in its neighbours.
    """

    def weights(before: int, after: int) -> NDArray[np.float32]:
        units = Image.fromarray(np.eye(before, dtype=np.float32))
        return np.asarray(units.resize((before, after), Image.Resampling.LANCZOS))

    height, width = images.shape[2:]
    values = images.astype(np.float32)
    transparent = images.shape[1] == 4
    if transparent:
        values[:, :3] *= values[:, 3:] / 255
    values = weights(height, size[0]) @ values @ weights(width, size[1]).T
    if transparent:
        values[:, :3] *= 255 / np.maximum(values[:, 3:], 1)
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _in_pieces(values: Images, shape: tuple[int, ...], rule: Callable[[Images], Images]) -> Images:
    inputs = np.empty((len(values), *shape), np.uint8)
    size = max(1, _AT_ONCE // values[:1].nbytes)
    for start in range(0, len(values), size):
        inputs[start : start + size] = rule(values[start : start + size])
    return inputs


# How many channels the inputs have, and how they are made; None: as many as the targets.
_RULES: dict[str, tuple[int | None, Callable[[Images], Images]]] = {
    "edges": (1, edges),
    "grey": (1, grey),
    "low": (None, low),
}
