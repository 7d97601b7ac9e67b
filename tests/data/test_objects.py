from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from saddle.config.schema import DataConfig
from saddle.data import from_object
from saddle.errors import DataError

CHANCE = np.random.default_rng(0)
PIXELS = CHANCE.integers(0, 256, (4, 3, 6, 7), np.uint8)


class Dataset:
    """A map-style dataset that has nothing but what it must have."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


@pytest.mark.parametrize(
    "data",
    [
        PIXELS,
        PIXELS[::-1][::-1],
        torch.from_numpy(PIXELS),
        torch.from_numpy(PIXELS / 255).requires_grad_(),
        torch.from_numpy(PIXELS).permute(0, 2, 3, 1),
        Dataset(list(PIXELS)),
        Dataset(list(torch.from_numpy(PIXELS))),
        Dataset([Image.fromarray(image.transpose(1, 2, 0)) for image in PIXELS]),
        list(PIXELS),
    ],
)
def test_images(data: Any) -> None:
    store = from_object(data, config=DataConfig())
    np.testing.assert_array_equal(store.values, PIXELS)
    assert store.labels is None


def test_flipped_array_can_become_a_tensor() -> None:
    store = from_object(PIXELS[:, :, :, ::-1], config=DataConfig())
    np.testing.assert_array_equal(torch.from_numpy(store.values).numpy(), PIXELS[:, :, :, ::-1])


def test_bfloat16_points() -> None:
    points = torch.tensor([[1.0, 2.5]], dtype=torch.bfloat16)
    assert from_object(points, config=DataConfig()).values.tolist() == [[1.0, 2.5]]


@pytest.mark.parametrize("labels", [[1, 0, 1, 2], (1, 0, 1, 2), np.array([1, 0, 1, 2]), torch.tensor([1, 0, 1, 2])])
def test_labels_given(labels: Any) -> None:
    store = from_object(PIXELS, labels, config=DataConfig())
    assert store.labels is not None
    assert store.labels.dtype == np.int64
    assert store.labels.tolist() == [1, 0, 1, 2]


@pytest.mark.parametrize("make", [int, np.int64, torch.tensor])
def test_labels_of_a_dataset_and_its_class_names(make: Any) -> None:
    data = Dataset([(image, make(label)) for image, label in zip(PIXELS, [2, 0, 0, 2], strict=True)])
    assert from_object(data, config=DataConfig()).class_names == ("0", "2")
    data.classes = ["ant", "bee", "cow"]  # type: ignore[attr-defined]
    store = from_object(data, config=DataConfig())
    assert store.class_names == ("ant", "bee", "cow")
    assert store.labels is not None
    assert store.labels.tolist() == [2, 0, 0, 2]


def test_torch_dataset() -> None:
    data = torch.utils.data.TensorDataset(torch.from_numpy(PIXELS), torch.tensor([0, 1, 2, 3]))
    store = from_object(data, config=DataConfig())
    assert len(store) == 4
    assert store.class_names == ("0", "1", "2", "3")


def test_pillow_images_of_several_sizes_and_modes() -> None:
    data = Dataset([Image.new("L", (4, 4), 9), Image.new("RGB", (8, 6), (1, 2, 3))])
    assert from_object(data, config=DataConfig(size=4)).shape == (3, 4, 4)
    with pytest.raises(DataError, match="different shapes"):
        from_object(data, config=DataConfig())


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (3, None, "cannot be used as data"),
        ({"a": 1}, None, "cannot be used as data"),
        (Dataset([]), None, "empty"),
        (Dataset([(PIXELS[0], 1, 2)]), None, "items of 3 parts"),
        (Dataset(["a", "b"]), None, "no numbers"),
        (PIXELS, [0, 1], "do not match"),
        (torch.full((3, 2), torch.nan), None, "6 NaN"),
    ],
)
def test_bad_objects(data: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_object(data, labels, config=DataConfig())


def test_fingerprint_is_held() -> None:
    with pytest.raises(DataError, match="has changed"):
        from_object(PIXELS, config=DataConfig(fingerprint="0" * 64))
