"""Pairs in image files: side by side in one picture, or in two folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data import Store, inspect_data, open_data
from saddle.errors import DataError

CHANCE = np.random.default_rng(0)


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    return CHANCE.integers(0, 256, (height, width, channels), np.uint8)


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(path)


def opened(path: Path, **settings: object) -> Store:
    return open_data(DataConfig.model_validate({"source": str(path), "held_out": 0.0, **settings}))


def in_folders(targets: Path, inputs: Path, **settings: object) -> Store:
    return opened(targets, pairs="folders", inputs=str(inputs), **settings)


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, dict[str, tuple[np.ndarray, np.ndarray]]]:
    pairs = {name: (picture(8, 10), picture(8, 10)) for name in "abc"}
    for name, both in pairs.items():
        save(np.concatenate(both, 1), tmp_path / "sides" / f"{name}.png")
    return tmp_path / "sides", pairs


@pytest.mark.parametrize("order", ["left-to-right", "right-to-left"])
def test_halves_of_pictures(order: str, sides: tuple[Path, dict[str, tuple[np.ndarray, np.ndarray]]]):
    folder, pairs = sides
    for _ in range(2):  # decoded, then from the cache
        store = opened(folder, pairs=order)
        for row, both in enumerate(pairs.values()):
            input_, target = both if order == "left-to-right" else both[::-1]
            np.testing.assert_array_equal(store.inputs[row], input_.transpose(2, 0, 1))
            np.testing.assert_array_equal(store.values[row], target.transpose(2, 0, 1))
    assert opened(folder).values.shape == (3, 3, 8, 20)  # the same files without pairs


def test_each_half_is_brought_to_the_size_by_itself(tmp_path: Path):
    """Cropping the whole picture would cut the outer side of either half."""
    left, right = picture(16, 24), picture(16, 24)
    save(np.concatenate([left, right], 1), tmp_path / "sides" / "a.png")
    save(left, tmp_path / "left" / "a.png")
    save(right, tmp_path / "right" / "a.png")
    store = opened(tmp_path / "sides", pairs="left-to-right", size=8)
    np.testing.assert_array_equal(store.inputs, opened(tmp_path / "left", size=8).values)
    np.testing.assert_array_equal(store.values, opened(tmp_path / "right", size=8).values)
    large = in_folders(tmp_path / "right", tmp_path / "left", size=8)
    np.testing.assert_array_equal(large.inputs, store.inputs)
    np.testing.assert_array_equal(large.values, store.values)


def test_a_picture_that_has_no_halves_is_left_out_and_named(tmp_path: Path):
    for name in "abc":
        save(picture(8, 20), tmp_path / f"{name}.png")
    save(picture(8, 21), tmp_path / "odd.png")
    store = opened(tmp_path, pairs="left-to-right", max_unreadable=0.5)
    assert (len(store), len(store.inputs)) == (3, 3)
    assert "21 pixels does not hold two images" in store.skipped[0].reason
    for name in "abc":
        (tmp_path / f"{name}.png").unlink()
    with pytest.raises(DataError, match="none of the 1 images") as caught:
        opened(tmp_path, pairs="left-to-right", max_unreadable=0.5)
    assert "odd.png: a width of 21 pixels does not hold two images" in str(caught.value.got)


def test_folders_are_matched_by_name_whatever_the_suffix_and_the_folder_around(tmp_path: Path):
    pairs = {name: (picture(8, 8), picture(8, 8)) for name in ("x/a", "x/b", "y/a")}
    for name, (input_, target) in reversed(pairs.items()):
        save(input_, tmp_path / "inputs" / "deep" / f"{name}.bmp")
        save(target, tmp_path / "targets" / f"{name}.png")
    store = in_folders(tmp_path / "targets", tmp_path / "inputs")
    for row, (input_, target) in enumerate(pairs.values()):
        np.testing.assert_array_equal(store.inputs[row], input_.transpose(2, 0, 1))
        np.testing.assert_array_equal(store.values[row], target.transpose(2, 0, 1))
    assert store.class_names == ("x", "y")


def test_colour_on_one_side_gives_both_channels(tmp_path: Path):
    for name in "ab":
        save(picture(8, 8, 1), tmp_path / "grey" / f"{name}.png")
        save(picture(8, 8, 3), tmp_path / "colour" / f"{name}.png")
    for targets, inputs in (("grey", "colour"), ("colour", "grey")):
        store = in_folders(tmp_path / targets, tmp_path / inputs)
        assert store.shape == (3, 8, 8)
        assert store.input_channels == 3


def test_held_out_pairs_stay_together_and_a_split_of_their_own_is_used(tmp_path: Path):
    for number in range(250):
        shade = np.full((4, 4), number, np.uint8)
        save(np.concatenate([shade, 255 - shade], 1), tmp_path / "sides" / f"{number:03}.png")
        part = "test" if number < 10 else "train"
        for name, pixels in (("inputs", shade), ("targets", 255 - shade)) if number < 20 else ():
            save(pixels, tmp_path / name / part / f"{number:03}.png")
    store = opened(tmp_path / "sides", pairs="left-to-right", held_out=0.2)
    assert (len(store), len(store.held_out)) == (200, 50)
    for part in (store, store.held_out):
        assert (part.inputs.astype(int) + part.values == 255).all()
    split = in_folders(tmp_path / "targets", tmp_path / "inputs", split="test")
    assert len(split) == 10
    assert (split.inputs.astype(int) + split.values == 255).all()


def message(targets: Path, inputs: Path, **settings: object) -> str:
    with pytest.raises(DataError) as caught:
        in_folders(targets, inputs, **settings)
    return str(caught.value)


def test_pairs_that_do_not_match_are_refused_with_the_first_few_names(tmp_path: Path):
    targets, inputs = tmp_path / "targets", tmp_path / "inputs"
    for number in range(6):
        save(picture(8, 8), targets / f"t{number}.png")
    for name in ("t0", "t1", "extra"):
        save(picture(8, 8), inputs / f"{name}.png")
    text = message(targets, inputs)
    assert "do not match by name" in text
    assert "4 of" in text
    assert "t2, t3, t4, ..." in text
    assert "extra" in text
    assert "there is no folder or zip" in message(targets, tmp_path / "nowhere")


def test_pairs_of_other_sizes_are_refused_unless_they_can_be_resized(tmp_path: Path):
    targets, inputs = tmp_path / "targets", tmp_path / "inputs"
    for number in range(3):
        save(picture(16, 16), targets / f"{number}.png")
        save(picture(8, 8) if number else picture(16, 16), inputs / f"{number}.png")
    text = message(targets, inputs)
    assert "2 of 3 pairs do not match in size" in text
    assert "1.png (8x8 and 16x16)" in text
    assert len(in_folders(targets, inputs, size=8)) == 3
    save(picture(8, 16), inputs / "2.png")
    assert "2.png (8x16 and 16x16)" in message(targets, inputs, size=8)


def test_two_files_of_one_name_are_refused(tmp_path: Path):
    save(picture(8, 8), tmp_path / "targets" / "a.png")
    for suffix in ("png", "bmp"):
        save(picture(8, 8), tmp_path / "inputs" / f"a.{suffix}")
    assert "two images in" in message(tmp_path / "targets", tmp_path / "inputs")


def test_a_pair_of_which_a_half_cannot_be_read_is_left_out(tmp_path: Path):
    targets, inputs = tmp_path / "targets", tmp_path / "inputs"
    for name in "abcd":
        save(picture(8, 8), targets / f"{name}.png")
        save(picture(8, 8), inputs / f"{name}.png")
    (inputs / "b.png").write_bytes(b"no picture")
    store = in_folders(targets, inputs, max_unreadable=0.5)
    assert len(store) == len(store.inputs) == 3
    assert [item.path for item in store.skipped] == ["b.png"]
    np.testing.assert_array_equal(store.inputs[1], np.asarray(Image.open(inputs / "c.png")).transpose(2, 0, 1))


def test_a_changed_input_is_decoded_anew(tmp_path: Path):
    targets, inputs = tmp_path / "targets", tmp_path / "inputs"
    for folder in (targets, inputs):
        save(picture(8, 8), folder / "a.png")
    first = in_folders(targets, inputs)
    save(picture(8, 8), inputs / "a.png")
    second = in_folders(targets, inputs)
    assert first.fingerprint != second.fingerprint
    assert not np.array_equal(first.inputs, second.inputs)


def test_inspecting_pairs(sides: tuple[Path, object]):
    found = inspect_data(DataConfig(source=str(sides[0]), pairs="left-to-right"))
    assert dict(found.facts)["shape"] == "3 x 8 x 10 (C x H x W)"
    assert "left-to-right" in dict(found.facts)["inputs"]
