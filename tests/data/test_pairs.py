"""Pairs that are made of any images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data import from_object, open_data
from saddle.data.pairs import edges, grey, low
from saddle.errors import DataError

CHANCE = np.random.default_rng(0)


def pictures(*shape: int) -> np.ndarray:
    return CHANCE.integers(0, 256, shape, np.uint8)


def config(pairs: str, **settings: object) -> DataConfig:
    return DataConfig.model_validate({"source": "some", "pairs": pairs, **settings})


def test_an_outline_is_where_brightness_changes_and_one_pixel_wide():
    image = np.zeros((1, 1, 12, 12), np.uint8)
    image[..., 6:] = 200  # an edge between columns 5 and 6
    drawn = edges(image)[0, 0]
    assert set(np.unique(drawn)) == {0, 255}
    assert [column for column in range(12) if (drawn[:, column] == 0).all()] == [5, 6]
    assert (drawn[:, [*range(5), *range(7, 12)]] == 255).all()
    ramp = np.broadcast_to((np.arange(24) * 10).astype(np.uint8), (1, 1, 24, 24)).copy()
    ramp[..., 12:] += 15  # on a slope, the steepest place
    assert (edges(ramp)[0, 0, :, [11, 12]] == 0).all()
    assert (edges(ramp)[0, 0, :, 5:9] == 255).sum() == 0  # but a slope is no smoother than itself


def test_a_flat_image_has_no_outline_and_a_faint_one_has():
    assert (edges(np.full((1, 3, 9, 9), 77, np.uint8)) == 255).all()
    faint = np.full((1, 1, 9, 9), 100, np.uint8)
    faint[..., 4:, :] = 112
    assert (edges(faint)[0, 0, 3:5] == 0).all()


@pytest.mark.parametrize("turn", [lambda x: x[..., ::-1], lambda x: x[..., ::-1, :], lambda x: x.swapaxes(2, 3)])
def test_turned_images_have_turned_outlines(turn):
    images = pictures(3, 3, 16, 16)
    np.testing.assert_array_equal(edges(np.ascontiguousarray(turn(images))), turn(edges(images)))


def test_grey_is_what_pillow_makes_and_shows_transparent_images_on_white():
    image = pictures(1, 3, 9, 7)
    expected = np.asarray(Image.fromarray(image[0].transpose(1, 2, 0)).convert("L"))
    np.testing.assert_array_equal(grey(image)[0, 0], expected)
    clear = np.concatenate([image, np.zeros_like(image[:, :1])], 1)
    assert (grey(clear) == 255).all()
    opaque = np.concatenate([image, np.full_like(image[:, :1], 255)], 1)
    np.testing.assert_array_equal(grey(opaque), grey(image))


def test_low_is_what_pillow_makes_of_the_image_at_a_quarter_of_its_size():
    """Pillow rounds between rows and columns: tolerance 2 of 255."""
    image = pictures(2, 3, 33, 20)
    for made, given in zip(low(image), image, strict=True):
        small = Image.fromarray(given.transpose(1, 2, 0)).resize((5, 8), Image.Resampling.LANCZOS)
        expected = np.asarray(small.resize((20, 33), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
        assert np.abs(made.astype(int) - expected).max() <= 2


def test_low_hides_the_colours_of_transparent_pixels_as_pillow_does():
    """Where an image is nearly transparent, its colours are rounded coarsely: compared from half opaque on."""
    image = pictures(1, 4, 24, 24)
    image[0, 3, :, 12:] = 0
    small = Image.fromarray(image[0].transpose(1, 2, 0)).resize((6, 6), Image.Resampling.LANCZOS)
    expected = np.asarray(small.resize((24, 24), Image.Resampling.LANCZOS)).transpose(2, 0, 1).astype(int)
    made = low(image)[0].astype(int)
    assert np.abs(made[3] - expected[3]).max() <= 4  # Pillow also clips between rows and columns
    seen = expected[3] >= 128
    assert np.abs(made - expected)[:, seen].max() <= 6
    image[0, :3, :, 12:] = 255 - image[0, :3, :, 12:]
    np.testing.assert_array_equal(low(image)[0], made)


@pytest.mark.parametrize(("rule", "make"), [("edges", edges), ("grey", grey), ("low", low)])
def test_inputs_belong_to_their_images_held_out_ones_too(rule: str, make):
    store = from_object(torch.from_numpy(pictures(300, 3, 8, 8)), config=config(rule))
    assert store.held_out is not None
    for part in (store, store.held_out):
        np.testing.assert_array_equal(part.inputs, make(np.asarray(part.values)))
    some = store.taking(np.array([7, 3]))
    np.testing.assert_array_equal(some.inputs, store.inputs[[7, 3]])


def test_what_is_made_of_the_images_leaves_their_fingerprint():
    """So they are known as what an extractor was trained on; the rule is a setting that a run records."""
    found = {pairs: open_data(config(pairs, source="digits")).fingerprint for pairs in ("none", "edges", "low")}
    assert len(set(found.values())) == 1


@pytest.mark.parametrize(
    ("source", "pairs", "message"),
    [
        ("ring(8)", "edges", "there are no pairs in ring"),
        ("digits", "grey", "has no colours"),
        ("digits", "left-to-right", "reads pairs from image files"),
    ],
)
def test_data_without_pairs_are_refused(source: str, pairs: str, message: str):
    with pytest.raises(DataError, match=message):
        open_data(config(pairs, source=source))


def test_a_folder_of_inputs_and_the_word_for_it_go_together():
    for settings in ({"pairs": "folders"}, {"pairs": "edges", "inputs": "somewhere"}):
        with pytest.raises(ValueError, match="--inputs FOLDER sets both"):
            DataConfig.model_validate(settings)
