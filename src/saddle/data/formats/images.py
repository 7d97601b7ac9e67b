"""Folders and zips of images: decoded once into a memory-mapped cache, opened from there ever after."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saddle.base.progress import Progress
from saddle.config.schema import DataConfig
from saddle.data.cache import cache_folder, unusable_cache
from saddle.data.formats.decoding import Decoded, Outcome, Plan, decode_all, first_readable
from saddle.data.formats.listing import Listing, list_images
from saddle.data.formats.pixels import wanted_size
from saddle.data.store import Skipped, Store, fingerprint_of
from saddle.errors import DataError

FORMAT = 1  # of the cache; a change makes all entries anew
STALE = 24 * 3600.0  # seconds after which an unfinished entry is rubbish of a killed process


def open_images(path: Path, config: DataConfig, progress: Progress) -> Store:
    """Images of a folder or zip as uint8 (N, C, H, W), memory-mapped read-only, in the order of folders and names.

    With ``config.channels`` None, C is 1 if every image is grey, else 3. Alpha is composited on white unless C is 4.

    Raises:
        DataError: no images, mixed folders, sizes that differ without ``config.size``, or too many unreadable files.
    """
    listing = list_images(path, config.split)
    # Checksums tell two zips apart; two folders may agree in names, sizes and times and differ in content.
    root = None if path.is_file() else os.fspath(path.resolve())
    options = (FORMAT, root, listing.key, wanted_size(config), config.fit, config.channels)
    entry = cache_folder() / "images" / hashlib.sha256(repr(options).encode()).hexdigest()[:32]
    store = _load(entry, path)
    if store is None:
        try:
            _make(entry, listing, config, progress)
        except OSError as error:
            raise unusable_cache(error) from error
        store = _load(entry, path)
        if store is None:
            raise DataError(f"the cache entry {entry} vanished while it was made", remedy="try again")
    _check_unreadable(store, len(listing), config)
    return store


def open_image_folder(path: Path, config: DataConfig, progress: Progress) -> Store:
    """As ``open_images``, where ``train.zip`` and ``test.zip`` in a folder are its splits."""
    archives = {split: path / f"{split}.zip" for split in ("train", "test")}
    if all(archive.is_file() for archive in archives.values()):
        # Inside an archive of one split, all is that split.
        return open_images(archives[config.split], config.model_copy(update={"split": "train"}), progress)
    return open_images(path, config, progress)


def _load(entry: Path, path: Path) -> Store | None:
    try:
        facts = json.loads((entry / "entry.json").read_bytes())
        labels = np.load(entry / "labels.npy", allow_pickle=False) if facts["class_names"] else None
        # Read-only and shared: pages belong to the file, so memory stays free for training.
        values = np.memmap(entry / "values.bin", np.uint8, "r", shape=tuple(facts["shape"]))
    except (OSError, ValueError, KeyError):
        return None
    return Store(
        name=path.resolve().name,
        values=values,
        labels=labels,
        class_names=tuple(facts["class_names"]),
        fingerprint=facts["fingerprint"],
        skipped=tuple(Skipped(**item) for item in facts["skipped"]),
        notes=tuple((name, value) for name, value in facts["notes"]),
    )


def _make(entry: Path, listing: Listing, config: DataConfig, progress: Progress) -> None:
    """Decode into a folder of its own and rename it, so that an entry is whole or not there."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    for old in entry.parent.glob("*.partial"):
        if time.time() - old.stat().st_mtime > STALE:
            shutil.rmtree(old, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(dir=entry.parent, suffix=".partial"))
    try:
        _decode(temporary, listing, config, progress)
        try:
            temporary.rename(entry)
        except OSError:
            # Another process was faster, or what is there is damaged.
            if _load(entry, listing.root) is None:
                shutil.rmtree(entry, ignore_errors=True)
                temporary.rename(entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _decode(folder: Path, listing: Listing, config: DataConfig, progress: Progress) -> None:
    names = listing.names
    first = first_readable(listing.root, names)
    if first is None:
        raise DataError(
            f"none of the {len(names):,} images in {listing.root} can be read",
            remedy="see what they are: saddle data inspect",
        )
    height, width = wanted_size(config) or (first.height, first.width)
    # One grey image promises nothing about the others: a colour image among them starts this over.
    channels = config.channels or (1 if first.grey else 3)
    path = folder / "values.bin"
    outcomes: list[Outcome] = []
    while True:
        plan = Plan(
            root=os.fspath(listing.root.resolve()),
            values=os.fspath(path),
            shape=(len(names), channels, height, width),
            fit=config.fit,
            resize=config.size is not None,
        )
        _reserve(path, math.prod(plan.shape))
        if _decode_into(plan, listing.root, names, config.channels is None, outcomes, progress):
            break
        channels = 3
        outcomes.clear()
    kept = [row for row, outcome in enumerate(outcomes) if isinstance(outcome, Decoded)]
    values = _compact(path, plan, np.asarray(kept))
    skipped = [Skipped(name, found) for name, found in zip(names, outcomes, strict=True) if isinstance(found, str)]
    labels, class_names, dropped = _labels(listing, kept)
    if labels is not None:
        np.save(folder / "labels.npy", labels, allow_pickle=False)
    facts = {
        "shape": values.shape,
        "class_names": class_names,
        "fingerprint": fingerprint_of(values, labels, class_names),
        "skipped": [asdict(item) for item in skipped],
        "notes": _notes(listing, outcomes, dropped),
    }
    (folder / "entry.json").write_text(json.dumps(facts), encoding="utf-8")


def _decode_into(
    plan: Plan, root: Path, names: list[str], choose_channels: bool, outcomes: list[Outcome], progress: Progress
) -> bool:
    """Fill ``outcomes``; False as soon as a colour image shows that one channel was too few."""
    _, channels, height, width = plan.shape
    progress.start("decoding images", len(names), "images")
    chunks = decode_all(plan, names)
    try:
        for chunk in chunks:
            outcomes += chunk
            progress.advance(len(chunk))
            found = [outcome for outcome in chunk if isinstance(outcome, Decoded)]
            if not plan.resize and any((one.height, one.width) != (height, width) for one in found):
                raise DataError(
                    f"the images in {root} differ in size",
                    expected="one size, or data.size",
                    got=f"among the first {len(outcomes):,} images: {_sizes(outcomes)} (height x width)",
                    remedy="--set data.size=64, or data.size=[HEIGHT,WIDTH]",
                )
            if choose_channels and channels == 1 and not all(one.grey for one in found):
                return False
        return True
    finally:
        chunks.close()
        progress.finish()


def _reserve(path: Path, size: int) -> None:
    """Make a file of ``size`` bytes; room is claimed now, since a full disk under a memory map kills the process."""
    with path.open("wb") as file:
        file.truncate(size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)


def _compact(path: Path, plan: Plan, kept: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Close the gaps that unreadable files left, and cut the file to what remains."""
    shape = (len(kept), *plan.shape[1:])
    values = np.memmap(path, np.uint8, "r+", shape=plan.shape)
    if len(kept) < plan.shape[0]:
        rows = max(1, 2**24 // values[:1].nbytes)
        for start in range(0, len(kept), rows):
            part = kept[start : start + rows]
            values[start : start + len(part)] = values[part]
    values.flush()
    del values
    os.truncate(path, math.prod(shape))
    return np.memmap(path, np.uint8, "r", shape=shape)


def _labels(listing: Listing, kept: list[int]) -> tuple[NDArray[np.int64] | None, tuple[str, ...], list[str]]:
    """Labels and class names of the files kept, and the classes of which none was."""
    classes = listing.classes
    if not any(classes):
        return None, (), []
    names = sorted({classes[row] for row in kept})
    index = {name: label for label, name in enumerate(names)}
    labels = np.fromiter((index[classes[row]] for row in kept), np.int64, len(kept))
    return labels, tuple(names), sorted(set(classes) - set(names))


def _notes(listing: Listing, outcomes: list[Outcome], dropped: list[str]) -> list[tuple[str, str]]:
    found = [outcome for outcome in outcomes if isinstance(outcome, Decoded)]
    notes = [
        ("files", f"{len(outcomes):,} with an image's extension"),
        ("original sizes (height x width)", _sizes(outcomes)),
        ("original modes", _commonest(one.mode for one in found)),
    ]
    if listing.ignored:
        ignored = _commonest({suffix or "no extension": n for suffix, n in listing.ignored.items()})
        notes.append(("ignored, no image's extension", ignored))
    if dropped:
        notes.append(("classes without a readable image, dropped", ", ".join(dropped)))
    return notes


def _sizes(outcomes: Iterable[Outcome]) -> str:
    return _commonest(f"{one.height}x{one.width}" for one in outcomes if isinstance(one, Decoded))


def _commonest(items: Iterable[str] | dict[str, int]) -> str:
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
