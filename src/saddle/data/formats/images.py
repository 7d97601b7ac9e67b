"""Folders and zips of images: decoded once into the cache, and memory-mapped from there afterwards."""

from __future__ import annotations

import hashlib
import math
import os
import shlex
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saddle.base.files import removed_after
from saddle.base.opening import shown
from saddle.base.progress import Progress
from saddle.base.sizes import check_disk
from saddle.config.schema import DataConfig
from saddle.data.cache import cache_folder, in_use, remove, unusable_cache
from saddle.data.formats.decoding import Decoded, Outcome, Plan, decode_all, first_readable
from saddle.data.formats.entry import load_entry, write_entry
from saddle.data.formats.listing import Listing, list_images
from saddle.data.formats.pairs import READ, Part, apart, check_shapes, joined_outcomes, list_inputs, parts_of
from saddle.data.formats.pixels import check_room, wanted_size
from saddle.data.held_out import choose_part, held_out_rows
from saddle.data.store import Skipped, Store, fingerprint_of, transparency
from saddle.errors import DataError

FORMAT = 3  # of the cache; a change makes all entries anew


def open_images(path: Path, config: DataConfig, progress: Progress) -> Store:
    """Images of a folder or zip as uint8 (N, C, H, W), memory-mapped read-only, in the order of folders and names.

    With ``config.channels`` None, C is 1 if every image is grey, else 3. Alpha is composited on white unless C is 4.
    Without a test split of their own a share is held out; see ``saddle.data.held_out``. Where ``config.pairs`` reads
    inputs from files too (``saddle.data.formats.pairs``), they have the channels of the images.

    Raises:
        DataError: no images, mixed folders, sizes that differ without ``config.size``, too many unreadable files, or
            pairs that do not match.
        TooLarge: the images would not fit on the disk of the cache.
        NoSuchSplit: the test split is wanted, there is none, and nothing is held out.
    """
    listing = list_images(path, config.split)
    inputs = list_inputs(listing, config)
    share = 0.0 if listing.has_test else config.held_out
    # Zips differ in their checksums. Two folders may agree in names, sizes and times and still differ in content.
    root = None if listing.root.is_file() else os.fspath(path.resolve())
    options = (FORMAT, root, listing.key, wanted_size(config), config.fit, config.channels, share)
    if config.pairs in READ:
        options = (*options, config.pairs, inputs and os.fspath(inputs.root.resolve()), inputs and inputs.key)
    entry = cache_folder() / "images" / hashlib.sha256(repr(options).encode()).hexdigest()[:32]
    name = shown(path.resolve().name)
    parts = _usable(entry, name, progress)
    if parts is None:
        try:
            _make(entry, listing, inputs, config, progress)
        except OSError as error:
            raise unusable_cache(error) from error
        parts = _usable(entry, name, progress)
        if parts is None:
            raise DataError(f"the cache entry {entry} vanished while it was made", remedy="try again")
    _check_unreadable(parts[0], len(listing), config)
    if config.pairs in READ:
        parts = apart(parts[0]), None if parts[1] is None else apart(parts[1])
    return parts[0] if listing.has_test else choose_part(*parts, config)


def _usable(entry: Path, name: str, progress: Progress) -> tuple[Store, Store | None] | None:
    """What ``load_entry`` gives, or None of a damaged entry, which is told."""
    try:
        return load_entry(entry, name, progress)
    except ValueError as error:
        progress.say(f"the cached images of {name} are damaged and are decoded again: {error}")
        return None


def _make(entry: Path, listing: Listing, inputs: Listing | None, config: DataConfig, progress: Progress) -> None:
    """Decode into a temporary folder and rename it, so that an entry is either complete or not there."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    for old in entry.parent.glob("*.partial"):
        if not in_use(old):
            shutil.rmtree(old, ignore_errors=True)
    with removed_after(Path(tempfile.mkdtemp(dir=entry.parent, suffix=".partial"))) as temporary:
        _decode(temporary, listing, inputs, config, progress)
        try:
            temporary.rename(entry)
        except OSError:
            # Another process was faster, or the entry that is there is damaged.
            try:
                load_entry(entry, "", progress)
            except ValueError:
                remove(entry)
                temporary.rename(entry)


def _decode(folder: Path, listing: Listing, inputs: Listing | None, config: DataConfig, progress: Progress) -> None:
    sources = parts_of(listing, inputs, config)
    first = first_readable(listing.root, listing.names)
    if first is None:
        raise _none_readable(listing)
    height, width = wanted_size(config) or (first.height, first.width // (1 if sources[-1].half is None else 2))
    # The other images need not be grey, too. If one of them has colours, all are decoded again.
    channels = config.channels or (1 if first.grey else 3)
    path = folder / "values.bin"
    while True:
        shape = len(listing), channels, height, width * len(sources)
        _check_room(path, shape, config)
        _reserve(path, math.prod(shape))
        by_part: list[list[Outcome]] = []
        for number, part in enumerate(sources):
            plan = Plan(
                root=os.fspath(part.root.resolve()),
                values=os.fspath(path),
                shape=shape,
                fit=config.fit,
                resize=config.size is not None,
                part=number,
                parts=len(sources),
                half=part.half,
            )
            by_part.append([])
            if not _decode_into(plan, part, config.channels is None, by_part[-1], progress):
                break
        else:
            break
        channels = 3
    if inputs is not None:
        check_shapes(sources, by_part, resized=config.size is not None)
    names, outcomes = zip(*joined_outcomes(sources, by_part), strict=True)
    kept = np.asarray([row for row, outcome in enumerate(outcomes) if isinstance(outcome, Decoded)], np.int64)
    if not len(kept):
        raise _none_readable(listing, outcomes)
    values = _keep_rows(path, shape, kept)
    labels, class_names, dropped = _labels(listing.classes, kept)
    shape, fingerprint = values.shape, fingerprint_of(values, labels, class_names)
    del values  # not every system shortens a file that is mapped
    held_out = held_out_rows(len(kept), 0.0 if listing.has_test else config.held_out, labels)
    if len(held_out):
        _move_rows(path, shape, held_out, folder / "held_out.bin")
    if labels is not None:
        labels = np.concatenate([np.delete(labels, held_out), labels[held_out]])
        np.save(folder / "labels.npy", labels, allow_pickle=False)
    skipped = [
        Skipped(shown(name), found) for name, found in zip(names, outcomes, strict=True) if isinstance(found, str)
    ]
    write_entry(
        folder,
        shape=shape[1:],
        trained=len(kept) - len(held_out),
        held_out=len(held_out),
        class_names=class_names,
        fingerprint=fingerprint,
        skipped=tuple(skipped),
        notes=tuple(_notes(listing, outcomes, dropped, channels)),
    )


def _none_readable(listing: Listing, outcomes: Sequence[Outcome] = ()) -> DataError:
    reasons = [
        f"{shown(name)}: {why}" for name, why in zip(listing.names, outcomes, strict=False) if isinstance(why, str)
    ]
    return DataError(
        f"none of the {len(listing):,} images in {listing.root} can be read",
        got=reasons[0] if reasons else None,
        remedy=f"see why: saddle data inspect {shlex.quote(str(listing.root))}",
    )


def _decode_into(plan: Plan, part: Part, choose_channels: bool, outcomes: list[Outcome], progress: Progress) -> bool:
    """Fill ``outcomes``. False as soon as a colour image shows that one channel is too few."""
    _, channels, height, width = plan.shape
    width //= plan.parts
    inputs = plan.part < plan.parts - 1  # whose sizes are compared with those of the targets
    progress.start("decoding inputs" if inputs else "decoding images", len(part.names), "images")
    chunks = decode_all(plan, part.names)
    try:
        for chunk in chunks:
            outcomes += chunk
            progress.advance(len(chunk))
            found = [outcome for outcome in chunk if isinstance(outcome, Decoded)]
            differ = any((one.height, one.width) != (height, width) for one in found)
            if differ and not plan.resize and not inputs:
                raise DataError(
                    f"the images in {part.root} differ in size",
                    expected="one size, or data.size",
                    got=f"among the first {len(outcomes):,} images: {_sizes(outcomes)} (height x width)",
                    remedy="--set data.size=64, or data.size=[HEIGHT,WIDTH]; saddle data inspect shows what is there",
                )
            if choose_channels and channels == 1 and not all(one.grey for one in found):
                return False
        return True
    finally:
        chunks.close()
        progress.finish()


def _check_room(path: Path, shape: tuple[int, int, int, int], config: DataConfig) -> None:
    """Refuse images that would not fit, one at a time in memory and all of them on disk."""
    check_room(0, shape[1:])
    count = math.prod(shape)
    count += count * round(1000 * config.held_out) // 1000  # these are copied before the first file is shortened
    what = f"{shape[0]:,} images of {shape[2]:,} x {shape[3]:,} pixels"
    check_disk(path.parent, count, what, remedy="set a smaller data.size, or SADDLE_CACHE to a folder on another disk")


def _reserve(path: Path, size: int) -> None:
    """Make a file of ``size`` bytes. The room is reserved now, since a disk that gets full later kills the process."""
    with path.open("wb") as file:
        file.truncate(size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)


def _keep_rows(path: Path, shape: tuple[int, ...], kept: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Close the gaps between the rows that are kept, which are sorted, and shorten the file to them."""
    values = np.memmap(path, np.uint8, "r+", shape=shape)
    if len(kept) < len(values):
        for start, part in _pieces(values, kept):
            values[start : start + len(part)] = values[part]
    values.flush()
    del values
    os.truncate(path, len(kept) * math.prod(shape[1:]))
    return np.memmap(path, np.uint8, "r", shape=(len(kept), *shape[1:]))


def _move_rows(path: Path, shape: tuple[int, ...], rows: NDArray[np.int64], to: Path) -> None:
    """Move these rows, which are sorted, to a file of their own, so that both parts can be memory-mapped."""
    values = np.memmap(path, np.uint8, "r", shape=shape)
    with to.open("wb") as file:
        for _, part in _pieces(values, rows):
            file.write(values[part].data)
    del values
    _keep_rows(path, shape, np.delete(np.arange(shape[0]), rows))


def _pieces(values: NDArray[np.uint8], rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Rows that together fit well into memory, with the number of those before them."""
    count = max(1, 2**24 // values[:1].nbytes)
    for start in range(0, len(rows), count):
        yield start, rows[start : start + count]


def _labels(classes: list[str], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64] | None, tuple[str, ...], list[str]]:
    """Labels and class names of the files in these rows of the listing, and the classes that have no file there."""
    if not any(classes):
        return None, (), []
    names = sorted({classes[row] for row in rows})
    index = {name: label for label, name in enumerate(names)}
    labels = np.fromiter((index[classes[row]] for row in rows), np.int64, len(rows))
    return labels, tuple(names), sorted(set(classes) - set(names))


def _notes(listing: Listing, outcomes: Sequence[Outcome], dropped: list[str], channels: int) -> list[tuple[str, str]]:
    found = [outcome for outcome in outcomes if isinstance(outcome, Decoded)]
    notes = [
        ("files", f"{len(outcomes):,} with an image's extension"),
        ("original sizes (height x width)", _sizes(outcomes)),
        ("original modes", commonest(one.mode for one in found)),
    ]
    if listing.ignored:
        notes.append(("ignored, no image's extension", extensions(listing.ignored)))
    if dropped:
        notes.append(("classes without a readable image, dropped", ", ".join(dropped)))
    if channels < 4:
        notes += transparency(sum(one.transparent for one in found), len(found))
    return notes


def _sizes(outcomes: Iterable[Outcome]) -> str:
    return commonest(f"{one.height}x{one.width}" for one in outcomes if isinstance(one, Decoded))


def extensions(ignored: dict[str, int]) -> str:
    """The extensions of files that are no images, the commonest first, with their counts."""
    return commonest({suffix or "no extension": count for suffix, count in ignored.items()})


def commonest(items: Iterable[str] | dict[str, int]) -> str:
    """The five commonest of ``items``, with their counts."""
    counts = Counter(items)
    text = ", ".join(f"{item} ({count:,})" for item, count in counts.most_common(5))
    return f"{text} and {len(counts) - 5:,} more" if len(counts) > 5 else text


def _check_unreadable(store: Store, files: int, config: DataConfig) -> None:
    share = len(store.skipped) / files
    if share > config.max_unreadable:
        some = "; ".join(f"{item.path}: {item.reason}" for item in store.skipped[:3])
        raise DataError(
            f"{len(store.skipped):,} of {files:,} images in {store.name} cannot be read",
            expected=f"at most {config.max_unreadable:.2%}",
            got=f"{share:.2%}, such as {some}",
            remedy=f"repair or remove them, or --set data.max_unreadable={min(1.0, np.ceil(share * 100) / 100):g}",
        )
