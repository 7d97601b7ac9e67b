from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from saddle.config.schema import DataConfig
from saddle.data import open_data
from saddle.errors import DataError

# The environment as it was before the fixture of this folder hid it.
REAL = os.environ.get("SADDLE_DATA")


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(6 * 5 * 4, dtype=np.uint8).reshape(6, 5, 4)
LABELS = np.array([3, 1, 4, 1, 5, 9], np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES)))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx(LABELS))
    return tmp_path


def opened(folder: Path, **settings: object) -> object:
    return open_data(DataConfig.model_validate({"source": str(folder), **settings}))


def test_folder_of_idx_files_gzipped_or_not(folder: Path) -> None:
    store = open_data(DataConfig(source=str(folder)))
    np.testing.assert_array_equal(store.values, IMAGES[:, None])
    np.testing.assert_array_equal(store.labels, LABELS)
    assert store.class_names == tuple("0123456789")


def test_labels_may_be_missing(folder: Path) -> None:
    (folder / "train-labels.idx1-ubyte").unlink()
    store = open_data(DataConfig(source=str(folder)))
    assert store.labels is None
    assert store.class_names == ()


def test_resized(folder: Path) -> None:
    assert open_data(DataConfig(source=str(folder), size=8)).values.shape == (6, 1, 8, 8)


def test_missing_split(folder: Path) -> None:
    with pytest.raises(DataError, match="no test images"):
        opened(folder, split="test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"\x00\x00\x08\x01" + idx(IMAGES)[4:], "not an idx file"),
        (b"\x00\x00\x0d\x03" + idx(IMAGES)[4:], "not an idx file"),
        (b"<html>not found</html>", "not an idx file"),
        (idx(IMAGES)[:9], "not have the length"),
        (idx(IMAGES)[:-1], "not have the length"),
        (idx(IMAGES) + b"\x00", "not have the length"),
        (idx(IMAGES[:0]), "holds no data"),
        (gzip.compress(idx(IMAGES))[:-12], "incomplete"),
        (gzip.compress(idx(IMAGES))[:30] + b"\xff" * 10 + gzip.compress(idx(IMAGES))[40:], "not have the length"),
        (gzip.compress(idx(IMAGES)) + b"tail", "damaged"),
        (struct.pack(">BBBBIII", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "not have the length"),
    ],
)
def test_broken_file_is_named(folder: Path, content: bytes, message: str) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        opened(folder)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(LABELS[:5], "does not belong"), (np.full(6, 10, np.uint8), "name no class")],
)
def test_labels_that_do_not_match(folder: Path, labels: np.ndarray, message: str) -> None:
    (folder / "train-labels.idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(DataError, match=message):
        opened(folder)


def test_environment_and_class_names_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rename(folder.parent / "fashion-mnist")
    monkeypatch.setenv("SADDLE_DATA", str(folder.parent))
    store = open_data(DataConfig(source="fashion-mnist"))
    assert store.name == "fashion-mnist"
    assert store.class_names[9] == "Ankle boot"
    assert open_data(DataConfig(source=str(folder.parent / "fashion-mnist"))).class_names == store.class_names


@pytest.mark.skipif(REAL is None, reason="SADDLE_DATA is not set to a folder with mnist/")
def test_real_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SADDLE_DATA", str(REAL))
    train, test = (open_data(DataConfig(source="mnist", split=split)) for split in ("train", "test"))
    assert train.values.shape == (60_000, 1, 28, 28)
    assert test.values.shape == (10_000, 1, 28, 28)
    # Mean and deviation of the training pixels, as everybody's normalisation constants have them.
    assert train.values.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert train.values.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    assert train.labels is not None
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


@pytest.mark.skipif(REAL is None, reason="SADDLE_DATA is not set to a folder with mnist/")
def test_real_mnist_copied_into_the_cache_passes_its_checksums(cache: Path) -> None:
    (cache / "mnist").mkdir()
    for path in (Path(str(REAL)) / "mnist").iterdir():
        (cache / "mnist" / path.name).write_bytes(path.read_bytes())
    assert len(open_data(DataConfig(source="mnist", split="test"))) == 10_000
