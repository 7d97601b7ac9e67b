"""Images laid out as one picture, and written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from saddle.errors import ConfigError, DataError
from saddle.show.grid import save_picture, tile, to_pictures


def images(count: int, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, channels, height, width), dtype=np.uint8)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_every_image_is_where_it_belongs_with_its_own_colours(channels: int, mode: str) -> None:
    values = images(5, channels, 4, 6)
    picture = tile(values, columns=3, scale=2, padding=1)
    assert picture.mode == mode
    assert picture.size == (3 * (6 * 2 + 1) + 1, 2 * (4 * 2 + 1) + 1)
    pixels = np.asarray(picture).reshape(picture.height, picture.width, channels)
    for index, image in enumerate(values):
        top, left = 1 + index // 3 * 9, 1 + index % 3 * 13
        cell = pixels[top : top + 8, left : left + 12]
        for shift in (0, 1):  # each pixel became 2 x 2 equal ones
            np.testing.assert_array_equal(cell[shift::2, shift::2], image.transpose(1, 2, 0))


def test_gaps_and_the_unused_cell_are_white_or_transparent() -> None:
    grey = np.asarray(tile(images(3, 1, 4, 4) // 2, columns=2, scale=1, padding=2))
    assert grey.shape == (14, 14)
    assert (grey[:2] == 255).all() and (grey[:, 6:8] == 255).all() and (grey[8:, 8:] == 255).all()
    alpha = np.asarray(tile(images(3, 4, 4, 4) | 128, columns=2, scale=1, padding=2))[..., 3]
    assert (alpha[:2] == 0).all() and (alpha[8:, 8:] == 0).all() and (alpha[2:6, 2:6] > 0).all()


@pytest.mark.parametrize(("side", "shown"), [(8, 48), (28, 56), (48, 48), (64, 64)])
def test_small_images_grow_by_a_whole_factor_until_they_are_readable(side: int, shown: int) -> None:
    assert tile(images(1, 1, side, side), padding=0).size == (shown, shown)


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (10, 4, 3), (64, 8, 8)])
def test_the_default_grid_is_nearly_square(count: int, columns: int, rows: int) -> None:
    assert tile(images(count, 1, 4, 4), scale=1, padding=0).size == (columns * 4, rows * 4)


def test_rectangles_make_a_nearly_square_picture_too() -> None:
    width, height = tile(images(64, 3, 16, 64), scale=1).size
    assert 0.8 < width / height < 1.25


def test_labels_are_written_below_their_images_and_nowhere_else() -> None:
    values = images(4, 1, 48, 48)
    plain = tile(values, padding=0)
    labelled = tile(values, labels=["zero", "", "two\nlines", "x" * 99], padding=0)
    assert labelled.width == plain.width and labelled.height > plain.height
    pixels = np.asarray(labelled)
    strip = labelled.height // 2 - 48
    np.testing.assert_array_equal(pixels[:48], np.asarray(plain)[:48])
    assert (pixels[48 : 48 + strip, :48] < 200).any()
    assert (pixels[48 : 48 + strip, 48:] == 255).all()
    np.testing.assert_array_equal(pixels[48 + strip : -strip, :48], values[2, 0])
    assert (pixels[-strip:] < 200).any()


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((2, 1, 4, 4), np.float32),
        np.zeros((2, 2, 4, 4), np.uint8),
        np.zeros((1, 4, 4), np.uint8),
        np.zeros((0, 1, 4, 4), np.uint8),
    ],
)
def test_what_is_no_batch_of_images_is_refused(values: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match="expected: uint8"):
        tile(values)


def test_rows_of_different_lengths_begin_on_the_left_and_end_where_they_end() -> None:
    values = images(6, 3, 4, 4) // 2
    pixels = np.asarray(tile(values, lengths=[2, 3, 1], scale=1, padding=1, rows=["a", "b", "c"]))[:, -16:]
    assert pixels.shape == (16, 16, 3)
    for index, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0)]):
        cell = pixels[1 + 5 * row :, 1 + 5 * column :][:4, :4]
        np.testing.assert_array_equal(cell, values[index].transpose(1, 2, 0))
    assert (pixels[:5, 11:] == 255).all() and (pixels[11:, 6:] == 255).all()
    for lengths in ([2, 3], [2, 3, 1, 0], [7], []):
        with pytest.raises(DataError, match="6 in all"):
            tile(values, lengths=lengths)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_each_image_as_a_picture_of_its_own(channels: int, mode: str) -> None:
    values = images(3, channels, 4, 6)
    pictures = to_pictures(values)
    assert [(picture.mode, picture.size) for picture in pictures] == [(mode, (6, 4))] * 3
    np.testing.assert_array_equal(np.asarray(pictures[1]).reshape(4, 6, channels).transpose(2, 0, 1), values[1])


def test_a_jpeg_is_close_to_the_picture_and_white_where_it_is_transparent(tmp_path: Path) -> None:
    smooth = np.arange(64 * 64, dtype=np.float64).reshape(1, 1, 64, 64) / 16
    picture = tile(smooth.astype(np.uint8).repeat(4, axis=1))  # all channels alike, alpha too
    save_picture(picture, tmp_path / "x.jpg")
    white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    with Image.open(tmp_path / "x.jpg") as read:
        assert read.format == "JPEG"
        assert np.abs(np.asarray(read).astype(int) - np.asarray(white)).max() < 20


def test_labels_must_match_in_number() -> None:
    with pytest.raises(DataError, match="expected: 3"):
        tile(images(3, 1, 4, 4), labels=["one"])


@pytest.mark.parametrize("suffix", [".png", ".webp", ".PNG"])
def test_a_picture_is_written_without_loss_and_always_as_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    picture = tile(images(4, 3, 8, 8))
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    save_picture(picture, first)
    save_picture(picture, second)
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as read:
        np.testing.assert_array_equal(np.asarray(read), np.asarray(picture))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([first.name, second.name])


def test_an_unknown_suffix_names_those_that_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.png or \.webp"):
        save_picture(tile(images(1, 1, 8, 8)), tmp_path / "grid.bmp")
    assert not list(tmp_path.iterdir())


def test_rows_are_named_to_the_left_and_the_cells_stay_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 1, 48, 48), dtype=np.uint8)
    plain, named = tile(images, columns=3), tile(images, columns=3, rows=["cat", "a longer\nname"])
    assert named.height == plain.height
    margin = named.width - plain.width
    assert np.array_equal(np.asarray(named)[:, margin:], np.asarray(plain))
    for top in (2, 52):
        assert (np.asarray(named)[top : top + 48, :margin] < 200).any()
    with pytest.raises(DataError, match="rows"):
        tile(images, columns=3, rows=["cat"])
