"""From a name or a path to a store."""

from __future__ import annotations

import difflib
import zipfile
from pathlib import Path

from saddle.base.progress import Progress, Silent
from saddle.config.schema import DataConfig
from saddle.data.formats.arrays import ARRAY_SUFFIXES, open_array_file
from saddle.data.formats.columns import TABLE_SUFFIXES, open_table
from saddle.data.formats.idx import holds_idx, open_idx
from saddle.data.formats.images import open_image_folder, open_images
from saddle.data.named import cifar10, stacked
from saddle.data.named.digits import open_digits
from saddle.data.named.mnist import SOURCES, class_names_for, open_named
from saddle.data.named.points import is_points, open_points, signatures
from saddle.data.store import Store
from saddle.errors import DataError

NAMES = ("digits", *SOURCES, stacked.NAME, cifar10.NAME)


def open_data(config: DataConfig, *, progress: Progress | None = None) -> Store:
    """The data that ``config.source`` names.

    A name of ``NAMES`` or a distribution such as ``gaussian(4, 1.25)`` comes first; anything else is a path: a folder
    of idx files, CIFAR-10's binary version, a folder or zip of images, an ``.npy`` or ``.npz`` file, or a ``.csv``
    table of numbers. A folder that holds both ``train`` and ``test`` (folders or zips) is split by them.

    Raises:
        DataError: nothing is there, it cannot be used, or it is not what ``config.fingerprint`` promises.
    """
    store = _open(config, progress or Silent())
    if store.kind == "images" and config.columns is not None:
        raise DataError(
            f"{store.name} holds images, which have no columns", got=f"data.columns = {config.columns}",
            remedy="leave data.columns out",
        )  # fmt: skip
    check_fingerprint(store, config)
    return take_first(store, config)


def take_first(store: Store, config: DataConfig) -> Store:
    """The first ``config.first`` samples, or all."""
    if config.first is None:
        return store
    if store.draw is not None or config.first > len(store):
        held = "samples drawn without end" if store.draw is not None else f"{len(store):,} samples"
        raise DataError(
            f"data.first = {config.first:,} cannot be taken from {store.name}", expected="at most what there is",
            got=held, remedy="--set data.first=N with a smaller N",
        )  # fmt: skip
    return store.taking(slice(config.first))


def check_fingerprint(store: Store, config: DataConfig) -> None:
    """Refuse other data than those a config was written for."""
    if config.fingerprint is not None and config.fingerprint != store.fingerprint:
        raise DataError(
            f"{store.name} has changed",
            expected=f"fingerprint {config.fingerprint}",
            got=f"fingerprint {store.fingerprint}",
            remedy="restore the data, or start a new run without data.fingerprint",
        )


def _open(config: DataConfig, progress: Progress) -> Store:
    if config.source == "digits":
        return open_digits(config)
    if config.source in SOURCES:
        return open_named(config.source, config, progress)
    if config.source == cifar10.NAME:
        return cifar10.open_cifar10(config, progress)
    if config.source == stacked.NAME:
        return stacked.open_stacked(config, progress)
    if is_points(config.source):
        return open_points(config)
    path = Path(config.source).expanduser()
    if not path.exists():
        raise _not_found(config.source)
    if binary := cifar10.find_binary(path):
        return cifar10.open_binary(binary, config)
    if path.is_dir():
        if holds_idx(path):
            return open_idx(path.resolve().name, path, class_names_for(path), config)
        return open_image_folder(path, config, progress)
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return open_array_file(path, config)
    if path.suffix.lower() in TABLE_SUFFIXES:
        return open_table(path, config)
    if zipfile.is_zipfile(path) or path.suffix.lower() == ".zip":
        return open_images(path, config, progress)
    raise DataError(
        f"{path} is no data that can be read",
        expected="a folder of images or idx files, a .zip of images, an .npy or .npz file, or a .csv table",
    )


def _not_found(source: str) -> DataError:
    points = signatures()
    near = difflib.get_close_matches(source.lower().partition("(")[0], [*NAMES, *points], n=2, cutoff=0.5)
    return DataError(
        f"there is no data set or path called {source}",
        expected=f"a path, one of {', '.join(NAMES)}, or points: {', '.join(points.values())}",
        remedy=f"did you mean {' or '.join(near)}?" if near else "check the path",
    )
