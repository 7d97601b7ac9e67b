"""The classifier that the semi-supervised game trains: the averaged D with all it takes to use it, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from saddle.config.schema import DiscriminatorConfig
from saddle.data.feed import Scaling
from saddle.errors import CheckpointError
from saddle.tensors import load_tensors, save_tensors


class ClassifierHeader(BaseModel):
    """What the header of a classifier file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["saddle-classifier-1"] = "saddle-classifier-1"
    recipe: str
    images_seen: int
    shape: tuple[int, ...]  # of one sample: (C, H, W) or (d,)
    class_names: tuple[str, ...]
    labelled: int  # labels it was shown
    discriminator: DiscriminatorConfig


def save_classifier(path: Path, network: nn.Module, scaling: Scaling, header: ClassifierHeader) -> None:
    """Write the weights and buffers of ``network`` with the scaling of its input."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {"scaling.factor": scaling.factor, "scaling.offset": scaling.offset}
    save_tensors(path, tensors, header.model_dump(mode="json"))


def load_classifier_file(path: Path) -> tuple[dict[str, Tensor], Scaling, ClassifierHeader]:
    """The weights, the scaling and the header of a classifier file.

    Raises:
        CheckpointError: it is missing, damaged or no classifier file.
    """
    tensors, raw = load_tensors(path)
    try:
        header = ClassifierHeader.model_validate(raw)
    except ValidationError:
        raise CheckpointError(
            f"{path} is no classifier file", expected="format saddle-classifier-1", got=raw.get("format")
        ) from None
    scaling = Scaling(tensors["scaling.factor"], tensors["scaling.offset"], images=len(header.shape) == 3)
    weights = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
    return weights, scaling, header
