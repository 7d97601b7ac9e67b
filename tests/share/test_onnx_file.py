"""Generators as ONNX files: the same samples, and what the file says of itself."""

from __future__ import annotations

import json
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import saddle
from saddle.errors import ConfigError, SaddleError
from saddle.share import onnx_file
from saddle.share.onnx_file import save_onnx

from .conftest import WriteGenerator

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxruntime", "onnxscript"))), reason="the extra onnx is not installed"
)

ABC = ("a", "b", "c")
FAMILIES: dict[str, dict[str, Any]] = {
    "mlp of points": {"shape": (2,), "family": "mlp", "widths": [16], "norm": "batch"},
    "mlp, virtual norm, codes": {
        "family": "mlp",
        "widths": [16],
        "norm": "virtual",
        "latent": {"codes": 3},
        "classes": ABC,
    },
    "mlp, joined labels": {
        "family": "mlp",
        "widths": [16],
        "label_widths": [8],
        "joint_widths": [16],
        "classes": ABC,
        "activation": "maxout",
        "condition": "embedding",
    },
    "dcgan": {"shape": (3, 13, 10), "family": "dcgan", "width": 8, "classes": ABC, "condition": "embedding"},
    "dcgan, resize": {"family": "dcgan", "width": 8, "upsampling": "resize", "norm": "virtual"},
    "r3gan": {"shape": (3, 17, 16), "family": "r3gan", "widths": [16, 32], "classes": ABC, "latent": {"codes": 2}},
    "unet": {"shape": (3, 12, 9), "family": "unet", "width": 8, "max_width": 16},
}


def samples_of(file: Path, **given: torch.Tensor) -> torch.Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in given.items()})[0])


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_makes_the_same_samples_in_onnxruntime(
    family: str, write_generator: WriteGenerator, tmp_path: Path
):
    source, out = write_generator(**FAMILIES[family]), tmp_path / "x.onnx"
    assert save_onnx(source, out) <= 1e-5
    generator = saddle.load(source)
    count = 7  # another size of batch than the exporter saw
    given = {"latents": generator.latents(count, 3)}
    if generator.header.inputs is not None:
        given["inputs"] = torch.rand(count, 3, *generator.shape[1:])
        wanted = generator.translate(given["inputs"], seed=3)
    elif generator.class_names:
        given["labels"] = torch.rand(count, 3)
        given["labels"] /= given["labels"].sum(1, keepdim=True)
        wanted = generator(given["latents"], given["labels"])
    else:
        wanted = generator(given["latents"])
    torch.testing.assert_close(samples_of(out, **given), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_what_the_file_says_and_what_it_does_not(write_generator: WriteGenerator, tmp_path: Path):
    import onnx

    source, out = write_generator(classes=ABC, family="mlp", widths=[4]), tmp_path / "x.onnx"
    save_onnx(source, out)
    model = onnx.load(out)
    said = {each.key: each.value for each in model.metadata_props}
    assert said["recipe"] == "a recipe"
    assert json.loads(said["classes"]) == list(ABC)
    assert json.loads(said["latent"])["distribution"] == "normal"
    assert said["sha256"] == sha256(source.read_bytes()).hexdigest()
    assert [value.name for value in model.graph.input] == ["latents", "labels"]
    assert [value.name for value in model.graph.output] == ["samples"]
    content = out.read_bytes()
    save_onnx(source, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == content
    for private in (b".py", b"/home", str(Path(torch.__file__).parent).encode()):
        assert private not in content
    one = samples_of(out, latents=torch.zeros(1, 5), labels=torch.eye(3)[:1])
    assert one.shape == (1, 1, 8, 8)
    assert 0 <= one.min() < one.max() <= 1


@pytest.mark.slow
def test_a_graph_that_differs_is_refused_and_not_written(
    write_generator: WriteGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Wrong:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def run(self, _: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [np.full((len(given["latents"]), 1, 8, 8), 0.25, np.float32)]

    monkeypatch.setattr("onnxruntime.InferenceSession", Wrong)
    with pytest.raises(SaddleError, match="other samples"):
        save_onnx(write_generator(family="mlp", widths=[4]), tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_what_cannot_be_exported(write_generator: WriteGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pixels = write_generator(family="pixelcnn", levels=2, width=4, blocks=1, kernel=3)
    with pytest.raises(ConfigError, match="pixelcnn cannot be exported"):
        save_onnx(pixels, tmp_path / "x.onnx")
    plain = write_generator(family="mlp", widths=[4])
    with pytest.raises(ConfigError, match="suffix"):
        save_onnx(plain, tmp_path / "x.png")
    with pytest.raises(SaddleError, match="no folder"):
        save_onnx(plain, tmp_path / "none" / "x.onnx")
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ConfigError) as missing:
        save_onnx(plain, tmp_path / "x.onnx")
    assert "onnxscript" in missing.value.what
    assert "saddle[onnx]" in str(missing.value.remedy)
    assert not list(tmp_path.glob("*.onnx"))
