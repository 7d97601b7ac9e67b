"""Files to share: the weights of a trained network, and everything that is needed to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from torch import Tensor, nn

from saddle.base.tensors import load_tensors, save_tensors
from saddle.config.networks import GeneratorNetworkConfig, LatentConfig
from saddle.config.schema import DiscriminatorConfig
from saddle.config.section import CountOrZero, Size
from saddle.data.scaling import Scaling
from saddle.errors import CheckpointError
from saddle.runs.folder import RunFolder

_NETWORK = "network."
_FACTOR, _OFFSET = "scaling.factor", "scaling.offset"
_LONGEST = 2000  # characters of what does not fit
# What the files of saddle are, by their format without its version.
_SORTS = {
    "saddle-generator": "a generator file",
    "saddle-classifier": "a classifier file",
    "saddle-checkpoint": "a checkpoint",
}


class NetworkHeader(BaseModel):
    """What the header of every such file says. Each kind of file adds its ``format``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    images_seen: CountOrZero
    shape: tuple[Size, ...]  # of one sample: (C, H, W) or (d,)
    class_names: tuple[str, ...]

    @field_validator("shape")
    @classmethod
    def _of_images_or_points(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (1, 3):
            raise ValueError(f"expected (C, H, W) or (d,), got {shape}")
        return shape


class InputsHeader(BaseModel):
    """What a generator makes its images of: images of the same size, with so many channels, fitted to it so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: Literal[1, 3, 4]
    fit: Literal["crop", "pad", "stretch"]


class GeneratorHeader(NetworkHeader):
    """What the header of a generator file says; ``class_names`` are empty when it takes no labels."""

    format: Literal["saddle-generator-1"] = "saddle-generator-1"
    kind: Literal["images", "points"]
    data: str
    latent: LatentConfig
    network: GeneratorNetworkConfig
    condition: Literal["concatenate", "embedding"]
    inputs: InputsHeader | None = None  # of one that learned from pairs

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if (self.kind == "images") != (len(self.shape) == 3):
            raise ValueError(f"{self.kind} cannot have the shape {self.shape}")
        translates = self.kind == "images" and not self.class_names and self.network.family in ("unet", "custom")
        if self.inputs is not None and not translates:
            raise ValueError("this generator takes no images")
        return self


class ClassifierHeader(NetworkHeader):
    """What the header of a classifier file says: the averaged D of a semi-supervised run."""

    format: Literal["saddle-classifier-1"] = "saddle-classifier-1"
    labelled: CountOrZero  # how many labels it was trained on
    discriminator: DiscriminatorConfig


Header = TypeVar("Header", bound=NetworkHeader)


def save_network(path: Path, state: Mapping[str, Tensor], scaling: Scaling, header: NetworkHeader) -> None:
    """Write a network's ``state_dict``, the scaling of its data and the header.

    Raises:
        CheckpointError: the file cannot be written; an older one is untouched.
    """
    tensors = {f"{_NETWORK}{name}": tensor for name, tensor in state.items()}
    tensors |= {_FACTOR: scaling.factor, _OFFSET: scaling.offset}
    save_tensors(path, tensors, header.model_dump(mode="json"))


def load_network(path: Path, kind: type[Header]) -> tuple[dict[str, Tensor], Scaling, Header]:
    """The weights, the scaling and the header that ``save_network`` wrote.

    Args:
        path: the file.
        kind: the header that it should have.

    Raises:
        CheckpointError: it is missing, damaged or another kind of file.
    """
    name = "classifier" if kind is ClassifierHeader else "generator"
    if path.is_file() and path.suffix != ".safetensors":
        raise CheckpointError(f"{path} is not a {name} file", expected="a run folder or a .safetensors file")
    tensors, raw = load_tensors(path)
    header = _parse(path, raw, kind, name)
    weights = {key.removeprefix(_NETWORK): value for key, value in tensors.items() if key.startswith(_NETWORK)}
    return weights, _scaling(path, tensors, header.shape), header


def missing_generator(run: RunFolder) -> CheckpointError:
    """Why a run's folder holds no generator file."""
    if members := run.all_members():
        return CheckpointError(
            f"{run.path} is a population of {len(members)}, each with a generator of its own",
            remedy=f"choose a member: {members[0].path} is the first, as is --member 0 where a command has it",
        )
    return CheckpointError(f"the run in {run.path} has no generator yet", remedy="train it until its first checkpoint")


def _parse(path: Path, raw: Any, kind: type[Header], name: str) -> Header:
    wanted: str = kind.model_fields["format"].default
    found = str(raw.get("format")) if isinstance(raw, dict) else ""
    if found != wanted:
        sort = _SORTS.get(found.rpartition("-")[0])
        if sort == f"a {name} file":
            raise CheckpointError(f"{path} is {sort} of another version of saddle", expected=wanted, got=found)
        remedy = f"give the run folder, or the {name}.safetensors in it"
        if kind is ClassifierHeader:
            remedy += ", which only semi-supervised runs have"
        is_not = f"is {sort}, not a {name} file" if sort else f"is not a {name} file of saddle"
        raise CheckpointError(f"{path} {is_not}", remedy=remedy)
    try:
        json.dumps(raw, ensure_ascii=False).encode()  # names in it are written to files
        return kind.model_validate(raw)
    except UnicodeEncodeError:
        raise CheckpointError(f"the header of {path} is not text in UTF-8") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise CheckpointError(
            f"the header of {path} is not that of a {name} file",
            got=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
        ) from None


def _scaling(path: Path, tensors: dict[str, Tensor], shape: tuple[int, ...]) -> Scaling:
    factor, offset = (tensors.get(name, torch.empty(0)) for name in (_FACTOR, _OFFSET))
    fits = all(
        given.dtype == torch.float32 and tuple(given.shape) in ((1,), shape) and given.isfinite().all()
        for given in (factor, offset)
    )
    if not fits or not factor.all():
        raise CheckpointError(
            f"{path} does not say how its network's data are scaled",
            expected=f"finite {_FACTOR}, without zeros, and {_OFFSET}, both float32 of shape (1,) or {shape}",
            got=f"{factor.dtype} {tuple(factor.shape)} and {offset.dtype} {tuple(offset.shape)}",
        )
    return Scaling(factor, offset, images=len(shape) == 3)


def fill(network: nn.Module, weights: dict[str, Tensor], path: Path, *, expected: str | None = None) -> None:
    """Give ``network`` the weights that came from ``path``.

    A network without values (``saddle.networks.memory``) takes these tensors for its own, so that nothing is allocated
    for weights that do not fit.

    Raises:
        CheckpointError: names, shapes or types do not fit; ``expected`` then says what would.
    """
    own = network.state_dict()
    without_values = any(tensor.is_meta for tensor in own.values())
    try:
        for name in own.keys() & weights.keys() if without_values else ():
            if weights[name].dtype != own[name].dtype:
                raise RuntimeError(f"{name} is {weights[name].dtype} in place of {own[name].dtype}")
        # They are views of the file, which may change.
        given = {name: tensor.clone() for name, tensor in weights.items()} if without_values else weights
        network.load_state_dict(given, assign=without_values)
    except RuntimeError as error:
        got = str(error)
        got = got if len(got) < _LONGEST else f"{got[:_LONGEST]}..."
        raise CheckpointError(f"the weights in {path} do not fit the network", expected=expected, got=got) from None
