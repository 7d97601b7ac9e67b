"""The config tree: every setting of a run, its type, its range and its default.

A recipe holds only what differs from these defaults; ``config.toml`` in the run folder holds them all.
Lengths and intervals count images seen by the discriminator.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, Tag, model_validator

from saddle.config.augment import AugmentConfig, NoAugmentConfig
from saddle.config.networks import (
    DiscriminatorNetworkConfig,
    GeneratorMLPConfig,
    GeneratorNetworkConfig,
    LatentConfig,
    MLPConfig,
)
from saddle.config.schedules import FractionNumber, NonNegativeNumber, PositiveNumber, stays_below_one
from saddle.config.section import Count, CountOrZero, Fraction, PositiveFinite, Role, Section, Size, chosen_by

Side = Annotated[int, Field(gt=0, le=65_536)]  # pixels


# What ``saddle.training.plan`` can choose.
Planned = Literal[
    "images",
    "batch_size",
    "data.mirror",
    "generator.network.width",
    "discriminator.network.width",
    "game.augment",
    "game.classification",
    "evaluate.every",
]


class DataConfig(Section):
    """Where real samples come from and how they are brought to one shape."""

    source: str = "digits"
    """a data set's name, or a path; empty: the user must give data"""
    split: Literal["train", "test"] = "train"
    """which part of the data is trained on"""
    size: Side | tuple[Side, Side] | None = None
    """side of the images, or [height, width]; none: as it is"""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """how images of another aspect ratio are brought to data.size"""
    channels: Literal[1, 3, 4] | None = None
    """none: 1 if all images are grey, else 3, with transparent images on white; 4 keeps the transparency"""
    binarise: Literal["no", "sampled", "threshold"] = "no"
    """to images of black and white alone; sampled: each value is white with its brightness as probability, drawn once
    and for all from the image's own pixels; threshold: from half brightness on"""
    pairs: Literal["none", "edges", "grey", "low", "left-to-right", "right-to-left", "folders"] = "none"
    """pairs of an input and a target, for networks that make one of the other; made of each image, which is the target:
    edges: its outlines; grey: without colour; low: at a quarter of its size; or read: left-to-right: each image file
    holds both, the input on the left; right-to-left: on the right; folders: the inputs lie in data.inputs"""
    inputs: str | None = None
    """with data.pairs = folders: a folder or zip of inputs that have the names of the targets in data.source"""
    mirror: bool = False
    """an image is mirrored left to right with probability one half, each time that it is shown"""
    columns: Annotated[tuple[CountOrZero | str, ...], Field(min_length=1)] | None = None
    """of a table, by name or by number from 0; none: all"""
    max_unreadable: Annotated[float, Field(ge=0, le=1)] = 0.01
    """a larger share of unreadable files refuses the run"""
    fingerprint: Annotated[str | None, Role.FOUND] = None
    """of the data, which a run records; when given, other data are refused"""
    first: Count | None = None
    """only so many of the first samples; none: all"""
    labelled: Count | None = None
    """labels shown to the semi-supervised game, equally many of each class"""
    held_out: Fraction = 0.05
    """share of data without a test split of their own that is not trained on; 0: none"""

    @model_validator(mode="after")
    def _with_inputs(self) -> Self:
        if (self.pairs == "folders") != (self.inputs is not None):
            raise ValueError("data.pairs = folders and data.inputs go together: --inputs FOLDER sets both")
        return self


class AdamConfig(Section):
    """Adam (Kingma & Ba 2015, algorithm 1)."""

    kind: Literal["adam"] = "adam"
    """the optimizer"""
    learning_rate: Annotated[PositiveNumber, Role.STEERED] = 2e-4
    """size of the steps"""
    betas: Annotated[tuple[FractionNumber, FractionNumber], Role.STEERED] = (0.5, 0.999)
    """how slowly the running means of the gradient and of its square change"""
    eps: PositiveFinite = 1e-8
    """added to the denominator of the step"""
    weight_decay: NonNegativeFloat = 0.0
    """the weights, times this, are added to the gradient"""

    @model_validator(mode="after")
    def _below_one(self) -> Self:
        if not all(map(stays_below_one, self.betas)):
            raise ValueError("betas must stay below 1")
        return self


class SGDConfig(Section):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"
    """the optimizer"""
    learning_rate: Annotated[PositiveNumber, Role.STEERED] = 0.1
    """size of the steps"""
    momentum: Annotated[FractionNumber, Role.STEERED] = 0.0
    """share of the last step that is taken again"""
    weight_decay: NonNegativeFloat = 0.0
    """the weights, times this, are added to the gradient"""

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
    condition: Literal["concatenate", "embedding"] = "concatenate"
    """how a label joins z, in a conditional game"""


class DiscriminatorConfig(Section):
    """D and its optimizer. D ends in a logit: the sigmoid belongs to the loss."""

    network: DiscriminatorNetworkConfig = MLPConfig()
    optimizer: OptimizerConfig = AdamConfig()
    condition: Literal["concatenate", "embedding", "projection"] = "concatenate"
    """how a label joins a sample, in a conditional game"""
    input_noise: NonNegativeFloat = 0.0
    """standard deviation of Gaussian noise on what D sees in training"""
    weights: Literal["plain", "spectral", "weight", "direction"] = "plain"
    """normalisation of every layer's weights: spectral norm, or weight norm; direction: weight norm whose lengths stay
    as the first batch has set them, except in the last layer"""
    freeze: Annotated[int, Field(ge=0, le=1_000)] = 0
    """first layers of D's body that stay as they were when the run began; with begin.source"""
    minibatch_kernels: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """of minibatch discrimination; 0: none"""
    minibatch_dimensions: Size = 5
    """of each kernel of minibatch discrimination"""

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
    """semi_supervised: D also learns to classify, from data.labelled labels"""
    loss: Literal["non_saturating", "saturating", "least_squares", "hinge", "wasserstein", "relativistic"] = (
        "non_saturating"
    )
    """what D and G minimise"""
    discriminator_weight: PositiveFinite = 1.0
    """factor on D's loss"""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """one-sided: D's target for real samples is 1 minus this"""
    r1: Annotated[NonNegativeNumber, Role.STEERED] = 0.0
    """gamma of the zero-centred gradient penalty on real samples"""
    r2: Annotated[NonNegativeNumber, Role.STEERED] = 0.0
    """gamma of the zero-centred gradient penalty on generated samples"""
    gradient_penalty: Annotated[NonNegativeNumber, Role.STEERED] = 0.0
    """lambda of WGAN-GP's penalty, between real and generated samples"""
    penalty_every: Annotated[Count, Role.STEERED] = 1
    """the penalties join D's loss in one of so many rounds, as many times as heavy"""
    clip: Annotated[NonNegativeFloat, Role.STEERED] = 0.0
    """D's weights are held within ±this after each of its steps; 0: free"""
    classification: NonNegativeNumber = 0.0
    """factor on the cross-entropy of classes in both losses: D classifies real samples, without their labels, and G's
    samples are to be found in the classes asked for; in a conditional game with discriminator.condition = projection"""
    feature_matching: Literal["none", "l1", "l2"] = "none"
    """replaces G's loss by the distance between D's mean features of real and of generated samples"""
    l1: Annotated[NonNegativeNumber, Role.STEERED] = 0.0
    """lambda of the mean absolute distance from the target in G's loss, in a game on pairs"""
    historical_averaging: NonNegativeFloat = 0.0
    """weight of the distance from the past's mean weights"""
    discriminator_steps: Size = 1
    """D's turns in a round"""
    packing: Size = 1
    """samples that D judges together"""
    update: Literal["alternating", "simultaneous"] = "alternating"
    """alternating: G learns from D after D's step; simultaneous: from D as it was before"""
    share: Literal["nothing", "samples", "pass"] = "nothing"
    """what G's turn takes over from D's last one: its generated samples, or D's judgement of them too"""
    augment: AugmentConfig = NoAugmentConfig()


class BeginConfig(Section):
    """What the networks are before the first round."""

    source: str = ""
    """a run's folder or a generator file, whose networks this run begins with; empty: weights are drawn"""
    digest: Annotated[str | None, Role.FOUND] = None
    """SHA-256 of the file it began with, which a run records; when given, other files are refused"""


class AverageConfig(Section):
    """The averaged generator: an exponential moving average of G's weights."""

    half_life: Annotated[NonNegativeNumber, Role.STEERED] = 0
    """images seen until a weight counts half; 0: no averaging"""
    rampup: NonNegativeFloat = 0.05
    """the half-life is at most this share of the images seen so far; 0: no ramp"""


class CheckpointConfig(Section):
    """When the whole state is saved."""

    every: Annotated[Count | Literal["auto"], Role.WATCH] = "auto"
    """images seen from one to the next; auto: ten times in the run, and at least every five minutes"""
    keep: Annotated[Count, Role.WATCH] = 2
    """how many of the newest are kept"""


class SamplesConfig(Section):
    """The grids from fixed latents."""

    every: Annotated[Count | Literal["auto"], Role.WATCH] = "auto"
    """images seen from one grid to the next; auto: 20 grids in the run"""
    count: Annotated[int, Field(gt=0, le=20_000)] = 64
    """samples in a grid"""


class EvaluateConfig(Section):
    """Scores of the averaged generator during training; the generator with the best one is kept."""

    every: Annotated[CountOrZero, Role.BEST] = 0
    """images seen from one score to the next; 0: never"""
    metric: Annotated[str, Role.BEST] = "fd"
    """decides which generator is the best"""
    count: Annotated[Count, Role.SCORES] = 5_000
    """samples scored each time"""
    extractor: Annotated[str | None, Role.SCORES] = None
    """the network whose features are compared; none: the one that suits the data"""


class HealthConfig(Section):
    """What a run does when its alarm says that it has failed; see docs/health.md."""

    on_collapse: Annotated[Literal["warn", "stop", "rollback"], Role.WATCH] = "warn"
    """warn: it is told, and the run goes on; stop: the run ends, with everything saved; rollback: it goes back to its
    last sound checkpoint with learning rates a quarter as large, and with a penalty on D's gradient if it had none"""
    rollbacks: Annotated[Count, Role.WATCH] = 3
    """how often a run goes back at most"""


class LogConfig(Section):
    """The lines of ``log.jsonl``."""

    every: Annotated[Count | Literal["auto"], Role.WATCH] = "auto"
    """images seen from one line to the next; auto: 50 lines in the run"""
    tensorboard: Annotated[bool, Role.EVENTS] = False
    """write TensorBoard events too"""


class VaryOptimizerConfig(Section):
    """Numbers of a player's optimizer that differ from member to member."""

    learning_rate: Annotated[tuple[PositiveFinite, ...], Field(min_length=1)] | None = None
    """of each member, in place of the player's learning_rate"""


class VaryPlayerConfig(Section):
    """A player's numbers that differ from member to member."""

    optimizer: VaryOptimizerConfig | None = None


class VaryGameConfig(Section):
    """Numbers of the game that differ from member to member."""

    discriminator_weight: Annotated[tuple[PositiveFinite, ...], Field(min_length=1)] | None = None
    """of each member, in place of game.discriminator_weight"""
    r1: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] | None = None
    """of each member, in place of game.r1"""
    r2: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] | None = None
    """of each member, in place of game.r2"""
    gradient_penalty: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] | None = None
    """of each member, in place of game.gradient_penalty"""


class VaryConfig(Section):
    """What differs between the members of a population: the setting's key behind ``vary``, and as many numbers."""

    generator: VaryPlayerConfig | None = None
    discriminator: VaryPlayerConfig | None = None
    game: VaryGameConfig | None = None


class Config(Section):
    """Everything that decides a run. Give either ``epochs`` or ``images``, not both."""

    recipe: str
    """the recipe's name"""
    learner: Literal["gan", "likelihood"] = "gan"
    """gan: G learns from D; likelihood: one network that has a likelihood, generator.network, learns from the data"""
    epochs: Annotated[Annotated[float, Field(gt=0, le=1_000_000)] | None, Role.LENGTH] = None
    """length of the run in passes over the data"""
    images: Annotated[Count | None, Role.LENGTH] = None
    """length of the run in images seen by D"""
    batch_size: Size = 64
    """real samples in each of D's turns"""
    seed: Annotated[int, Field(ge=0, lt=2**63), Role.SEED] = 0
    """decides everything random"""
    members: Annotated[int, Field(gt=0, le=10_000)] = 1
    """runs that are trained side by side as one: member 3 is the run whose seed is larger by 3"""
    auto: Annotated[tuple[Planned, ...], Role.CHOOSER] = ()
    """settings that are chosen from the data and the machine when the run begins, unless you give them"""
    device: Annotated[str, Role.FOUND] = "auto"
    """cpu, cuda, mps, or auto: the best that is there"""
    threads: Annotated[Annotated[int, Field(gt=0, le=1024)] | Literal["auto"], Role.THREADS] = "auto"
    """CPU threads; auto: what is measured to be fastest"""
    precision: Annotated[Literal["auto", "float32", "bfloat16", "tf32"], Role.FOUND] = "float32"
    """of the products in training; weights, losses, averages and metrics stay float32; auto: what is fastest here"""
    execution: Annotated[Literal["auto", "eager", "compile"], Role.THREADS] = "auto"
    """of a round; auto: on a GPU recorded once and replayed as a whole (CUDA graphs); eager: operation by operation;
    compile: as auto, and the turns are compiled by torch first, which takes a minute or more"""
    conditional: Annotated[bool | Literal["auto"], Role.FOUND] = False
    """labels go to G and D; auto: when the data have classes"""
    data: DataConfig = DataConfig()
    latent: LatentConfig = LatentConfig()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    game: GameConfig = GameConfig()
    begin: BeginConfig = BeginConfig()
    average: AverageConfig = AverageConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    samples: SamplesConfig = SamplesConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    health: HealthConfig = HealthConfig()
    log: LogConfig = LogConfig()
    vary: VaryConfig | None = None

    def total_images(self, store_size: int) -> int:
        """The length of the run in images seen, for a store of ``store_size`` samples."""
        return self.images if self.images is not None else round((self.epochs or 0) * store_size)
