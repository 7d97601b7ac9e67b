"""Pairs in image files: both in one picture side by side, or in two folders under the same names.

They are decoded like any images, into rows that hold input and target side by side; see ``Plan``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from saddle.base.opening import kind_at, shown
from saddle.config.schema import DataConfig
from saddle.data.formats.decoding import Decoded, Outcome
from saddle.data.formats.listing import Listing, list_images
from saddle.data.store import Store
from saddle.errors import DataError

READ = ("left-to-right", "right-to-left", "folders")  # the values of ``data.pairs`` that are read from files
_SOME = 3  # names in a message


@dataclass(frozen=True)
class Part:
    """One of the images that a row is decoded from.

    Args:
        root: the folder or zip.
        names: of the files in it, one for each row.
        half: which half of each file's image it is; None: the whole.
    """

    root: Path
    names: list[str]
    half: Literal["left", "right"] | None = None


def parts_of(listing: Listing, inputs: Listing | None, config: DataConfig) -> list[Part]:
    """What each row consists of: the image alone, or the input and then the target.

    Raises:
        DataError: the inputs and the targets in two folders do not have the same names.
    """
    names = listing.names
    if inputs is not None:
        return [Part(inputs.root, _matched(listing, inputs)), Part(listing.root, names)]
    if config.pairs == "left-to-right":
        return [Part(listing.root, names, "left"), Part(listing.root, names, "right")]
    if config.pairs == "right-to-left":
        return [Part(listing.root, names, "right"), Part(listing.root, names, "left")]
    return [Part(listing.root, names)]


def list_inputs(listing: Listing, config: DataConfig) -> Listing | None:
    """The files of ``data.inputs``, of the same split as ``listing``; None where pairs do not come from two folders.

    Raises:
        DataError: nothing is there, or no images.
    """
    if config.pairs != "folders":
        return None
    assert config.inputs is not None
    path = Path(config.inputs).expanduser()
    if kind_at(path) is None:
        raise DataError(f"there is no folder or zip of inputs {path}", remedy="check data.inputs")
    inputs = list_images(path, config.split)
    if inputs.has_test != listing.has_test:
        with_test, without = (inputs, listing) if inputs.has_test else (listing, inputs)
        raise DataError(
            "the inputs and the targets are not split alike",
            got=f"{with_test.root} holds a test split, and {without.root} none",
        )
    return inputs


def joined_outcomes(parts: Sequence[Part], outcomes: Sequence[Sequence[Outcome]]) -> list[tuple[str, Outcome]]:
    """What became of each row, with the name of its file: that of the target, or of the input that cannot be read."""
    found: list[tuple[str, Outcome]] = []
    for row, (name, target) in enumerate(zip(parts[-1].names, outcomes[-1], strict=True)):
        first = outcomes[0][row]
        found.append((parts[0].names[row], first) if isinstance(first, str) else (name, target))
    return found


def check_shapes(parts: Sequence[Part], outcomes: Sequence[Sequence[Outcome]], *, resized: bool) -> None:
    """Refuse pairs whose images do not lie on top of each other: of another size, or of another shape if resized.

    Raises:
        DataError: with the first few of them.
    """
    wrong: list[str] = []
    for row, (first, second) in enumerate(zip(outcomes[0], outcomes[-1], strict=False)):
        if not isinstance(first, Decoded) or not isinstance(second, Decoded):
            continue
        same = (first.height, first.width) == (second.height, second.width)
        # Shapes are equal where the sides have one ratio, to the rounding of a pixel.
        gap = abs(first.height * second.width - second.height * first.width)
        if not (same or (resized and gap <= max(first.height, first.width, second.height, second.width))):
            sizes = (f"{each.height}x{each.width}" for each in (first, second))
            wrong.append(f"{shown(parts[-1].names[row])} ({' and '.join(sizes)})")
    if wrong:
        raise DataError(
            f"{len(wrong):,} of {len(outcomes[0]):,} pairs do not match in {'shape' if resized else 'size'}",
            expected="an input and a target " + ("of one aspect ratio" if resized else "of one size, or data.size"),
            got=f"{_some(wrong)} (height x width of the input and of the target)",
        )


def apart(store: Store) -> Store:
    """The inputs and the targets of rows that hold them side by side: both are views, and nothing is copied."""
    middle = store.values.shape[3] // 2
    values = np.asarray(store.values, np.uint8)
    return replace(store, values=values[..., middle:], inputs=values[..., :middle])


def _matched(targets: Listing, inputs: Listing) -> list[str]:
    """For each target, the name of the input that is called the same, below its folder and whatever its suffix."""
    known, wanted = (_by_key(listing) for listing in (inputs, targets))
    lonely = [key for key in wanted if key not in known], [key for key in known if key not in wanted]
    if any(lonely):
        sides = zip(lonely, (targets.root, inputs.root), (inputs.root, targets.root), strict=True)
        each = [
            f"{len(keys):,} of {shown(here)} without one in {shown(there)}: {_some(keys)}"
            for keys, here, there in sides
            if keys
        ]
        raise DataError(
            "the inputs and the targets do not match by name",
            expected="an input of the same name for each target, whatever the suffix",
            got="; ".join(each),
            remedy="rename the files, or remove those without a partner",
        )
    return [known[key] for key in wanted]


def _by_key(listing: Listing) -> dict[str, str]:
    """The files of a listing by their names below what they have in common, without suffix."""
    found: dict[str, str] = {}
    for name in listing.names:
        key = str(PurePosixPath(name.removeprefix(listing.prefix)).with_suffix(""))
        if key in found:
            raise DataError(
                f"two images in {listing.root} have one name",
                expected="names that differ by more than the suffix",
                got=_some([found[key], name]),
            )
        found[key] = name
    return found


def _some(names: Sequence[str]) -> str:
    first = chain(map(shown, names[:_SOME]), ["..."] if len(names) > _SOME else [])
    return ", ".join(first)
