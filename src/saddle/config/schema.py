"""The config tree: every setting of a run, its type, its range and its default.

A recipe holds only what differs from these defaults; ``config.toml`` in the run folder holds them all.
Lengths and intervals count images seen by the discriminator.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, Tag, model_validator

from saddle.config.networks import (
    DiscriminatorNetworkConfig,
    GeneratorMLPConfig,
    GeneratorNetworkConfig,
    LatentConfig,
    MLPConfig,
)
from saddle.config.schedules import FractionNumber, NonNegativeNumber, PositiveNumber, stays_below_one
from saddle.config.section import Fraction, PositiveFinite, Section, chosen_by


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
    held_out: Fraction = 0.05  # share of data without a test split of their own that is not trained on; 0: none


class AdamConfig(Section):
    """Adam (Kingma & Ba 2015, algorithm 1)."""

    kind: Literal["adam"] = "adam"
    learning_rate: PositiveNumber = 2e-4
    betas: tuple[FractionNumber, FractionNumber] = (0.5, 0.999)
    eps: PositiveFinite = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _below_one(self) -> Self:
        if not all(map(stays_below_one, self.betas)):
            raise ValueError("betas must stay below 1")
        return self


class SGDConfig(Section):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"
    learning_rate: PositiveNumber = 0.1
    momentum: FractionNumber = 0.0
    weight_decay: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _below_one(self) -> Self:
        if not stays_below_one(self.momentum):
            raise ValueError("momentum must stay below 1")
        return self


OptimizerConfig = Annotated[
    Annotated[AdamConfig, Tag("adam")] | Annotated[SGDConfig, Tag("sgd")], chosen_by("kind", "adam")
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
        if getattr(self.network, "norm", "none") == "virtual":
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
    r1: NonNegativeNumber = 0.0  # gamma of the zero-centred gradient penalty on real samples
    r2: NonNegativeNumber = 0.0  # the same on generated samples
    gradient_penalty: NonNegativeNumber = 0.0  # lambda of WGAN-GP's penalty, between real and generated samples
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

    half_life: NonNegativeNumber = 0  # images seen until a weight counts half; 0: no averaging
    rampup: NonNegativeFloat = 0.05  # the half-life is at most this share of the images seen so far; 0: no ramp


class CheckpointConfig(Section):
    """When the whole state is saved."""

    every: PositiveInt | Literal["auto"] = "auto"  # auto: ten times in the run, and at least every five minutes
    keep: PositiveInt = 2


class SamplesConfig(Section):
    """The grids from fixed latents."""

    every: PositiveInt | Literal["auto"] = "auto"  # auto: 20 in the run
    count: PositiveInt = 64


class EvaluateConfig(Section):
    """Scores of the averaged generator during training; the generator with the best one is kept."""

    every: NonNegativeInt = 0  # 0: never
    metric: str = "fd"  # decides which generator is the best
    count: PositiveInt = 5_000  # samples scored
    extractor: str | None = None  # none: the one that suits the data


class LogConfig(Section):
    """The lines of ``log.jsonl``."""

    every: PositiveInt | Literal["auto"] = "auto"  # auto: 50 in the run
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

    def total_images(self, store_size: int) -> int:
        """The length of the run in images seen, for a store of ``store_size`` samples."""
        return self.images if self.images is not None else round((self.epochs or 0) * store_size)
