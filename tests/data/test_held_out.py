"""The part of one's own data that no training sees."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data import Store, from_object, open_data
from saddle.data.held_out import held_out_count, held_out_rows
from saddle.data.splits import open_held_out, open_validation, why_nothing_held_out
from saddle.errors import NoSuchSplit

COUNT = 260


def config(source: object, **settings: Any) -> DataConfig:
    return DataConfig.model_validate({"source": str(source), **settings})


def numbered(store: Store) -> list[int]:
    """The numbers that the images or points of these tests were made from."""
    values = np.asarray(store.values).astype(int)
    if store.kind == "points":
        return values[:, 0].tolist()
    return (values[:, 0, 0, 0] + 2 * values[:, 0, 0, 1]).tolist()


def pixels(number: int) -> np.ndarray:
    low = number % 2
    return np.array([[low, number // 2], [9, 9]], np.uint8)


IMAGES = np.stack([pixels(number) for number in range(COUNT)])


def make_folder(root: Path, count: int = COUNT, parts: int = 2) -> Path:
    for number in range(count):
        path = root / f"class{number * parts // count}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(number)).save(path)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "own")


@pytest.mark.parametrize(
    ("samples", "share", "count"),
    [(249, 0.05, 0), (250, 0.05, 50), (1000, 0.05, 50), (2000, 0.05, 100), (2000, 0, 0), (250, 0.999, 249)],
)
def test_a_share_is_held_out_but_fifty_at_least_and_none_of_few(samples: int, share: float, count: int):
    assert held_out_count(samples, share) == count
    assert len(set(held_out_rows(samples, share).tolist())) == count


def test_which_rows_depends_on_nothing_but_their_number():
    # These numbers are for ever: another choice would call samples held out that older runs were trained on.
    assert held_out_rows(1000, 0.05)[:6].tolist() == [6, 58, 74, 81, 82, 85]
    assert held_out_rows(1001, 0.05)[:6].tolist() != [6, 58, 74, 81, 82, 85]
    fewer, more = held_out_rows(5000, 0.05), held_out_rows(5000, 0.1)
    assert set(fewer.tolist()) <= set(more.tolist())
    # Random all over: about as many of each fifth.
    assert np.bincount(more // 1000).min() > 60


def test_a_class_is_never_held_out_whole():
    rows = held_out_rows(300, 0.3)
    classes = np.zeros(300, np.int64)
    classes[rows[:2]] = 1  # both of this class would be held out
    classes[rows[2]] = 2
    left = held_out_rows(300, 0.3, classes)
    assert left.tolist() == rows[3:].tolist()


def test_a_folder_is_opened_without_its_held_out_images_which_are_its_test_split(folder: Path):
    train, test = open_data(config(folder)), open_data(config(folder, split="test"))
    assert (len(train), len(test)) == (COUNT - 50, 50)
    assert sorted(numbered(train) + numbered(test)) == list(range(COUNT))
    assert numbered(test) == held_out_rows(COUNT, 0.05).tolist()
    assert numbered(train) == sorted(numbered(train))
    for store in (train, test):
        assert store.labels is not None
        assert store.labels.tolist() == [number * 2 // COUNT for number in numbered(store)]
    assert set(test.labels.tolist()) == {0, 1}  # pyright: ignore[reportOptionalMemberAccess]


def test_both_parts_are_memory_maps_of_one_entry(folder: Path, cache: Path):
    train = open_data(config(folder))
    assert train.held_out is not None
    open_data(config(folder, split="test"))
    (entry,) = (cache / "images").iterdir()
    for store in (train, train.held_out):
        assert isinstance(store.values, np.memmap)
        assert not store.values.flags.writeable
    assert sum(path.stat().st_size for path in entry.glob("*.bin")) == COUNT * 4  # every image once


def test_the_fingerprint_is_that_of_the_whole(folder: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        for path in folder.rglob("*.png"):
            archive.write(path, path.relative_to(folder))
    whole = open_data(config(folder, held_out=0))
    assert len(whole) == COUNT
    for store in (open_data(config(folder)), open_data(config(folder, split="test"))):
        assert store.fingerprint == whole.fingerprint
    zipped = open_data(config(tmp_path / "own.zip", fingerprint=whole.fingerprint))
    assert numbered(zipped) == numbered(open_data(config(folder)))
    in_memory = from_object(IMAGES, np.repeat(["class0", "class1"], COUNT // 2), config=config("memory"))
    assert in_memory.fingerprint == whole.fingerprint
    assert numbered(in_memory) == numbered(zipped)


def test_the_same_images_are_held_out_at_every_size(folder: Path):
    held = [open_data(config(folder, size=size, channels=channels)) for size, channels in ((2, 1), (4, 3))]
    assert numbered(held[0]) == numbered(open_data(config(folder)))
    assert [len(store) for store in held] == [COUNT - 50] * 2
    np.testing.assert_array_equal(held[0].labels, held[1].labels)  # pyright: ignore[reportArgumentType]


def test_unreadable_images_do_not_change_what_is_held_out(folder: Path):
    """A folder from which they are removed is the same data: a run on it must go on with the same training part."""
    before = open_data(config(folder))
    for name in ("class0/0000.png", "class1/000.png", "class1/zzz.png"):
        (folder / name).write_bytes(b"no image")
    after = open_data(config(folder, max_unreadable=0.1, fingerprint=before.fingerprint))
    assert after.held_out is not None
    assert [len(item.path) > 0 for item in after.skipped] == [True] * 3
    assert numbered(after) == numbered(before)
    assert numbered(after.held_out) == held_out_rows(COUNT, 0.05).tolist()
    np.testing.assert_array_equal(after.labels, before.labels)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "memory", "dataset"])
def test_arrays_and_tables_hold_the_same_rows_out(tmp_path: Path, kind: str):
    points = np.stack([np.arange(COUNT), np.ones(COUNT)], 1)
    labels = np.arange(COUNT) % 3 if kind == "npz" else None
    if kind == "npy":
        np.save(tmp_path / "x.npy", points)
    elif kind == "npz":
        np.savez(tmp_path / "x.npz", points=points, labels=labels)  # pyright: ignore[reportArgumentType]
    elif kind == "csv":
        np.savetxt(tmp_path / "x.csv", points, delimiter=",")

    def opened(**settings: Any) -> Store:
        if kind in ("memory", "dataset"):
            data = torch.from_numpy(points) if kind == "memory" else [*points]
            return from_object(data, config=config("memory", **settings))
        return open_data(config(tmp_path / f"x.{kind}", **settings))

    train = opened()
    assert train.held_out is not None
    assert numbered(train.held_out) == held_out_rows(COUNT, 0.05).tolist()
    assert sorted(numbered(train) + numbered(train.held_out)) == list(range(COUNT))
    np.testing.assert_array_equal(opened(split="test").values, train.held_out.values)
    if labels is not None:
        assert train.labels is not None
        assert train.labels.tolist() == [number % 3 for number in numbered(train)]
    assert len(opened(held_out=0)) == COUNT


def test_a_large_array_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("saddle.data.held_out.COPIED", 100)
    np.save(tmp_path / "x.npy", IMAGES)
    mapped, in_memory = open_data(config(tmp_path / "x.npy")), from_object(IMAGES, config=config("memory"))
    assert isinstance(mapped.values, np.memmap)
    assert np.shares_memory(in_memory.values, IMAGES)
    for train in (mapped, in_memory):
        assert train.held_out is not None
        assert isinstance(train.held_out.values, type(train.values))
        assert numbered(train) == list(range(COUNT - 50))
        assert numbered(train.held_out) == list(range(COUNT - 50, COUNT))
    labelled = from_object(IMAGES, np.arange(COUNT) // 130, config=config("memory"))  # sorted by class, as they may be
    assert labelled.held_out is not None
    assert numbered(labelled.held_out) == held_out_rows(COUNT, 0.05).tolist()


def test_data_with_a_test_split_of_their_own_are_left_as_they_are(tmp_path: Path):
    for split, count in (("train", COUNT), ("test", 7)):
        make_folder(tmp_path / "set" / split, count)
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as archive:
            for path in (tmp_path / "set" / split).rglob("*.png"):
                archive.write(path, path.relative_to(tmp_path))
    (tmp_path / "zips").mkdir()
    for split in ("train", "test"):
        (tmp_path / f"{split}.zip").rename(tmp_path / "zips" / f"{split}.zip")
    for path in (tmp_path / "set", tmp_path / "zips"):
        train = open_data(config(path))
        assert len(train) == COUNT
        assert (train.held_out, train.nothing_held_out) == (None, "")
        test = open_held_out(config(path), train)
        assert test is not None
        assert len(test) == 7
    digits = open_data(DataConfig())
    assert len(digits) == 1500
    assert open_data(DataConfig(source="ring(8)")).held_out is None


def test_a_folder_for_validation_is_no_test_split(tmp_path: Path):
    make_folder(tmp_path / "set" / "train")
    make_folder(tmp_path / "set" / "val", 3)
    train = open_data(config(tmp_path / "set"))
    assert (len(train), train.class_names) == (COUNT - 50, ("class0", "class1"))
    assert train.held_out is not None
    assert len(train.held_out) == 50


def test_what_is_held_out_is_found_again(folder: Path):
    for settings in ({}, {"split": "test"}, {"first": 20}):
        store = open_data(config(folder, **settings))
        other = open_held_out(config(folder, **settings), store)
        assert other is not None
        assert not set(numbered(store)) & set(numbered(other))
    in_memory = from_object(IMAGES, config=config("memory", first=20))
    assert in_memory.held_out is not None
    assert open_held_out(config("memory", first=20), in_memory) is in_memory.held_out
    assert len(in_memory.held_out) == 50


def test_validation_samples_are_neither_trained_on_nor_held_out(folder: Path):
    chosen = config(folder, first=20)
    store = open_data(chosen)
    held_out, validation = open_held_out(chosen, store), open_validation(chosen, store)
    assert held_out is not None
    assert validation is not None
    assert sorted(numbered(store) + numbered(validation) + numbered(held_out)) == list(range(COUNT))


@pytest.mark.parametrize(("count", "share"), [(249, 0.05), (COUNT, 0)])
def test_where_nothing_is_held_out_the_reason_is_told(tmp_path: Path, count: int, share: float):
    told = "data.held_out=0.05" if not share else "fewer than 250"
    folder = make_folder(tmp_path / "own", count)
    np.save(tmp_path / "x.npy", IMAGES[:count])
    for chosen in (config(folder, held_out=share), config(tmp_path / "x.npy", held_out=share)):
        store = open_data(chosen)
        assert len(store) == count
        assert open_held_out(chosen, store) is None
        assert told in why_nothing_held_out(store)
        assert store.notices() == []
        with pytest.raises(NoSuchSplit, match="no test split") as caught:
            open_data(chosen.model_copy(update={"split": "test"}))
        assert told in str(caught.value)
    in_memory = from_object(IMAGES[:count], config=config("memory", held_out=share))
    assert open_held_out(config("memory", held_out=share), in_memory) is None
    assert "drawn fresh" in why_nothing_held_out(open_data(DataConfig(source="ring(8)")))


def test_a_training_is_told_what_is_held_out(folder: Path):
    (told,) = open_data(config(folder)).notices()
    assert told.startswith("50 samples of own are held out")
    assert "--set data.held_out=0" in told
