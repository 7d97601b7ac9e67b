"""The sections of the config that describe networks and their latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    Tag,
    model_validator,
)

from saddle.config.section import CountOrZero, Fraction, PositiveFinite, Section, Size


class LatentConfig(Section):
    """The distribution of z."""

    size: Size = 100
    """numbers in each z"""
    distribution: Literal["normal", "uniform"] = "normal"
    """normal: mean 0, standard deviation 1; uniform: between low and high"""
    low: float = -1.0
    """lower end of the uniform distribution"""
    high: float = 1.0
    """upper end of the uniform distribution"""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"latent.low must lie below latent.high, got {self.low} and {self.high}")
        return self


Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid", "maxout"]
Norm = Literal["none", "batch", "layer", "virtual"]
Output = Literal["sigmoid", "tanh", "linear"]
Widths = Annotated[tuple[Size, ...], Field(max_length=1_000)]


class MLPConfig(Section):
    """A stack of linear layers."""

    family: Literal["mlp"] = "mlp"
    """the kind of network"""
    widths: Annotated[Widths, Field(min_length=1)] = (512, 256)
    """units of each hidden layer"""
    activation: Activation = "leaky_relu"
    """of each hidden layer"""
    slope: NonNegativeFloat = 0.2
    """of leaky_relu, below zero"""
    pieces: Size = 5
    """linear pieces of each maxout unit"""
    norm: Norm = "none"
    """of each hidden layer; virtual (batch norm against a fixed reference batch) is of generators only"""
    norm_after: bool = False
    """the norm follows the activation instead of preceding it"""
    norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """weight of the newest batch in the running statistics of batch norm"""
    dropout: Fraction = 0.0
    """share of activations dropped in training"""
    input_dropout: Fraction = 0.0
    """share of the network's inputs dropped in training"""
    noise: NonNegativeFloat = 0.0
    """standard deviation of Gaussian noise in training on what enters each further layer"""
    initialisation: Literal["default", "normal", "uniform", "orthogonal"] = "default"
    """of the weights; default: PyTorch's own"""
    scale: PositiveFinite = 0.02
    """of the initial weights: their standard deviation if normal, their half width if uniform"""
    label_widths: Widths = ()
    """layers of the label's own before it joins; empty: it joins the input"""
    joint_widths: Widths = ()
    """layers after the label and the input have joined"""
    joint_pieces: Size = 5
    """linear pieces of each maxout unit in the joint layers"""

    @model_validator(mode="after")
    def _joined(self) -> Self:
        if bool(self.label_widths) != bool(self.joint_widths):
            raise ValueError("label_widths and joint_widths go together")
        return self


class GeneratorMLPConfig(MLPConfig):
    """A stack of linear layers; the output decides the range of the data."""

    widths: Annotated[Widths, Field(min_length=1)] = (256, 512)
    """units of each hidden layer"""
    output: Output = "tanh"
    """of the last layer; the data are brought to its range"""
    output_bias: Literal["zero", "marginals"] = "zero"
    """of the last layer at the start; marginals: a sigmoid G starts at the data's mean sample"""


class DCGANConfig(Section):
    """A stack of strided convolutions; see ``saddle.networks.dcgan``. The defaults are the paper's guidelines."""

    family: Literal["dcgan"] = "dcgan"
    """the kind of network"""
    width: Size = 64
    """channels beside the image; twice as many with each halving of the grid, up to max_width"""
    max_width: Size = 512
    """the most channels of a layer"""
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu"] = "leaky_relu"
    """of each hidden layer"""
    slope: NonNegativeFloat = 0.2
    """of leaky_relu, below zero"""
    norm: Norm = "batch"
    """of each hidden layer; virtual (batch norm against a fixed reference batch) is of generators only"""
    dropout: Fraction = 0.0
    """share of activations dropped in training"""
    initialisation: Literal["default", "normal", "orthogonal"] = "normal"
    """of the weights; default: PyTorch's own"""
    scale: PositiveFinite = 0.02
    """of a normal initialisation: standard deviation of the weights about 0 and of the norms' factors about 1"""


class GeneratorDCGANConfig(DCGANConfig):
    """Strided convolutions from z to images. The defaults are the paper's guidelines (Radford et al. 2015)."""

    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu"] = "relu"
    """of each hidden layer"""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """transposed convolutions, or resize: nearest neighbour, then a convolution"""
    output: Output = "tanh"
    """of the last layer; the data are brought to its range"""


class DiscriminatorDCGANConfig(DCGANConfig):
    """Strided convolutions on images. The defaults are the paper's guidelines (Radford et al. 2015)."""

    input_norm: bool = False
    """the norm follows the first convolution too"""


REGISTERED: dict[str, type[Section]] = {}  # the settings of families that are not saddle's own, by name


class RegisteredNetworkConfig(Section):
    """A network of a family that ``saddle.networks.families.register`` made known."""

    model_config = ConfigDict(extra="allow")

    family: str
    """the kind of network"""
    output: Output = "tanh"
    """of a generator; the data are brought to its range"""

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
    """Your own ``nn.Module``, given through Python; recorded so that a resumed run can be compared."""

    family: Literal["custom"] = "custom"
    """the kind of network"""
    name: str
    """of the module's class"""
    parameters: CountOrZero
    """how many the module has"""
    output: Output = "tanh"
    """of a generator; the data are brought to its range"""


def _family(value: Any) -> Any:
    family = value.get("family", "mlp") if isinstance(value, Mapping) else getattr(value, "family", None)
    return _REGISTERED if isinstance(family, str) and family in REGISTERED else family


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
