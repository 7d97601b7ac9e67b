"""Files that are whole, but not what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from saddle.base.tensors import save_tensors
from saddle.errors import CheckpointError
from saddle.trained.classifier_file import load_classifier_file
from saddle.trained.generator_file import load_generator

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
LOADERS = {"generator": load_generator, "classifier": load_classifier_file}


def write(path: Path, kind: str, **scaling: torch.Tensor) -> Path:
    common = {"format": f"saddle-{kind}-1", "recipe": "x", "images_seen": 1, "shape": [2], "class_names": []}
    tensors = {f"scaling.{name}": value for name, value in scaling.items()} | {"network.weight": ONE}
    save_tensors(path / "x.safetensors", tensors, common | HEADERS[kind])
    return path / "x.safetensors"


@pytest.mark.parametrize("kind", HEADERS)
def test_weights_and_scaling_come_back(tmp_path: Path, kind: str):
    weights, scaling, header = LOADERS[kind](write(tmp_path, kind, factor=2 * torch.ones(2), offset=ONE))
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
        LOADERS[kind](write(tmp_path, kind, **scaling))


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("header", [["list"], "text", None, {}, {"format": "saddle-checkpoint-1"}])
def test_a_header_of_something_else(tmp_path: Path, kind: str, header: Any):
    save_tensors(tmp_path / "x.safetensors", {"scaling.factor": ONE, "scaling.offset": ONE}, header)
    with pytest.raises(CheckpointError, match=f"no {kind} file of this version"):
        LOADERS[kind](tmp_path / "x.safetensors")
