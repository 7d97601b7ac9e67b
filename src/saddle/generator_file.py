"""The file that one shares: the averaged generator's weights, and all it takes to use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from saddle.config.schema import GeneratorNetworkConfig, LatentConfig
from saddle.data.feed import Scaling
from saddle.errors import CheckpointError
from saddle.tensors import load_tensors, save_tensors


class GeneratorHeader(BaseModel):
    """What the header of a generator file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["saddle-generator-1"] = "saddle-generator-1"
    recipe: str
    images_seen: int
    kind: Literal["images", "points"]
    shape: tuple[int, ...]  # of one sample: (C, H, W) or (d,)
    class_names: tuple[str, ...]  # of the labels it takes; empty when it takes none
    data: str
    latent: LatentConfig
    network: GeneratorNetworkConfig
    condition: Literal["concatenate", "embedding"]


def save_generator(path: Path, network: nn.Module, scaling: Scaling, header: GeneratorHeader) -> None:
    """Write the weights and buffers of ``network`` with the scaling of its output."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {"scaling.factor": scaling.factor, "scaling.offset": scaling.offset}
    save_tensors(path, tensors, header.model_dump(mode="json"))


def load_generator(path: Path) -> tuple[dict[str, Tensor], Scaling, GeneratorHeader]:
    """The weights, the scaling and the header of a generator file.

    Raises:
        CheckpointError: it is missing, damaged or no generator file.
    """
    if path.is_file() and path.suffix != ".safetensors":
        raise CheckpointError(f"{path} is no generator file", expected="a run folder or a .safetensors file")
    tensors, raw = load_tensors(path)
    header = _parse(path, raw)
    try:
        scaling = Scaling(tensors["scaling.factor"], tensors["scaling.offset"], images=header.kind == "images")
    except KeyError:
        raise CheckpointError(f"{path} is no generator file", expected="the scaling of its output") from None
    weights = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
    return weights, scaling, header


def _parse(path: Path, raw: Any) -> GeneratorHeader:
    try:
        return GeneratorHeader.model_validate(raw)
    except ValidationError as error:
        found = raw.get("format", "nothing") if isinstance(raw, dict) else type(raw).__name__
        raise CheckpointError(
            f"{path} is no generator file of this version of saddle",
            expected="format saddle-generator-1",
            got=f"{found}; {error.errors()[0]['msg']}",
        ) from None
