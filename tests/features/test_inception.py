"""The Inception network of the original FID, whose library and weights are not here.

``layout`` is that of the real file, as torch-fidelity's network and its conversion script define it: a plain dict of
472 tensors, without batch norm's ``num_batches_tracked``. A stand-in of the library's interface loads a file of this
layout strictly; where the library is installed, the network itself does.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from saddle.config.schema import DataConfig
from saddle.data import from_object
from saddle.errors import MetricError
from saddle.features.extractors import find_extractor
from saddle.features.inception import Inception
from saddle.scoring.sides import extract

_NORM = ("weight", "bias", "running_mean", "running_var")


def convolutions() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """The name of each of the 94 convolutions, and the shape of its weights."""
    yield from {
        "Conv2d_1a_3x3": (32, 3, 3, 3), "Conv2d_2a_3x3": (32, 32, 3, 3), "Conv2d_2b_3x3": (64, 32, 3, 3),
        "Conv2d_3b_1x1": (80, 64, 1, 1), "Conv2d_4a_3x3": (192, 80, 3, 3),
    }.items()  # fmt: skip
    for block, source, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        yield from _in(
            block, branch1x1=(64, source, 1, 1), branch5x5_1=(48, source, 1, 1), branch5x5_2=(64, 48, 5, 5),
            branch3x3dbl_1=(64, source, 1, 1), branch3x3dbl_2=(96, 64, 3, 3), branch3x3dbl_3=(96, 96, 3, 3),
            branch_pool=(pooled, source, 1, 1),
        )  # fmt: skip
    yield from _in(
        "6a", branch3x3=(384, 288, 3, 3), branch3x3dbl_1=(64, 288, 1, 1), branch3x3dbl_2=(96, 64, 3, 3),
        branch3x3dbl_3=(96, 96, 3, 3),
    )  # fmt: skip
    for block, width in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        yield from _in(
            block, branch1x1=(192, 768, 1, 1), branch7x7_1=(width, 768, 1, 1), branch7x7_2=(width, width, 1, 7),
            branch7x7_3=(192, width, 7, 1), branch7x7dbl_1=(width, 768, 1, 1), branch7x7dbl_2=(width, width, 7, 1),
            branch7x7dbl_3=(width, width, 1, 7), branch7x7dbl_4=(width, width, 7, 1),
            branch7x7dbl_5=(192, width, 1, 7), branch_pool=(192, 768, 1, 1),
        )  # fmt: skip
    yield from _in(
        "7a", branch3x3_1=(192, 768, 1, 1), branch3x3_2=(320, 192, 3, 3), branch7x7x3_1=(192, 768, 1, 1),
        branch7x7x3_2=(192, 192, 1, 7), branch7x7x3_3=(192, 192, 7, 1), branch7x7x3_4=(192, 192, 3, 3),
    )  # fmt: skip
    for block, source in (("7b", 1280), ("7c", 2048)):
        yield from _in(
            block, branch1x1=(320, source, 1, 1), branch3x3_1=(384, source, 1, 1), branch3x3_2a=(384, 384, 1, 3),
            branch3x3_2b=(384, 384, 3, 1), branch3x3dbl_1=(448, source, 1, 1), branch3x3dbl_2=(384, 448, 3, 3),
            branch3x3dbl_3a=(384, 384, 1, 3), branch3x3dbl_3b=(384, 384, 3, 1), branch_pool=(192, source, 1, 1),
        )  # fmt: skip


def _in(block: str, **branches: tuple[int, int, int, int]) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    return ((f"Mixed_{block}.{branch}", shape) for branch, shape in branches.items())


def layout() -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in the real file."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in convolutions():
        shapes |= {f"{name}.conv.weight": shape} | {f"{name}.bn.{part}": shape[:1] for part in _NORM}
    return shapes | {"fc.weight": (1008, 2048), "fc.bias": (1008,)}


def test_the_layout_has_the_size_of_the_real_file():
    numbers = sum(np.prod(shape) for shape in layout().values())
    assert len(layout()) == 472
    assert 0 < 95_628_359 - 4 * numbers < 300 * len(layout())  # what else there is: names, shapes and alignment


class StandIn(nn.Module):
    """The interface of torch-fidelity's extractor, all its tensors, and next to nothing of its arithmetic."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str | None = None) -> None:
        super().__init__()
        assert features_list == ["2048", "logits_unbiased"]
        with torch.device("meta"):
            for path, (width, source, *kernel) in convolutions():
                *outer, last = path.split(".")
                inside: nn.Module = self
                for part in outer:
                    if part not in dict(inside.named_children()):
                        inside.add_module(part, nn.Module())
                    inside = inside.get_submodule(part)
                parts: dict[str, nn.Module] = {"conv": nn.Conv2d(source, width, tuple(kernel), bias=False)}
                parts["bn"] = nn.BatchNorm2d(width)
                inside.add_module(last, nn.ModuleDict(parts))
            self.fc = nn.Linear(2048, 1008)
        assert isinstance(feature_extractor_weights_path, str)
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=False), assign=True)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        assert images.dtype == torch.uint8 and images.shape[1] == 3
        first = self.get_parameter("Conv2d_1a_3x3.conv.weight").sum((2, 3))
        features = (images.float().mean((2, 3)) @ first.T).repeat(1, 64)
        return features, features @ self.fc.weight.T


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A small file of the real layout: each tensor is one number, seen everywhere; and the stand-in as the library."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    module = SimpleNamespace(FeatureExtractorInceptionV3=StandIn)
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", module)
    torch.manual_seed(0)
    torch.save({name: torch.rand(1).expand(shape) for name, shape in layout().items()}, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_of_the_real_layout_is_read(weights: Path):
    inception = Inception(weights, digest=digest(weights))
    inception.check((1, 5, 5))
    seen = inception(torch.full((2, 1, 5, 5), 100, dtype=torch.uint8))
    assert inception.fingerprint == digest(weights)
    assert seen.features.shape == (2, 2048)
    torch.testing.assert_close(seen.features, seen.features[0, 0].expand(2, 2048))
    assert seen.features.min() > 0
    assert seen.probabilities is not None and seen.probabilities.shape == (2, 1, 1008)
    torch.testing.assert_close(seen.probabilities, torch.full((2, 1, 1008), 1 / 1008))
    with pytest.raises(MetricError, match="grey or RGB"):
        inception.check((4, 5, 5))


def test_another_file_is_refused_before_it_is_read(weights: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read"))
    store = from_object(np.zeros((5, 3, 8, 8), np.uint8), config=DataConfig(source="own"))
    with pytest.raises(MetricError, match=r"expected: SHA-256 6726825d.{56}\n"):
        find_extractor("inception-v3", store, inception_weights=weights)


@pytest.mark.parametrize("error", [URLError("no network"), RuntimeError("invalid hash value")])
def test_weights_that_cannot_be_downloaded(weights: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
    def download(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(MetricError, match="--inception-weights FILE"):
        Inception()


def test_a_library_that_is_missing_or_does_not_fit_this_torch(weights: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(MetricError, match=r"pip install 'saddle\[inception\]'"):
        Inception(weights)

    def broken(_: str) -> Any:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("saddle.features.inception.import_module", broken)
    with pytest.raises(MetricError, match="version of torchvision"):
        Inception(weights)


@pytest.mark.slow
def test_the_network_itself_reads_the_layout(tmp_path: Path):
    """Where torch-fidelity is installed: weights drawn as for training, so that nothing saturates."""
    try:
        pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    except RuntimeError as error:
        pytest.skip(f"torch-fidelity does not fit this torch: {error}")
    torch.manual_seed(0)
    tensors = {name: torch.ones(shape) for name, shape in layout().items()}
    for name, shape in layout().items():
        if name.endswith((".bias", ".running_mean")):
            tensors[name] = torch.zeros(shape)
        elif len(shape) > 1:
            tensors[name] = torch.randn(shape) * (2 / np.prod(shape[1:])) ** 0.5
    torch.save(tensors, tmp_path / "w.pth")
    inception = Inception(tmp_path / "w.pth", digest=digest(tmp_path / "w.pth"))
    grey = torch.randint(0, 256, (3, 1, 20, 24), dtype=torch.uint8)
    seen, again = extract(grey, None, inception), extract(grey.expand(-1, 3, -1, -1), None, inception)
    assert torch.equal(seen.features, again.features)
    assert seen.features.shape == (3, 2048) and seen.features.std(0).max() > 0 and seen.features.min() >= 0
    assert seen.probabilities is not None and seen.probabilities.shape == (3, 1, 1008)
    torch.testing.assert_close(seen.probabilities.sum(2), torch.ones(3, 1))
