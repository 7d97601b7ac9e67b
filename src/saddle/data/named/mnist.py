"""MNIST and its relatives by name: found on this machine, or downloaded.

Every file from the cache or a mirror is checked before it is used. The checksums of MNIST are SHA-256 of the
decompressed content, since its mirrors compress it differently. For Fashion-MNIST and KMNIST the published checksums
are MD5 of the gzip file that the authors host. They are enough to notice a damaged download, which is their purpose.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from saddle.base.opening import PIECE
from saddle.base.progress import Progress
from saddle.config.schema import DataConfig
from saddle.data.cache import cache_folder
from saddle.data.download import check_file, download, md5_of_file
from saddle.data.formats.idx import PARTS, find_idx, open_idx, standard_name
from saddle.data.formats.reading import LARGEST_FILE, open_maybe_gzipped, reading
from saddle.data.store import Store
from saddle.errors import DataError

DIGIT_NAMES = tuple(str(digit) for digit in range(10))


def sha256_of_content(path: Path) -> str:
    """SHA-256 of the decompressed content.

    Raises:
        DataError: it cannot be read, or it is far too long.
    """
    digest = hashlib.sha256()
    left = LARGEST_FILE
    with reading(path, "gzip file", remedy="delete it, and it is downloaded again"), open_maybe_gzipped(path) as opened:
        while (piece := opened[0].read(PIECE)) and left > 0:
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


@dataclass(frozen=True)
class Source:
    """Where a data set of idx files is hosted.

    Args:
        mirrors: addresses that are tried in turn. The name of a file is appended.
        class_names: the name of each label.
        sum_of: computes the checksum of a file.
        sums: the right checksums, by file name without ``.gz``.
    """

    mirrors: tuple[str, ...]
    class_names: tuple[str, ...]
    sum_of: Callable[[Path], str]
    sums: dict[str, str]


def _sums(train_images: str, train_labels: str, test_images: str, test_labels: str) -> dict[str, str]:
    return {
        "train-images-idx3-ubyte": train_images,
        "train-labels-idx1-ubyte": train_labels,
        "t10k-images-idx3-ubyte": test_images,
        "t10k-labels-idx1-ubyte": test_labels,
    }


SOURCES: dict[str, Source] = {
    "mnist": Source(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        class_names=DIGIT_NAMES,
        sum_of=sha256_of_content,
        sums=_sums(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    # H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", 2017, https://arxiv.org/abs/1708.07747
    "fashion-mnist": Source(
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        class_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        sum_of=md5_of_file,
        sums=_sums(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    # T. Clanuwat et al., "Deep Learning for Classical Japanese Literature", 2018, https://arxiv.org/abs/1812.01718
    "kmnist": Source(
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        sum_of=md5_of_file,
        sums=_sums(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
}


def class_names_for(folder: Path) -> tuple[str, ...]:
    """Names of the ten classes in a user's folder of idx files, which are known if it is called like a data set."""
    source = SOURCES.get(folder.resolve().name)
    return source.class_names if source else DIGIT_NAMES


def open_named(name: str, config: DataConfig, progress: Progress) -> Store:
    """The data set ``name``: from ``$SADDLE_DATA/name``, or from the cache, downloaded if it is missing.

    Raises:
        DataError: it can be neither found nor downloaded, or a file is damaged.
    """
    source = SOURCES[name]
    if root := os.environ.get("SADDLE_DATA"):
        own = Path(root) / name
        if find_idx(own, config.split, "images"):
            return open_idx(name, own, source.class_names, config)
    cached = cache_folder() / name
    for part in PARTS:
        key = standard_name(config.split, part)
        path = find_idx(cached, config.split, part)
        if path is None:
            file = f"{key}.gz"
            urls = [mirror + file for mirror in source.mirrors]
            if failures := download(urls, cached / file, source.sum_of, source.sums[key], progress):
                raise DataError(
                    f"{name} is not on this machine and {file} could not be downloaded",
                    got="; ".join(failures),
                    remedy=f"one of: --data DIR with a folder that holds the idx files; "
                    f"the files in $SADDLE_DATA/{name}; the files copied into {cached}",
                )
        elif path.suffix == ".gz" or source.sum_of is sha256_of_content:  # MD5 of an unpacked copy is not known
            check_file(path, source.sum_of, source.sums[key])
    return open_idx(name, cached, source.class_names, config)
