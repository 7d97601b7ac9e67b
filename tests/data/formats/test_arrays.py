from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from saddle.config.schema import DataConfig
from saddle.data import Store, open_data
from saddle.errors import DataError

CHANCE = np.random.default_rng(0)
GREY = CHANCE.integers(0, 256, (5, 6, 7), np.uint8)
COLOUR = CHANCE.integers(0, 256, (5, 3, 6, 7), np.uint8)


def opened(path: Path, array: object, **settings: object) -> Store:
    path = path / "x.npy" if path.suffix == "" else path
    np.save(path, array)  # type: ignore[arg-type]
    return open_data(DataConfig.model_validate({"source": str(path), **settings}))


def opened_zip(path: Path, **arrays: object) -> Store:
    np.savez(path / "x.npz", **arrays)  # type: ignore[arg-type]
    return open_data(DataConfig(source=str(path / "x.npz")))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (COLOUR, COLOUR),
        (COLOUR.transpose(0, 2, 3, 1), COLOUR),
        (COLOUR.astype(np.float64) / 255, COLOUR),
        ((COLOUR.astype(np.float32) / 255).astype(np.float16), None),
    ],
)
def test_image_shapes(tmp_path: Path, array: np.ndarray, expected: np.ndarray | None) -> None:
    store = opened(tmp_path, array)
    assert store.kind == "images"
    assert store.values.dtype == np.uint8
    if expected is not None:
        np.testing.assert_array_equal(store.values, expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32, np.uint8, ">f4"])
@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 3)])
def test_points(tmp_path: Path, dtype: object, shape: tuple[int, ...]) -> None:
    array = CHANCE.integers(0, 100, shape).astype(dtype)  # type: ignore[call-overload]
    store = opened(tmp_path, array)
    assert store.kind == "points"
    assert store.values.dtype == np.float32
    np.testing.assert_array_equal(store.values, array.reshape(9, -1).astype(np.float32))


def test_npy_stays_on_disk_when_nothing_is_to_convert(tmp_path: Path) -> None:
    for array in (GREY, COLOUR, np.zeros((4, 2), np.float32)):
        assert isinstance(opened(tmp_path, array).values, np.memmap)


def test_size_fit_and_channels_apply(tmp_path: Path) -> None:
    assert opened(tmp_path, COLOUR, size=(4, 5)).shape == (3, 4, 5)
    assert opened(tmp_path, COLOUR, channels=1).shape == (1, 6, 7)
    assert opened(tmp_path, np.repeat(COLOUR, 2, axis=1)[:, :4]).shape == (3, 6, 7)  # alpha is composited
    padded = opened(tmp_path, np.full((1, 8, 16), 255, np.uint8), size=8, fit="pad")
    assert padded.values[0, 0, :, 0].tolist() == [0, 0, 255, 255, 255, 255, 0, 0]


@pytest.mark.parametrize("key", ["images", "x", "data", "anything"])
def test_npz_with_labels(tmp_path: Path, key: str) -> None:
    store = opened_zip(tmp_path, **{key: COLOUR, "labels": np.array([7, 3, 7, 3, 5])})
    assert store.class_names == ("3", "5", "7")
    assert store.labels is not None
    assert store.labels.tolist() == [2, 0, 2, 0, 1]


def test_npz_with_named_labels(tmp_path: Path) -> None:
    store = opened_zip(tmp_path, points=np.zeros((3, 2)), labels=np.array(["b", "a", "b"]))
    assert store.class_names == ("a", "b")
    assert store.labels is not None
    assert store.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("shape", [(100, 2), (4, 1, 3, 3), (4, 3, 3)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(tmp_path: Path, shape: tuple[int, ...], bad: float) -> None:
    array = np.zeros(shape, np.float32)
    array[2:4, -1] = bad
    with pytest.raises(DataError) as caught:
        opened(tmp_path, array)
    first = [2, shape[1] - 1] + [0] * (len(shape) - 2)
    assert f"{array[2:4, -1].size} NaN or infinite, the first at index {first}" in str(caught.value)


def test_count_of_bad_values_over_several_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saddle.data.formats.arrays.PIECE", 4)
    array = np.zeros((50, 2))
    array[[11, 30], 1] = np.nan
    with pytest.raises(DataError, match=r"2 NaN or infinite, the first at index \[11, 1\]"):
        opened(tmp_path, array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 3)), "holds no data"),
        (np.float32(3.0), "one number"),
        (np.zeros((4, 5, 6, 7), np.uint8), "neither a shape of images nor one of points"),
        (np.zeros((2, 3, 4, 5, 6), np.uint8), "neither a shape of images nor one of points"),
        (np.full((4, 3, 3), 200.0), "outside \\[0, 1\\]"),
        (np.full((4, 3, 3), -0.1), "outside \\[0, 1\\]"),
        (np.zeros((4, 3, 3), np.int64), "a type that cannot be used"),
        (np.array(["a", "b"]), "holds no numbers"),
        (np.zeros(3, np.complex64), "holds no numbers"),
        (np.array([1e300, 1.0]), "not finite"),
    ],
)
def test_unusable_arrays(tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(tmp_path, array)


def test_size_makes_no_sense_for_points(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="points"):
        opened(tmp_path, np.zeros((4, 2)), size=8)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(4, int), "do not match"),
        (np.zeros((5, 1), int), "do not match"),
        (np.zeros(5), "cannot be used"),
        (np.array([0, 1, -1, 0, 0]), "cannot be used"),
    ],
)
def test_unusable_labels(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened_zip(tmp_path, images=GREY, labels=labels)


def test_python_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Python objects"):
        opened(tmp_path, np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        opened_zip(tmp_path, images=np.array([{"a": 1}], dtype=object))


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
def test_broken_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"x\.np[yz]"):
        open_data(DataConfig(source=str(tmp_path / name)))


def test_truncated_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", COLOUR)
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-5])
    with pytest.raises(DataError, match="does not have the length that its header gives"):
        open_data(DataConfig(source=str(tmp_path / "x.npy")))


def test_npz_that_does_not_say_what_is_meant(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not say"):
        opened_zip(tmp_path, a=GREY, b=GREY)
    with pytest.raises(DataError, match="does not say"):
        opened_zip(tmp_path, images=GREY, points=np.zeros(3))


def test_no_test_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no test split"):
        opened(tmp_path, GREY, split="test")
