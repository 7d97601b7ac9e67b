"""What ``saddle data inspect`` finds, whether or not a training could use the data as they are."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data import Inspection, from_object, inspect_data, open_data
from saddle.data.formats import decoding
from saddle.errors import DataError

CHANCE = np.random.default_rng(0)


def noise(height: int, width: int, channels: int = 3) -> Image.Image:
    return Image.fromarray(CHANCE.integers(0, 256, (height, width, channels), np.uint8).squeeze())


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def inspected(source: object, **settings: Any) -> Inspection:
    return inspect_data(DataConfig.model_validate({"source": str(source), **settings}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine pictures of several sizes and modes in two classes: two of one content, one transparent, one broken."""
    root = tmp_path / "pets"
    for number in range(4):
        save(noise(40, 60), root / "cat" / f"{number}.png")
    save(noise(100, 90, 1), root / "cat" / "grey.png")
    save(noise(20, 30), root / "dog" / "small.jpg")
    hole = noise(40, 60).convert("RGBA")
    save(hole, root / "dog" / "opaque.png")
    hole.putpixel((3, 3), (0, 0, 0, 7))
    save(hole, root / "dog" / "hole.png")
    shutil.copy(root / "cat" / "1.png", root / "dog" / "copy.png")
    (root / "dog" / "broken.png").write_bytes(b"no image")
    (root / "read me").write_text("")
    return root


@pytest.fixture(params=["folder", "zip", "processes"])
def pets(folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as a folder, as a zip, and as a folder for several processes."""
    if request.param == "processes":
        monkeypatch.setattr(decoding, "IN_PROCESS", 0)
        monkeypatch.setattr(decoding, "CHUNK", 4)
    if request.param == "zip":
        path = folder.with_suffix(".zip")
        with zipfile.ZipFile(path, "w") as archive:
            for file in filter(Path.is_file, folder.rglob("*")):
                archive.write(file, file.relative_to(folder))
        return path
    return folder


def test_mixed_images_are_described_and_nothing_is_cached(pets: Path, cache: Path):
    found = inspected(pets)
    facts = dict(found.facts)
    assert facts["images"] == "9"
    assert facts["sizes (height x width)"].startswith("40x60 (7), ")
    assert facts["sizes (height x width)"].endswith("smallest 20x30, largest 100x90")
    assert facts["modes"] == "RGB (6), RGBA (2), L (1)"
    assert facts["transparent"] == "1 of 9 images"
    assert facts["duplicates"] == "1 file has the same content as another, such as dog/copy.png and cat/1.png"
    assert facts["skipped"].startswith("1 of 10 files")
    assert facts["ignored, no image's extension"] == "no extension (1)"
    assert facts["classes"] == "2"
    assert found.class_counts == (("cat", 5), ("dog", 4))
    assert [(item.path, item.reason) for item in found.skipped] == [
        ("dog/broken.png", "not an image of a known format")
    ]
    assert list(cache.iterdir()) == []


def test_what_a_training_needs_is_enough_for_a_training(folder: Path):
    found = inspected(folder)
    needs = dict(found.needs)
    assert needs["size"].startswith("--set data.size=32, since the images differ in size")
    assert "2 classes" in needs["labels"]
    assert "shown on white; --set data.channels=4" in needs["transparency"]
    assert "--set data.max_unreadable=0.1" in needs["skipped files"]
    words = needs["for example"].split()
    assert words[:5] == ["saddle", "train", "images", "--data", str(folder)]
    settings = dict(word.removeprefix("data.").split("=") for word in words[5:] if word != "--set")
    store = open_data(DataConfig.model_validate({"source": str(folder), **settings}))
    assert store.shape == found.preview.shape == (3, 32, 32)
    assert len(store) == len(found.preview) == 9
    np.testing.assert_array_equal(store.values[[0, 5]], found.preview.values[[0, 5]])
    assert store.labels is not None
    assert found.preview.labels is not None
    assert store.labels.tolist() == found.preview.labels.tolist()


@pytest.mark.parametrize(
    ("sizes", "size"),
    [
        ([(28, 28)], "28x28, as they are"),
        ([(20, 36)], "20x36, as they are"),
        ([(200, 200)], "--set data.size=64; without it they stay 200x200"),
        ([(6, 6)], "--set data.size=8; without it they stay 6x6"),
        ([(60, 80), (70, 60)], "--set data.size=64, since"),
        ([(40, 80), (50, 60)], "--set data.size=32, since"),
        ([(9, 12), (12, 9)], "--set data.size=8, since"),
        ([(300, 400), (500, 300)], "--set data.size=64, since"),
    ],
)
def test_a_size_is_chosen_from_what_is_there(tmp_path: Path, sizes: list[tuple[int, int]], size: str):
    for number, (height, width) in enumerate(sizes):
        save(noise(height, width), tmp_path / "x" / f"{number}.png")
    assert dict(inspected(tmp_path / "x").needs)["size"].startswith(size)


def test_settings_that_were_given_are_kept(folder: Path):
    found = inspected(folder, size=(16, 24), channels=4, fit="pad", held_out=0)
    assert found.preview.shape == (4, 16, 24)
    needs = dict(found.needs)
    assert needs["size"] == "16x24, as you set it"
    assert needs["transparency"] == "kept"
    for words in ("'data.size=[16,24]'", "data.fit=pad", "data.channels=4", "data.held_out=0"):
        assert f"--set {words}" in needs["for example"]


def test_pairs_are_shown_the_recipe_that_learns_them(tmp_path: Path):
    save(noise(8, 8), tmp_path / "x" / "0.png")
    example = dict(inspected(tmp_path / "x", pairs="grey").needs)["for example"]
    assert "saddle train pix2pix" in example
    assert "--set data.pairs=grey" in example


def test_held_out_images_are_counted(tmp_path: Path):
    for number in range(251):
        save(Image.new("L", (4, 4), number), tmp_path / "x" / f"{number}.png")
    assert dict(inspected(tmp_path / "x").facts)["held out"] == "50 of 251 in a training (data.held_out=0.05)"
    assert "data.held_out=0.05" in dict(inspected(tmp_path / "x", held_out=0).facts)["held out"]
    assert len(inspected(tmp_path / "x").preview) == 64
    (tmp_path / "x" / "train").mkdir()
    for split, count in (("train", 2), ("test", 3)):
        for number in range(count):
            save(noise(4, 4), tmp_path / "split" / split / f"{number}.png")
    assert dict(inspected(tmp_path / "split").facts)["held out"] == "the test split, 3 images"
    assert dict(inspected(tmp_path / "split", split="test").facts)["images"] == "3"
    with pytest.raises(DataError, match="no test split"):
        inspected(tmp_path / "x", split="test")


def test_images_none_of_which_can_be_read(tmp_path: Path):
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the 1 images") as caught:
        inspected(tmp_path)
    assert "x.png: not an image of a known format" in str(caught.value)


def test_arrays_are_described_whole(tmp_path: Path):
    images = CHANCE.integers(0, 256, (300, 5, 6, 4), np.uint8)
    images[7] = images[3]
    images[:, :, :, 3] = 255
    images[:10, 0, 0, 3] = 0
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(300) % 3)
    found = inspected(tmp_path / "x.npz")
    facts = dict(found.facts)
    assert facts["images"] == "300"
    assert facts["duplicates"] == "1 image has the same content as another"
    assert facts["transparent"].startswith("10 of 300 images are transparent: shown on white")
    assert facts["held out"] == "50 of 300 in a training (data.held_out=0.05)"
    assert found.class_counts == (("0", 100), ("1", 100), ("2", 100))
    needs = dict(found.needs)
    assert needs["size"] == "5x6, as they are"
    assert "3 classes" in needs["labels"]
    kept = dict(inspected(tmp_path / "x.npz", channels=4).facts)
    assert kept["transparent"] == "10 of 300 images"


def test_points_are_described(tmp_path: Path):
    points = np.arange(600.0).reshape(300, 2)
    points[:5] = points[20]
    np.save(tmp_path / "x.npy", points)
    found = inspected(tmp_path / "x.npy")
    facts = dict(found.facts)
    assert facts["duplicates"] == "5 points have the same content as another"
    assert facts["held out"].startswith("50 of 300")
    assert dict(found.needs)["labels"].startswith("there are none")
    assert "transparent" not in facts


def test_the_last_rows_of_a_large_file_are_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("saddle.data.held_out.COPIED", 100)
    np.save(tmp_path / "x.npy", np.zeros((300, 2), np.float32))
    assert dict(inspected(tmp_path / "x.npy").facts)["held out"].endswith(", the last ones")


# --- transparency ---------------------------------------------------------------------------------------------------


def test_transparency_that_is_lost_is_told(folder: Path):
    def told(**settings: int) -> list[str]:
        store = open_data(DataConfig(source=str(folder), size=8, max_unreadable=1, **settings))
        return [notice for notice in store.notices() if "transparent" in notice]

    lost = "1 of 9 images are transparent: shown on white; --set data.channels=4 keeps the transparency"
    assert told() == [lost]
    assert told() == [lost]  # from the cache
    assert told(channels=4) == []
    (folder / "dog" / "hole.png").unlink()
    assert told() == []


def test_transparency_of_data_in_memory():
    hole = Image.new("RGBA", (4, 4), (9, 9, 9, 0))
    for data in ([hole, Image.new("RGB", (4, 4))], np.stack([np.asarray(hole), np.full((4, 4, 4), 255, np.uint8)])):
        (told,) = from_object(data, config=DataConfig()).notices()
        assert told.startswith("1 of 2 images are transparent")
        assert from_object(data, config=DataConfig(channels=4)).notices() == []
