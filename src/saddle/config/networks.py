"""The sections of the config that describe networks and their latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Tag,
    model_validator,
)

from saddle.config.section import Fraction, PositiveFinite, Section


class LatentConfig(Section):
    """The distribution of z."""

    size: PositiveInt = 100
    distribution: Literal["normal", "uniform"] = "normal"
    low: float = -1.0  # of the uniform distribution
    high: float = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"latent.low must lie below latent.high, got {self.low} and {self.high}")
        return self


Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid", "maxout"]
Norm = Literal["none", "batch", "layer", "virtual"]  # virtual: of generators only


class MLPConfig(Section):
    """A stack of linear layers; see ``saddle.networks.mlp``."""

    family: Literal["mlp"] = "mlp"
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (256, 512)
    activation: Activation = "leaky_relu"
    slope: NonNegativeFloat = 0.2  # of leaky_relu
    pieces: PositiveInt = 5  # linear pieces of each maxout unit
    norm: Norm = "none"
    norm_after: bool = False  # the norm follows the activation instead of preceding it
    norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.1  # weight of the newest batch in the running statistics
    dropout: Fraction = 0.0  # share of activations dropped
    input_dropout: Fraction = 0.0  # the same on the network's input
    noise: NonNegativeFloat = 0.0  # standard deviation of Gaussian noise in training on what enters each further layer
    initialisation: Literal["default", "normal", "uniform", "orthogonal"] = "default"
    scale: PositiveFinite = 0.02  # normal: standard deviation; uniform: half width
    label_widths: tuple[PositiveInt, ...] = ()  # layers of the label's own before it joins; empty: it joins the input
    joint_widths: tuple[PositiveInt, ...] = ()  # layers after the two have joined
    joint_pieces: PositiveInt = 5  # maxout pieces of these

    @model_validator(mode="after")
    def _joined(self) -> Self:
        if bool(self.label_widths) != bool(self.joint_widths):
            raise ValueError("label_widths and joint_widths go together")
        return self


class GeneratorMLPConfig(MLPConfig):
    """As ``MLPConfig``, plus the output that decides the range of the data."""

    output: Literal["sigmoid", "tanh", "linear"] = "tanh"
    output_bias: Literal["zero", "marginals"] = "zero"  # marginals: a sigmoid G starts at the data's mean sample


class DCGANConfig(Section):
    """A stack of strided convolutions; see ``saddle.networks.dcgan``. The defaults are the paper's guidelines."""

    family: Literal["dcgan"] = "dcgan"
    width: PositiveInt = 64  # channels beside the image; twice as many with each halving of the grid,
    max_width: PositiveInt = 512  # up to this
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu"] = "leaky_relu"
    slope: NonNegativeFloat = 0.2  # of leaky_relu
    norm: Norm = "batch"
    dropout: Fraction = 0.0  # share of activations dropped
    initialisation: Literal["default", "normal", "orthogonal"] = "normal"
    scale: PositiveFinite = 0.02  # normal: standard deviation, of weights about 0 and of norms' factors about 1


class GeneratorDCGANConfig(DCGANConfig):
    """The generator's."""

    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu"] = "relu"
    upsampling: Literal["transposed", "resize"] = "transposed"  # resize: nearest neighbour, then a convolution
    output: Literal["sigmoid", "tanh", "linear"] = "tanh"


class DiscriminatorDCGANConfig(DCGANConfig):
    """The discriminator's."""

    input_norm: bool = False  # the norm follows the first convolution too


REGISTERED: dict[str, type[Section]] = {}  # the settings of families that are not saddle's own, by name


class RegisteredNetworkConfig(Section):
    """A network of a family that ``saddle.networks.families.register`` made known."""

    model_config = ConfigDict(extra="allow")

    family: str
    output: Literal["sigmoid", "tanh", "linear"] = "tanh"  # the range that a generator's data are brought to

    @model_validator(mode="after")
    def _known_settings(self) -> Self:
        if self.family not in REGISTERED:
            raise ValueError(f"there is no family of networks called {self.family!r}")
        _ = self.settings
        return self

    @property
    def settings(self) -> Section:
        """The family's own settings."""
        return REGISTERED[self.family].model_validate(self.model_extra)


class CustomNetworkConfig(Section):
    """A user's own ``nn.Module``, given through Python; recorded so that a resumed run can be compared."""

    family: Literal["custom"] = "custom"
    name: str
    parameters: NonNegativeInt
    output: Literal["sigmoid", "tanh", "linear"] = "tanh"  # the range that a generator's data are brought to


def _family(value: Any) -> Any:
    family = value.get("family", "mlp") if isinstance(value, Mapping) else getattr(value, "family", None)
    return _REGISTERED if family in REGISTERED else family


_REGISTERED = "a registered family"  # the tag of all of them
_Custom = Annotated[CustomNetworkConfig, Tag("custom")]
_Registered = Annotated[RegisteredNetworkConfig, Tag(_REGISTERED)]
GeneratorNetworkConfig = Annotated[
    Annotated[GeneratorMLPConfig, Tag("mlp")] | Annotated[GeneratorDCGANConfig, Tag("dcgan")] | _Custom | _Registered,
    Discriminator(_family),
]
DiscriminatorNetworkConfig = Annotated[
    Annotated[MLPConfig, Tag("mlp")] | Annotated[DiscriminatorDCGANConfig, Tag("dcgan")] | _Custom | _Registered,
    Discriminator(_family),
]
