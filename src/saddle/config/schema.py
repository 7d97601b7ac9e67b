"""The config tree: every setting of a run, its type, its range and its default.

A recipe holds only what differs from these defaults; ``config.toml`` in the run folder holds them all.
Lengths and intervals count images seen by the discriminator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Tag,
    model_validator,
)

from saddle.config.consistent import contradictions

PositiveFinite = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def _tagged(key: str, default: str) -> Discriminator:
    """Choose a union's member by ``key``, which may be left out."""

    def choose(value: Any) -> Any:
        return value.get(key, default) if isinstance(value, Mapping) else getattr(value, key, None)

    return Discriminator(choose)


class Section(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class DataConfig(Section):
    """Where real samples come from and how they are brought to one shape."""

    source: str = "digits"  # a data set's name, or a path
    split: Literal["train", "test"] = "train"
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None  # side, or [height, width]; none: as it is
    fit: Literal["crop", "pad", "stretch"] = "crop"  # how another aspect ratio is brought to `size`
    channels: Literal[1, 3, 4] | None = None  # none: the fewest that lose nothing
    columns: Annotated[tuple[NonNegativeInt | str, ...], Field(min_length=1)] | None = None  # of a table, by name or
    # by number from 0; none: all
    max_unreadable: Annotated[float, Field(ge=0, le=1)] = 0.01  # a larger share of unreadable files refuses the run
    fingerprint: str | None = None  # when given, other data are refused
    first: PositiveInt | None = None  # only so many of the first samples
    labelled: PositiveInt | None = None  # labels shown to the semi-supervised game, equally many of each class


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


class CustomNetworkConfig(Section):
    """A user's own ``nn.Module``, given through Python; recorded so that a resumed run can be compared."""

    family: Literal["custom"] = "custom"
    name: str
    parameters: NonNegativeInt
    output: Literal["sigmoid", "tanh", "linear"] = "tanh"  # the range that a generator's data are brought to


class ExponentialSchedule(Section):
    """Divided by ``divisor`` for every ``every`` images seen, down to ``minimum``."""

    kind: Literal["exponential"] = "exponential"
    divisor: Annotated[float, Field(gt=1)]
    every: PositiveInt
    minimum: NonNegativeFloat = 0.0


class LinearSchedule(Section):
    """A straight line to ``to``, from ``start`` to ``end`` images seen; constant before and after."""

    kind: Literal["linear"] = "linear"
    to: NonNegativeFloat
    start: NonNegativeInt = 0
    end: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"a linear schedule must start before it ends, got {self.start} and {self.end}")
        return self


Schedule = Annotated[
    Annotated[ExponentialSchedule, Tag("exponential")] | Annotated[LinearSchedule, Tag("linear")],
    _tagged("kind", "linear"),
]


class AdamConfig(Section):
    """Adam (Kingma & Ba 2015, algorithm 1)."""

    kind: Literal["adam"] = "adam"
    learning_rate: PositiveFinite = 2e-4
    schedule: Schedule | None = None  # of the learning rate
    betas: tuple[Fraction, Fraction] = (0.5, 0.999)
    eps: PositiveFinite = 1e-8
    weight_decay: NonNegativeFloat = 0.0


class SGDConfig(Section):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"
    learning_rate: PositiveFinite = 0.1
    schedule: Schedule | None = None  # of the learning rate
    momentum: Fraction = 0.0
    momentum_schedule: Schedule | None = None

    @model_validator(mode="after")
    def _below_one(self) -> Self:
        if isinstance(self.momentum_schedule, LinearSchedule) and self.momentum_schedule.to >= 1:
            raise ValueError(f"momentum_schedule.to must lie below 1, got {self.momentum_schedule.to}")
        return self

    weight_decay: NonNegativeFloat = 0.0


OptimizerConfig = Annotated[
    Annotated[AdamConfig, Tag("adam")] | Annotated[SGDConfig, Tag("sgd")], _tagged("kind", "adam")
]
GeneratorNetworkConfig = Annotated[
    Annotated[GeneratorMLPConfig, Tag("mlp")]
    | Annotated[GeneratorDCGANConfig, Tag("dcgan")]
    | Annotated[CustomNetworkConfig, Tag("custom")],
    _tagged("family", "mlp"),
]
DiscriminatorNetworkConfig = Annotated[
    Annotated[MLPConfig, Tag("mlp")]
    | Annotated[DiscriminatorDCGANConfig, Tag("dcgan")]
    | Annotated[CustomNetworkConfig, Tag("custom")],
    _tagged("family", "mlp"),
]


class GeneratorConfig(Section):
    """G and its optimizer."""

    network: GeneratorNetworkConfig = GeneratorMLPConfig()
    optimizer: OptimizerConfig = AdamConfig()
    condition: Literal["concatenate", "embedding"] = "concatenate"  # how a label joins z, in a conditional game


class DiscriminatorConfig(Section):
    """D and its optimizer. D ends in a logit: the sigmoid belongs to the loss."""

    network: DiscriminatorNetworkConfig = MLPConfig(widths=(512, 256))
    optimizer: OptimizerConfig = AdamConfig()
    condition: Literal["concatenate", "embedding", "projection"] = "concatenate"  # how a label joins a sample
    input_noise: NonNegativeFloat = 0.0  # standard deviation of Gaussian noise on what D sees in training
    # Normalisation of every layer: spectral, or weight norm; direction: weight norm whose lengths do not move after the
    # first batch has set them, those of the last layer apart.
    weights: Literal["plain", "spectral", "weight", "direction"] = "plain"
    minibatch_kernels: NonNegativeInt = 0  # of minibatch discrimination; 0: none
    minibatch_dimensions: PositiveInt = 5  # of each kernel

    @model_validator(mode="after")
    def _no_reference(self) -> Self:
        if not isinstance(self.network, CustomNetworkConfig) and self.network.norm == "virtual":
            raise ValueError(
                "discriminator.network.norm: virtual is of generators only, its reference batch is latents"
            )
        return self


class GameConfig(Section):
    """What D and G are scored on, and in which order they play."""

    rule: Literal["plain", "semi_supervised"] = "plain"
    loss: Literal["non_saturating", "saturating", "least_squares", "hinge", "wasserstein", "relativistic"] = (
        "non_saturating"
    )
    discriminator_weight: PositiveFinite = 1.0  # factor on D's loss
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0  # one-sided: D's target for real is 1 - this
    r1: NonNegativeFloat = 0.0  # gamma of the zero-centred gradient penalty on real samples
    r2: NonNegativeFloat = 0.0  # the same on generated samples
    gradient_penalty: NonNegativeFloat = 0.0  # lambda of WGAN-GP's penalty, between real and generated samples
    penalty_every: PositiveInt = 1  # the penalties join D's loss in one of so many rounds, as many times as heavy
    clip: NonNegativeFloat = 0.0  # D's weights are held within ±this after each of its steps; 0: free
    feature_matching: Literal["none", "l1", "l2"] = "none"  # replaces G's loss by the distance of D's mean features
    historical_averaging: NonNegativeFloat = 0.0  # weight of the distance from the past's mean weights
    discriminator_steps: PositiveInt = 1  # D's turns in a round
    packing: PositiveInt = 1  # samples that D judges together
    update: Literal["alternating", "simultaneous"] = "alternating"  # simultaneous: G learns from D as it was
    share: Literal["nothing", "samples", "pass"] = "nothing"  # what G's turn takes from D's last: G's pass, or D's too


class AverageConfig(Section):
    """The averaged generator: an exponential moving average of G's weights."""

    half_life: NonNegativeInt = 0  # images seen until a weight counts half; 0: no averaging
    rampup: NonNegativeFloat = 0.05  # the half-life is at most this share of the images seen so far; 0: no ramp


class CheckpointConfig(Section):
    """When the whole state is saved."""

    every: PositiveInt = 200_000
    keep: PositiveInt = 2


class SamplesConfig(Section):
    """The grids from fixed latents."""

    every: PositiveInt = 200_000
    count: PositiveInt = 64


class EvaluateConfig(Section):
    """Scores of the averaged generator during training; the generator with the best one is kept."""

    every: NonNegativeInt = 0  # 0: never
    metric: str = "fd"  # decides which generator is the best
    count: PositiveInt = 5_000  # samples scored
    extractor: str | None = None  # none: the one that suits the data


class LogConfig(Section):
    """The lines of ``log.jsonl``."""

    every: PositiveInt = 20_000
    tensorboard: bool = False


class Config(Section):
    """Everything that decides a run. Give either ``epochs`` or ``images``, not both."""

    recipe: str
    epochs: PositiveFinite | None = None
    images: PositiveInt | None = None
    batch_size: PositiveInt = 64
    seed: NonNegativeInt = 0
    device: str = "auto"
    threads: PositiveInt | Literal["auto"] = "auto"
    conditional: bool | Literal["auto"] = False  # labels go to G and D; auto: when the data have classes
    data: DataConfig = DataConfig()
    latent: LatentConfig = LatentConfig()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    game: GameConfig = GameConfig()
    average: AverageConfig = AverageConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    samples: SamplesConfig = SamplesConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if found := list(contradictions(self)):
            raise ValueError("\n  ".join(found))
        return self

    def total_images(self, store_size: int) -> int:
        """The length of the run in images seen, for a store of ``store_size`` samples."""
        return self.images if self.images is not None else round((self.epochs or 0) * store_size)
