from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from saddle.base.tensors import load_tensors, save_tensors
from saddle.config.schema import DataConfig
from saddle.data import Store, from_object, open_data
from saddle.data.named import cifar10
from saddle.errors import MetricError
from saddle.features import extractors
from saddle.features.extractors import SHIPPED, Shipped, class_numbers, find_extractor
from saddle.scoring.sides import extract, extract_store

WEIGHTS = Path(extractors.__file__).parent / "weights"


def of(values: object, **settings: object) -> Store:
    return from_object(values, config=DataConfig(source="own", **settings))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_small_and_their_hash_is_checked(name: str, tmp_path: Path):
    path = WEIGHTS / f"{name}.safetensors"
    assert path.stat().st_size < 3_000_000
    assert Shipped(path, SHIPPED[name]).name == name
    tensors, header = load_tensors(path)
    tensors["classify.bias"][0] += 1
    save_tensors(tmp_path / "other.safetensors", tensors, header)  # whole, but another
    with pytest.raises(MetricError, match="SHA-256"):
        Shipped(tmp_path / "other.safetensors", SHIPPED[name])
    with pytest.raises(MetricError, match="no file"):
        Shipped(tmp_path / "none.safetensors", SHIPPED[name])


def test_a_file_of_another_kind_is_no_extractor(tmp_path: Path):
    path = tmp_path / "g.safetensors"
    save_tensors(path, {"a": torch.zeros(1)}, {"format": "saddle-generator-1"})
    with pytest.raises(MetricError, match="no extractor"):
        Shipped(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"), [("digits-cnn-v1", 0.97), ("mnist-cnn-v1", 0.994), ("cifar10-cnn-v1", 0.88)]
)
def test_shipped_networks_are_as_good_as_their_header_says(name: str, least: float, request: pytest.FixtureRequest):
    if not name.startswith("digits"):
        data = request.getfixturevalue("real_data")
        if not (data / name.split("-", maxsplit=1)[0]).exists():
            pytest.skip(f"the data of {name} are not here")
    store = open_data(DataConfig(source=name.split("-", maxsplit=1)[0], split="test"))
    extractor = find_extractor(name, store)
    found = extract(torch.from_numpy(store.values.copy()), None, extractor).found.numpy()
    accuracy = (found == store.labels).mean()
    _, header = load_tensors(WEIGHTS / f"{name}.safetensors")
    if store.fingerprint != header["test_data"]:
        pytest.skip("other copies of these images: the compression of JPEGs changes them")
    assert accuracy >= least
    assert accuracy == pytest.approx(header["accuracy"], abs=2e-4)


def test_the_default_is_what_was_trained_on_the_data_or_else_what_can_see_them():
    assert find_extractor(None, open_data(DataConfig(source="digits"))).name == "digits-cnn-v1"
    assert find_extractor(None, open_data(DataConfig(source="digits", size=12))).name == "random-conv-v1"
    assert find_extractor(None, of(np.zeros((5, 1, 8, 8), np.uint8))).name == "random-conv-v1"
    assert find_extractor(None, of(np.zeros((5, 3, 32, 32), np.uint8))).name == "cifar10-cnn-v1"
    assert find_extractor(None, of(np.zeros((5, 3, 4, 4), np.uint8))).name == "pixels"
    assert find_extractor(None, of(np.zeros((5, 2), np.float32))).name == "points"


@pytest.mark.parametrize(
    ("changes", "shape", "suits"),
    [
        ({}, (3, 32, 32), True),
        ({}, (3, 24, 24), False),  # another size
        ({}, (1, 32, 32), False),  # grey
        ({"class_names": ("cat", "spoon")}, (3, 32, 32), False),  # a folder that has the name
        ({"name": "mine"}, (3, 32, 32), False),
        ({"name": "mine", "fingerprint": "that of the JPEGs"}, (3, 32, 32), True),
    ],
)
def test_whether_images_are_cifar10(changes: dict[str, object], shape: tuple[int, ...], suits: bool):
    if "fingerprint" in changes:
        changes["fingerprint"] = load_tensors(WEIGHTS / "cifar10-cnn-v1.safetensors")[1]["data"]
    images = replace(of(np.zeros((5, *shape), np.uint8)), name="cifar10", class_names=cifar10.CLASS_NAMES)
    extractor = find_extractor("cifar10-cnn-v1", of(np.zeros((5, 3, 32, 32), np.uint8)))
    assert isinstance(extractor, Shipped)
    assert extractor.suits(replace(images, **changes)) == suits


@pytest.mark.usefixtures("real_data")
@pytest.mark.parametrize("name", ["mnist", "stacked-mnist"])
def test_the_default_for_mnist_and_for_three_of_its_digits_as_one_image(name: str):
    assert find_extractor(None, open_data(DataConfig(source=name))).name == "mnist-cnn-v1"


def test_extractors_that_do_not_fit():
    digits, points = open_data(DataConfig(source="digits")), of(np.zeros((5, 2), np.float32))
    with pytest.raises(MetricError, match=r"expected: images of shape \(1, 28, 28\)"):
        find_extractor("mnist-cnn-v1", digits)
    with pytest.raises(MetricError, match="points are compared as they are"):
        find_extractor("pixels", points)
    with pytest.raises(MetricError, match="there is no extractor 'resnet'"):
        find_extractor("resnet", digits)
    with pytest.raises(MetricError, match=r"expected: images of three channels, of at least 8 by 8 pixels"):
        find_extractor("cifar10-cnn-v1", digits)


def test_colour_images_of_other_sizes_are_resized():
    """A smooth picture in several sizes is nearly the same to the network; a larger one is averaged, not sampled."""
    extractor = find_extractor("cifar10-cnn-v1", of(np.zeros((2, 3, 16, 16), np.uint8)))

    def picture(side: int, pattern: int = 0) -> torch.Tensor:
        place = (torch.arange(side) + 0.5) / side
        waves = (torch.stack([place[:, None] + place, place[:, None] - place, place.expand(side, side)]) * 5).sin()
        fine = pattern * ((torch.arange(side)[:, None] + torch.arange(side)) % 2 * 2 - 1)
        return ((waves * 100 + 128 + fine).round().to(torch.uint8))[None]

    own = extractor(picture(32)).features
    assert own.shape == (1, 192)
    for side in (16, 48, 128):
        found = extractor(picture(side)).features
        assert (found - own).norm() < 0.1 * own.norm()
    torch.testing.assert_close(extractor(picture(128, pattern=20)).features, found, rtol=0.05, atol=0.05)


def test_three_channels_are_read_one_by_one():
    digits = open_data(DataConfig(source="digits"))
    stacked = np.concatenate([digits.values[:20], digits.values[20:40], digits.values[40:60]], 1)
    extractor = find_extractor("digits-cnn-v1", of(stacked))
    seen = extractor(torch.from_numpy(stacked))
    alone = [extractor(torch.from_numpy(digits.values[start : start + 20])) for start in (0, 20, 40)]
    torch.testing.assert_close(seen.features, torch.cat([one.features for one in alone], 1))
    hundreds, tens, ones = (class_numbers(one.probabilities) for one in alone)
    assert torch.equal(class_numbers(seen.probabilities), 100 * hundreds + 10 * tens + ones)


class Means(nn.Module):
    def __init__(self, power: int = 1) -> None:
        super().__init__()
        self.register_buffer("power", torch.tensor(power))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) ** self.power


def test_a_module_of_ones_own():
    store = of(np.full((7, 3, 4, 4), 51, np.uint8))
    extractor = find_extractor(Means(), store)
    assert extractor.name == f"means-{extractor.fingerprint[:8]}"
    torch.testing.assert_close(extractor(torch.from_numpy(store.values)).features, torch.full((7, 3), 0.2))
    assert extractor.fingerprint != find_extractor(Means(2), store).fingerprint
    with pytest.raises(MetricError, match="does not give features"):
        find_extractor(nn.Identity(), store)
    dropped = nn.Sequential(Means(), nn.Dropout())
    assert find_extractor(dropped, store)(torch.from_numpy(store.values)).features.min() > 0.1
    assert dropped.training  # as it was
    with pytest.raises(MetricError, match="does not fit"):
        find_extractor(nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), store)


def test_features_of_real_data_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    digits = open_data(DataConfig(source="digits", first=50))
    extractor = find_extractor(None, digits)
    first = extract_store(digits, extractor)
    monkeypatch.setattr(Shipped, "__call__", lambda *_: pytest.fail("computed again"))
    again = extract_store(digits, extractor)
    assert torch.equal(first.features, again.features)
    assert torch.equal(first.probabilities, again.probabilities)
    with pytest.raises(pytest.fail.Exception, match="computed again"):  # other rows of the same data are other data
        extract_store(open_data(DataConfig(source="digits")).taking(slice(50, 100)), extractor)


def test_a_damaged_cache_is_made_anew(tmp_path: Path):
    digits = open_data(DataConfig(source="digits", first=50))
    extractor = find_extractor(None, digits)
    first = extract_store(digits, extractor)
    (file,) = (tmp_path / "cache" / "features").iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    assert torch.equal(extract_store(digits, extractor).features, first.features)
