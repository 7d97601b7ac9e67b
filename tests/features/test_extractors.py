from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import nn

from saddle.base.tensors import load_tensors, save_tensors
from saddle.config.schema import DataConfig
from saddle.data import Store, from_object, open_data
from saddle.errors import MetricError
from saddle.features import extractors
from saddle.features.extractors import SHIPPED, Shipped, class_numbers, find_extractor
from saddle.features.inception import Inception
from saddle.scoring.sides import extract, extract_store

WEIGHTS = Path(extractors.__file__).parent / "weights"


def of(values: object, **settings: object) -> Store:
    return from_object(values, config=DataConfig(source="own", **settings))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_small_and_their_hash_is_checked(name: str, tmp_path: Path):
    path = WEIGHTS / f"{name}.safetensors"
    assert path.stat().st_size < 1_000_000
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
@pytest.mark.parametrize(("name", "least"), [("digits-cnn-v1", 0.97), ("mnist-cnn-v1", 0.994)])
def test_shipped_networks_are_as_good_as_their_header_says(name: str, least: float, request: pytest.FixtureRequest):
    if name.startswith("mnist"):
        request.getfixturevalue("real_data")
    store = open_data(DataConfig(source=name.split("-", maxsplit=1)[0], split="test"))
    extractor = find_extractor(name, store)
    found = extract(torch.from_numpy(store.values.copy()), None, extractor).found.numpy()
    accuracy = (found == store.labels).mean()
    _, header = load_tensors(WEIGHTS / f"{name}.safetensors")
    assert accuracy >= least
    assert accuracy == pytest.approx(header["accuracy"], abs=2e-4)


def test_the_default_is_what_was_trained_on_the_data(tmp_path: Path):
    assert find_extractor(None, open_data(DataConfig(source="digits"))).name == "digits-cnn-v1"
    assert find_extractor(None, open_data(DataConfig(source="digits", size=12))).name == "pixels"
    assert find_extractor(None, of(np.zeros((5, 1, 8, 8), np.uint8))).name == "pixels"
    assert find_extractor(None, of(np.zeros((5, 2), np.float32))).name == "points"


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


# Inception: torch-fidelity is not here; a stand-in of its interface reads a small file of the same kind.


class StandIn(nn.Module):
    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str | None = None) -> None:
        super().__init__()
        assert features_list == ["2048", "logits_unbiased"]
        self.fc = nn.Linear(3, 8)
        assert feature_extractor_weights_path is not None
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=True))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert images.dtype == torch.uint8 and images.shape[1] == 3
        means = images.float().mean((2, 3))
        return means, self.fc(means)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The stand-in library; returns a weights file for it."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    module = SimpleNamespace(FeatureExtractorInceptionV3=StandIn)
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", module)
    torch.manual_seed(0)
    torch.save(
        nn.Sequential().state_dict() | {"fc.weight": torch.rand(8, 3), "fc.bias": torch.rand(8)}, tmp_path / "w.pth"
    )
    return tmp_path / "w.pth"


def test_inception_weights_are_read_after_their_hash_is_checked(library: Path):
    digest = hashlib.sha256(library.read_bytes()).hexdigest()[:8]
    seen = Inception(library, digest=digest)(torch.full((2, 1, 5, 5), 100, dtype=torch.uint8))
    assert torch.equal(seen.features, torch.full((2, 3), 100.0))
    assert seen.probabilities.shape == (2, 1, 8)
    torch.testing.assert_close(seen.probabilities.sum(2), torch.ones(2, 1))
    with pytest.raises(MetricError, match="SHA-256 begins with 6726825d"):
        find_extractor("inception-v3", of(np.zeros((5, 3, 8, 8), np.uint8)), inception_weights=library)


@pytest.mark.parametrize("error", [URLError("no network"), RuntimeError("invalid hash value")])
def test_inception_without_weights_or_library(library: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
    def download(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(MetricError, match="--inception-weights FILE"):
        Inception()
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(MetricError, match=r"pip install 'saddle\[inception\]'"):
        Inception()
