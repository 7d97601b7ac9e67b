"""The grids that convolutional networks pass through, from the image's own down to the coarsest."""

from __future__ import annotations

from collections.abc import Sequence

from saddle.errors import ConfigError

_SMALLEST = 4  # side of the coarsest grid, at least
Grid = tuple[int, int]  # height, width


def grids(shape: Sequence[int]) -> list[Grid]:
    """The grids from an image (C, H, W) down to the coarsest, the image's own first.

    The sides are halved, rounded down, as long as the shorter one keeps at least 4.

    Raises:
        ConfigError: the samples are no images, or too small to be halved once.
    """
    if len(shape) != 3:
        raise ConfigError(
            "a convolutional network makes images, and these data are points",
            expected="images",
            got=f"points of {shape[0]} numbers",
            remedy="take a recipe with family mlp, or --set generator.network.family=mlp and the discriminator's too",
        )
    _, height, width = shape
    smallest = 2 * _SMALLEST
    if min(height, width) < smallest:
        high, wide = max(height, smallest), max(width, smallest)
        nearest = high if high == wide else [high, wide]
        raise ConfigError(
            f"a convolutional network cannot make images of {height} x {width}",
            expected=f"sides of {smallest} or more",
            got=f"height {height}, width {width}",
            remedy=f"the nearest size that works: --set data.size={nearest}",
        )
    found = [(height, width)]
    while min(height, width) >= smallest:
        height, width = height // 2, width // 2
        found.append((height, width))
    return found
