"""A trained generator as an ONNX file: one graph from latents to samples in the data's units."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Generator as Yields
from contextlib import contextmanager
from hashlib import sha256
from importlib import metadata
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from saddle.base.files import atomic_path
from saddle.config.networks import CustomNetworkConfig
from saddle.data.scaling import Scaling
from saddle.errors import ConfigError, SaddleError
from saddle.game.latents import numbered
from saddle.networks.pixelcnn import PixelCNN
from saddle.runs.folder import RunFolder
from saddle.trained.export import check_out
from saddle.trained.files import GeneratorHeader
from saddle.trained.opening import open_generator

FORMAT = "saddle-onnx-1"
CHECKED = 1000  # latents
TOLERANCE = 1e-5
_OPSET = 20
_AT_ONCE = 50  # samples in a pass of the check
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


class Exported(NamedTuple):
    """What was written, and how far its samples are from torch's.

    Args:
        model: the content of the file.
        error: the largest difference over the checked samples: of images in [0, 1]; of points as a share of the largest
            coordinate, if that is above 1.
    """

    model: bytes
    error: float


def save_onnx(source: Path, out: Path) -> float:
    """Write the generator in ``source`` as an ONNX file, and return the largest difference to torch; see ``to_onnx``.

    Args:
        source: a run folder or a generator file; its hash is in the file's metadata.
        out: a name that ends in ``.onnx``.

    Raises:
        ConfigError: another suffix, or as ``to_onnx``.
        SaddleError: as ``to_onnx``, or ``out`` cannot be written; nothing is written then.
    """
    if out.suffix.lower() != ".onnx":
        raise ConfigError(f"an ONNX file cannot be called {out.name}", expected="the suffix .onnx", remedy="--out")
    check_out(out)
    network, scaling, header = open_generator(source)
    exported = to_onnx(network, scaling, header, description(header, source))
    with atomic_path(out) as temporary:
        temporary.write_bytes(exported.model)
    return exported.error


def to_onnx(network: nn.Module, scaling: Scaling, header: GeneratorHeader, described: dict[str, str]) -> Exported:
    """The graph of a generator, compared with torch by onnxruntime on 1,000 latents.

    Inputs are ``latents`` (batch, latent width); ``labels`` (batch, classes), the share of each class, for a
    conditional generator; ``inputs`` (batch, channels, H, W) in [0, 1] for one that learned from pairs. The output is
    ``samples``: images (batch, C, H, W) in [0, 1], or points (batch, d) in the data's units. All are float32.

    Args:
        network, scaling, header: of a generator, as ``open_generator`` gives them.
        described: texts that the file's metadata hold.

    Raises:
        ConfigError: a package is missing, or a network that has no such graph.
        SaddleError: onnxruntime's samples differ from torch's by more than 1e-5.
    """
    _check(network, header)
    whole = _Whole(network, scaling).eval()
    given = _examples(header, 2)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            whole,
            kwargs=given,
            dynamo=True,
            opset_version=_OPSET,
            input_names=list(given),
            output_names=["samples"],
            dynamic_shapes={name: {0: torch.export.Dim("batch")} for name in given},
            verbose=False,
        )
    assert program is not None
    model = _finished(program.model_proto, described)
    return Exported(model, _compare(model, whole, _examples(header, CHECKED)))


def description(header: GeneratorHeader, source: Path) -> dict[str, str]:
    """What the metadata of a file say about a generator: plain text, or JSON where it is more than a word."""
    file = RunFolder(source).generator if source.is_dir() else source
    return {
        "format": FORMAT,
        "saddle": metadata.version("saddle"),
        "recipe": header.recipe,
        "images_seen": str(header.images_seen),
        "data": Path(header.data).name,  # where the data lay is nobody's business
        "kind": header.kind,
        "shape": json.dumps(header.shape),
        "classes": json.dumps(header.class_names),
        "latent": header.latent.model_dump_json(),
        "inputs": "null" if header.inputs is None else header.inputs.model_dump_json(),
        "sha256": sha256(file.read_bytes()).hexdigest(),
    }


class _Whole(nn.Module):
    """A network with the scaling around it."""

    def __init__(self, network: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.network = network
        self.images = scaling.images
        self.factor: Tensor
        self.offset: Tensor
        self.register_buffer("factor", scaling.factor)
        self.register_buffer("offset", scaling.offset)

    def forward(self, latents: Tensor, labels: Tensor | None = None, inputs: Tensor | None = None) -> Tensor:
        if inputs is not None:
            made = self.network(latents, 255 * inputs * self.factor + self.offset)
        else:
            made = self.network(latents) if labels is None else self.network(latents, labels)
        values = (made.float() - self.offset) / self.factor
        return (values / 255).clamp(0, 1) if self.images else values


def _check(network: nn.Module, header: GeneratorHeader) -> None:
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigError(
            f"an export needs {' and '.join(missing)}, which this installation lacks",
            remedy="pip install 'saddle[onnx]'",
        )
    if isinstance(network, PixelCNN):
        raise ConfigError(
            "a pixelcnn cannot be exported: it draws each pixel after those before it, and not in one pass",
            expected="a generator that makes the whole image of one latent",
            remedy="`saddle sample` writes its samples to files, and `saddle serve` draws them on request",
        )
    if isinstance(header.network, CustomNetworkConfig) and header.class_names:
        raise ConfigError(
            "your own conditional module cannot be exported: it takes class indices, and the graph takes their shares",
            remedy="torch.onnx.export(generator.network, ...) exports it as it is",
        )


def _examples(header: GeneratorHeader, count: int) -> dict[str, Tensor]:
    """Latents numbered from 0 of seed 0, each class in turn, and noise for images."""
    classes = len(header.class_names)
    examples = {"latents": numbered(header.latent, 0, 0, count)}
    if classes:
        examples["labels"] = torch.eye(classes)[torch.arange(count) % classes]
    if header.inputs is not None:
        chance = torch.Generator().manual_seed(0)
        examples["inputs"] = torch.rand(count, header.inputs.channels, *header.shape[1:], generator=chance)
    return examples


def _finished(model: Any, described: dict[str, str]) -> bytes:
    """The model with its description, and without what the exporter notes of this machine, such as paths of code."""
    import onnx

    for each in (model.graph, *model.functions):
        for node in each.node:
            del node.metadata_props[:]
            node.doc_string = ""
        del each.metadata_props[:]
        each.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    model.graph.name, model.producer_name, model.producer_version = "generator", "saddle", described["saddle"]
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, described)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _compare(model: bytes, whole: nn.Module, examples: dict[str, Tensor]) -> float:
    """The largest difference between onnxruntime's and torch's samples.

    Raises:
        SaddleError: it is above the tolerance.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    largest = 0.0
    at_once = max(1, min(_AT_ONCE, 4_000_000 // prod(examples["latents"].shape[1:])))
    for start in range(0, CHECKED, at_once):
        piece = {name: value[start : start + at_once] for name, value in examples.items()}
        found = torch.from_numpy(session.run(None, {name: value.numpy() for name, value in piece.items()})[0])
        with torch.inference_mode():
            wanted = whole(**piece)
        differences = (found - wanted).abs() / wanted.abs().max().clamp_min(1)
        largest = max(largest, float(differences.nan_to_num(torch.inf).max()))
    if not largest <= TOLERANCE:
        raise SaddleError(
            "the exported generator makes other samples than this one",
            expected=f"differences of at most {TOLERANCE:g} over {CHECKED:,} latents",
            got=f"{largest:.2g}",
            remedy="nothing was written; please report it with the recipe and its settings",
        )
    return largest


@contextmanager
def _quiet() -> Yields[None]:
    """Without the exporter's remarks on its own insides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
