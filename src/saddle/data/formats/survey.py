"""A look at a folder or zip of images: what is there, whether or not a training could use it. Nothing is cached."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saddle.base.opening import shown
from saddle.base.progress import Progress
from saddle.config.schema import DataConfig
from saddle.data.formats.decoding import Decoded, Outcome, Plan, Reader, decode_all, decode_rows
from saddle.data.formats.listing import Listing, list_images
from saddle.data.formats.pixels import Size, check_room
from saddle.data.store import Skipped
from saddle.errors import DataError, NoSuchSplit

# The side of the pictures in the recipe `images`; larger ones take much longer to train.
USUAL = 64
SMALLEST = 8  # the smallest side that its networks take


@dataclass(frozen=True)
class Survey:
    """What was found in the image files of one split.

    Args:
        name: of the folder or zip.
        listing: the files.
        outcomes: what each file holds, or why it cannot be read, in the order of the listing.
        test: the number of images in the test split of its own, or None without one.
    """

    name: str
    listing: Listing
    outcomes: tuple[Outcome, ...]
    test: int | None

    @cached_property
    def readable(self) -> dict[str, Decoded]:
        """What the readable files hold, by name."""
        pairs = zip(self.listing.names, self.outcomes, strict=True)
        return {name: found for name, found in pairs if isinstance(found, Decoded)}

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        pairs = zip(self.listing.names, self.outcomes, strict=True)
        return tuple(Skipped(shown(name), found) for name, found in pairs if isinstance(found, str))

    @property
    def sizes(self) -> Counter[Size]:
        """How often each size (height, width) occurs."""
        return Counter((found.height, found.width) for found in self.readable.values())

    @property
    def channels(self) -> int:
        """As a training chooses them: 1 if all images are grey, else 3."""
        return 1 if all(found.grey for found in self.readable.values()) else 3

    @property
    def transparent(self) -> int:
        """The number of images with a transparent place."""
        return sum(found.transparent for found in self.readable.values())

    @cached_property
    def classes(self) -> dict[str, str]:
        """The class folder of each readable file; empty without class folders."""
        classes = dict(zip(self.listing.names, self.listing.classes, strict=True))
        return {name: classes[name] for name in self.readable} if any(classes.values()) else {}

    def suggested_size(self) -> Size:
        """The one size of images that are small; else 64, or a smaller power of two that suits small images better."""
        sizes = self.sizes
        (height, width), *others = sizes
        if not others and max(height, width) <= USUAL:
            return max(height, SMALLEST), max(width, SMALLEST)
        shorter = np.median(np.repeat([min(size) for size in sizes], list(sizes.values())))
        side = USUAL
        while side > max(1.25 * shorter, SMALLEST):  # enlarged by a quarter at most, as far as half the images go
            side //= 2
        return side, side

    def repeats(self) -> list[tuple[str, str]]:
        """The files with the same content as an earlier one, each with that one."""
        first: dict[str, str] = {}
        pairs = [(name, first.setdefault(found.digest, name)) for name, found in self.readable.items()]
        return [(shown(name), shown(earlier)) for name, earlier in pairs if name != earlier]

    def render(self, names: list[str], size: Size, channels: int, config: DataConfig) -> NDArray[np.uint8]:
        """These files as uint8 (N, C, H, W).

        Raises:
            TooLarge: they would not fit in memory.
        """
        check_room(len(names), (channels, *size))
        values = np.zeros((len(names), channels, *size), np.uint8)
        plan = Plan(os.fspath(self.listing.root), None, values.shape, config.fit, resize=True)
        with Reader(self.listing.root) as reader:
            decode_rows(plan, values, reader, 0, names)
        return values


def survey_images(root: Path, config: DataConfig, progress: Progress) -> Survey:
    """Look at every image below ``root``, a folder or zip, as far as ``config.split`` asks for it.

    Raises:
        DataError: there are no images, none can be read, or they lie both beside and inside class folders.
        NoSuchSplit: the test split is wanted, and there is none.
    """
    listing = list_images(root, config.split)
    if config.split == "test" and not listing.has_test:
        raise NoSuchSplit(f"{root} has no test split of its own", remedy="leave data.split out to see all images")
    names = listing.names
    plan = Plan(os.fspath(listing.root.resolve()), None, (len(names), 3, 1, 1), config.fit, resize=True)
    progress.start("looking at images", len(names), "images")
    outcomes: list[Outcome] = []
    for chunk in decode_all(plan, names):
        outcomes += chunk
        progress.advance(len(chunk))
    progress.finish()
    test = len(list_images(root, "test")) if listing.has_test else None
    survey = Survey(shown(root.resolve().name), listing, tuple(outcomes), test)
    if not survey.readable:
        some = "; ".join(f"{item.path}: {item.reason}" for item in survey.skipped[:3])
        raise DataError(f"none of the {len(names):,} images in {root} can be read", got=some)
    return survey
