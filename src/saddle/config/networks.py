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
    codes: CountOrZero = 0
    """each z is joined by one of so many learned vectors, all equally likely; 0: none"""
    code_size: Size = 16
    """numbers in each of these vectors"""

    @property
    def width(self) -> int:
        """Numbers that a latent is written with: z, and for each code 1 if it is the chosen one, else 0."""
        return self.size + self.codes

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"latent.low must lie below latent.high, got {self.low} and {self.high}")
        if self.codes == 1:
            raise ValueError("latent.codes must be 0 or at least 2: a single code says nothing")
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
    dropout_in_samples: bool = False
    """dropout of hidden units stays in sampling: the last numbers of z decide it, one for each unit"""


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
    blocks: Annotated[int, Field(ge=0, le=100)] = 0
    """residual 3x3 convolutions after each doubling but the last; with any, the last one leads to width / 2 channels,
    and a convolution on the finest grid makes the image of them"""
    output: Output = "tanh"
    """of the last layer; the data are brought to its range"""


class DiscriminatorDCGANConfig(DCGANConfig):
    """Strided convolutions on images. The defaults are the paper's guidelines (Radford et al. 2015)."""

    input_norm: bool = False
    """the norm follows the first convolution too"""


class PixelCNNConfig(Section):
    """A distribution over images, drawn pixel by pixel: the network of ``learner = likelihood``.

    See ``saddle.networks.pixelcnn`` (van den Oord et al. 2016).
    """

    family: Literal["pixelcnn"] = "pixelcnn"
    """the kind of network"""
    levels: Annotated[int, Field(ge=2, le=256)] = 256
    """values that a pixel can have, in equal steps from black to white: 2 of binary images, 256 of any others"""
    width: Size = 32
    """features of each layer in either stack; a multiple of the channels"""
    blocks: Annotated[int, Field(gt=0, le=1_000)] = 8
    """layers after the first one"""
    kernel: Annotated[int, Field(ge=3, le=99)] = 5
    """side of their kernels, an odd number"""
    dropout: Fraction = 0.0
    """share of each layer's features dropped in training"""

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"generator.network.kernel of a pixelcnn is an odd number, got {self.kernel}")
        return self

    @property
    def output(self) -> Output:
        """The data are brought to [0, 1]."""
        return "sigmoid"


class R3GANConfig(Section):
    """Residual blocks with grouped convolutions; see ``saddle.networks.r3gan`` (Huang et al. 2024)."""

    family: Literal["r3gan"] = "r3gan"
    """the kind of network"""
    widths: Annotated[Widths, Field(min_length=1)] = (16, 32, 64, 128)
    """channels on each grid, the image's own first; the last number stands for all coarser grids too"""
    blocks: Annotated[tuple[Annotated[int, Field(ge=0, le=100)], ...], Field(min_length=1, max_length=100)] = (1,)
    """residual blocks on each grid, as widths"""
    expansion: Size = 2
    """how many times as many channels there are inside a block"""
    group_width: Size = 16
    """channels in each group of the 3x3 convolutions; it divides every width times expansion"""
    slope: NonNegativeFloat = 0.2
    """of leaky_relu, below zero"""

    @model_validator(mode="after")
    def _in_groups(self) -> Self:
        for inner in (width * self.expansion for width in self.widths):
            if inner % self.group_width:
                raise ValueError(
                    f"group_width must divide every width times expansion, got {self.group_width} and {inner}"
                )
        return self


class GeneratorR3GANConfig(R3GANConfig):
    """Learned maps that z weighs, residual blocks and bilinear resampling up to the image (Huang et al. 2024)."""

    output: Output = "linear"
    """of the last layer; the data are brought to its range"""


class DiscriminatorR3GANConfig(R3GANConfig):
    """Residual blocks and bilinear resampling down to a product with learned maps (Huang et al. 2024)."""

    features: CountOrZero = 0
    """numbers that a last linear layer makes for the head; 0: none, the head sees the channels of the coarsest grid"""


class UNetConfig(Section):
    """An image of another one: halved down to a vector and doubled up again, with skips between (Isola et al. 2017)."""

    family: Literal["unet"] = "unet"
    """the kind of network"""
    width: Size = 32
    """channels after the first halving of the image; twice as many with each further one, up to max_width"""
    max_width: Size = 256
    """the most channels of a layer on the way down"""
    norm: Literal["none", "batch", "instance"] = "batch"
    """batch: by the statistics of the batch in training, and of each image alone in sampling; instance: of each image
    alone in both"""
    dropout: Fraction = 0.5
    """share of features dropped, in training and in sampling: z says which, and is the only noise that G has"""
    dropout_layers: Annotated[int, Field(ge=0, le=100)] = 3
    """layers with dropout, the first ones on the way up"""
    slope: NonNegativeFloat = 0.2
    """of leaky_relu on the way down, below zero"""
    scale: PositiveFinite = 0.02
    """standard deviation of the initial weights about 0 and of the norms' factors about 1"""
    output: Output = "tanh"
    """of the last layer; the data are brought to its range"""


class PatchGANConfig(Section):
    """A discriminator of patches: a logit for each of many overlapping parts of an image (Isola et al. 2017)."""

    family: Literal["patchgan"] = "patchgan"
    """the kind of network"""
    layers: Annotated[int, Field(gt=0, le=20)] = 3
    """strided convolutions, fewer where the image is too small: 1 gives patches of 16 pixels, 2 of 34, 3 of 70"""
    width: Size = 32
    """channels of the first layer; twice as many in each further one, up to max_width"""
    max_width: Size = 256
    """the most channels of a layer"""
    norm: Literal["none", "batch", "instance"] = "batch"
    """of each hidden layer but the first; batch: by the statistics of the batch; instance: of each image alone"""
    slope: NonNegativeFloat = 0.2
    """of leaky_relu, below zero"""
    initialisation: Literal["default", "normal", "orthogonal"] = "normal"
    """of the weights; default: PyTorch's own"""
    scale: PositiveFinite = 0.02
    """of a normal initialisation: standard deviation of the weights about 0 and of the norms' factors about 1"""


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
    Annotated[GeneratorMLPConfig, Tag("mlp")]
    | Annotated[GeneratorDCGANConfig, Tag("dcgan")]
    | Annotated[GeneratorR3GANConfig, Tag("r3gan")]
    | Annotated[UNetConfig, Tag("unet")]
    | Annotated[PixelCNNConfig, Tag("pixelcnn")]
    | _Custom
    | _Registered,
    Discriminator(_family),
]
DiscriminatorNetworkConfig = Annotated[
    Annotated[MLPConfig, Tag("mlp")]
    | Annotated[DiscriminatorDCGANConfig, Tag("dcgan")]
    | Annotated[DiscriminatorR3GANConfig, Tag("r3gan")]
    | Annotated[PatchGANConfig, Tag("patchgan")]
    | _Custom
    | _Registered,
    Discriminator(_family),
]
