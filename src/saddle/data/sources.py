"""From a name or a path to a store."""

from __future__ import annotations

import zipfile
from pathlib import Path

from saddle.base.opening import kind_at, open_regular, shown
from saddle.base.progress import Progress, Silent
from saddle.base.suggest import suggest
from saddle.config.schema import DataConfig
from saddle.data.binarise import binarised
from saddle.data.formats.arrays import ARRAY_SUFFIXES, open_array_file
from saddle.data.formats.columns import TABLE_SUFFIXES, open_table
from saddle.data.formats.idx import holds_idx, open_idx
from saddle.data.formats.images import open_images
from saddle.data.formats.reading import looking
from saddle.data.held_out import take_part
from saddle.data.named import cifar10, stacked
from saddle.data.named.digits import open_digits
from saddle.data.named.mnist import SOURCES, class_names_for, open_named
from saddle.data.named.points import is_points, open_points, signatures
from saddle.data.pairs import paired
from saddle.data.store import Store
from saddle.errors import DataError

NAMES = ("digits", *SOURCES, stacked.NAME, cifar10.NAME)


def open_data(config: DataConfig, *, progress: Progress | None = None) -> Store:
    """The data that ``config.source`` names.

    A name in ``NAMES`` or a distribution such as ``gaussian(4, 1.25)`` comes first. Anything else is a path: a folder
    of idx files, CIFAR-10's binary version, a folder or zip of images, an ``.npy`` or ``.npz`` file, or a ``.csv``
    table of numbers. A folder that holds both ``train`` and ``test`` (folders or zips) is split by them; of data
    without a test split a share is held out, which ``config.split = "test"`` opens (see ``saddle.data.held_out``).

    Raises:
        DataError: ``config.source`` is empty, nothing is there, it cannot be used, or it is not what
            ``config.fingerprint`` promises.
        NoSuchSplit: there is no such split.
        TooLarge: they would not fit in memory, or on the disk of the cache.
    """
    with looking(config.source):
        store = _open(config, progress or Silent())
    if store.kind == "images" and config.columns is not None:
        raise DataError(
            f"{store.name} holds images, which have no columns", got=f"data.columns = {config.columns}",
            remedy="leave data.columns out",
        )  # fmt: skip
    store = paired(binarised(store, config), config)
    check_fingerprint(store, config)
    return take_first(store, config)


def take_first(store: Store, config: DataConfig) -> Store:
    """The first ``config.first`` samples, or all."""
    if config.first is None:
        return store
    if store.draw is not None or config.first > len(store):
        held = "samples that are drawn fresh" if store.draw is not None else f"{len(store):,} samples"
        raise DataError(
            f"{store.name} has fewer than data.first = {config.first:,} samples", expected="no more than there are",
            got=held, remedy="--set data.first=N with a smaller N",
        )  # fmt: skip
    return store.taking(slice(config.first))


def check_fingerprint(store: Store, config: DataConfig) -> None:
    """Refuse data that are not the ones a config was written for."""
    if config.fingerprint is not None and config.fingerprint != store.fingerprint:
        raise DataError(
            f"{store.name} has changed",
            expected=f"fingerprint {config.fingerprint}",
            got=f"fingerprint {store.fingerprint}",
            remedy="restore the data, or start a new run without data.fingerprint",
        )


def images_at(source: str) -> Path | None:
    """The folder or zip of images that ``source`` means; None where it means other data, or nothing.

    Raises:
        DataError: what is there is neither a file nor a folder, or its name is none.
        OSError: the file system refuses to look.
    """
    if not source or source in NAMES or is_points(source):
        return None
    path = _path(source)
    kind = kind_at(path)
    if kind is None or cifar10.find_binary(path):
        return None
    if kind == "folder":
        return None if holds_idx(path) else path
    if path.suffix.lower() in (*ARRAY_SUFFIXES, *TABLE_SUFFIXES):
        return None
    if path.suffix.lower() == ".zip":
        return path
    with open_regular(path) as file:
        return path if zipfile.is_zipfile(file) else None


def _path(source: str) -> Path:
    try:
        source.encode()
        return Path(source).expanduser()
    except UnicodeEncodeError:
        raise DataError(
            f"the path {shown(source)} is not UTF-8", expected="a name that a config file can hold", remedy="rename it"
        ) from None
    except RuntimeError as error:  # there is no such user
        raise _not_found(source) from error


def _open(config: DataConfig, progress: Progress) -> Store:
    if not config.source:
        raise DataError(
            "this recipe is for your own data, and none were given",
            expected="a folder or zip of images, an .npy or .npz file, a .csv table, or a data set's name",
            remedy="--data FOLDER_OR_ZIP, as in: saddle train images --data FOLDER_OR_ZIP",
        )
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
    path = _path(config.source)
    kind = kind_at(path)
    if kind is None:
        raise _not_found(config.source)
    if binary := cifar10.find_binary(path):
        return cifar10.open_binary(binary, config)
    if root := images_at(config.source):
        return open_images(root, config, progress)
    if kind == "folder":
        return open_idx(shown(path.resolve().name), path, class_names_for(path), config)
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return take_part(open_array_file(path, config), config)
    if path.suffix.lower() in TABLE_SUFFIXES:
        return take_part(open_table(path, config), config)
    raise DataError(
        f"{path} is not data that can be read",
        expected="a folder of images or idx files, a .zip of images, an .npy or .npz file, or a .csv table",
    )


def _not_found(source: str) -> DataError:
    points = signatures()
    return DataError(
        f"there is no data set or path called {source}",
        expected=f"a path, one of {', '.join(NAMES)}, or points: {', '.join(points.values())}",
        remedy=suggest(source.partition("(")[0], [*NAMES, *points]) or "check the path",
    )
