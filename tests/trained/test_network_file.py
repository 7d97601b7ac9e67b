"""Files that are whole, but not what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from saddle.base.tensors import save_tensors
from saddle.errors import CheckpointError
from saddle.trained.classifier import load_classifier
from saddle.trained.files import ClassifierHeader, GeneratorHeader, load_network
from saddle.trained.generator import load

ONE = torch.ones(1)
HEADERS: dict[str, dict[str, Any]] = {
    "generator": {
        "kind": "points",
        "data": "x",
        "latent": {},
        "network": {"family": "mlp"},
        "condition": "concatenate",
    },
    "classifier": {"labelled": 3, "discriminator": {}},
}
KINDS = {"generator": GeneratorHeader, "classifier": ClassifierHeader}


def write(path: Path, kind: str, **scaling: torch.Tensor) -> Path:
    common = {"format": f"saddle-{kind}-1", "recipe": "x", "images_seen": 1, "shape": [2], "class_names": []}
    tensors = {f"scaling.{name}": value for name, value in scaling.items()} | {"network.weight": ONE}
    save_tensors(path / "x.safetensors", tensors, common | HEADERS[kind])
    return path / "x.safetensors"


@pytest.mark.parametrize("kind", HEADERS)
def test_weights_and_scaling_come_back(tmp_path: Path, kind: str):
    weights, scaling, header = load_network(write(tmp_path, kind, factor=2 * torch.ones(2), offset=ONE), KINDS[kind])
    assert weights == {"weight": ONE}
    assert scaling.factor.tolist() == [2, 2]
    assert not scaling.images
    assert header.shape == (2,)


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize(
    "scaling",
    [
        {},
        {"factor": ONE},
        {"factor": torch.ones(3), "offset": ONE},
        {"factor": torch.ones(2, 2), "offset": ONE},
        {"factor": ONE, "offset": ONE * float("nan")},
        {"factor": 0 * ONE, "offset": ONE},
    ],
)
def test_a_scaling_that_is_none(tmp_path: Path, kind: str, scaling: dict[str, torch.Tensor]):
    with pytest.raises(CheckpointError, match="scaled"):
        load_network(write(tmp_path, kind, **scaling), KINDS[kind])


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("header", [["list"], "text", None, {}, {"format": "somebody-elses-1"}])
def test_a_header_of_something_else(tmp_path: Path, kind: str, header: Any):
    save_tensors(tmp_path / "x.safetensors", {"scaling.factor": ONE, "scaling.offset": ONE}, header)
    with pytest.raises(CheckpointError, match=f"is not a {kind} file of saddle"):
        load_network(tmp_path / "x.safetensors", KINDS[kind])


def test_another_kind_of_file_is_called_what_it_is(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"is a generator file, not a classifier file\n  remedy: .*semi-superv"):
        load_classifier(write(tmp_path, "generator", factor=ONE, offset=ONE))
    with pytest.raises(
        CheckpointError, match=r"is a classifier file, not a generator file\n  remedy: .*the run folder"
    ):
        load(write(tmp_path, "classifier", factor=ONE, offset=ONE))
    save_tensors(tmp_path / "x.safetensors", {}, {"format": "saddle-checkpoint-2"})
    with pytest.raises(CheckpointError, match="is a checkpoint, not a generator file"):
        load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("kind", HEADERS)
def test_files_of_another_version_and_with_a_key_too_few(tmp_path: Path, kind: str):
    save_tensors(tmp_path / "x.safetensors", {}, {"format": f"saddle-{kind}-9"})
    with pytest.raises(CheckpointError, match=f"is a {kind} file of another version"):
        load_network(tmp_path / "x.safetensors", KINDS[kind])
    save_tensors(tmp_path / "x.safetensors", {}, {"format": f"saddle-{kind}-1"})
    with pytest.raises(CheckpointError, match=r"header .*\n  got: recipe: Field required"):
        load_network(tmp_path / "x.safetensors", KINDS[kind])
