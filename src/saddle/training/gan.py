"""The GAN as a learner: G, D, their averages and the game between them; Algorithm 1 of Goodfellow et al. 2014."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from saddle.base import processes
from saddle.base.chance import stream
from saddle.config.members import factors, shared_config
from saddle.config.networks import LatentConfig
from saddle.config.schema import Config
from saddle.errors import CheckpointError
from saddle.game.augment import augment_of
from saddle.game.batch import Batch
from saddle.game.latents import draw, numbered
from saddle.game.order import Step, order_of_play
from saddle.game.rules import JudgedTurn, Turn, rule_of
from saddle.networks.population import Chance, Population
from saddle.networks.sides import generate
from saddle.training.compiled import compile_turns
from saddle.training.players import Average, Player, averaging_weight, below, scale_steps

# The numbers of the game that may differ between members: which part of D's loss each is a factor of.
_PARTS = {
    "game.discriminator_weight": "discriminator_loss",
    "game.r1": "r1",
    "game.r2": "r2",
    "game.gradient_penalty": "gradient_penalty",
}


class GAN:
    """Both players, the averaged generator that samples are taken from, and the rule that they are scored by.

    Args:
        config: of the run, or of the population.
        generator: latents (B, latent.size), and labels or inputs → samples (B, *shape).
        discriminator: samples (B, *packed shape) → logits (B,); see ``saddle.networks.sides.Judging``.
        device: where they live.
        class_shares: how often each label occurs, in a conditional game; empty otherwise.
        replayed: whether rounds are recorded and replayed (see ``saddle.training.replay``).
        chance: what the networks of a population draw from; both are ``Population``s then.

    Raises:
        ConfigError: this discriminator cannot play the game.
    """

    def __init__(
        self,
        config: Config,
        generator: nn.Module,
        discriminator: nn.Module,
        device: torch.device,
        class_shares: Sequence[float] = (),
        *,
        replayed: bool = False,
        chance: Chance | None = None,
    ) -> None:
        self.device = device
        self.members = config.members
        self._seeds = [config.seed + member for member in range(config.members)]
        self._chance = chance or Chance(device)
        differing = {key: torch.tensor(values, device=device) for key, values in factors(config).items()}
        config = shared_config(config)
        game = config.game
        replayed_on = device if replayed else None
        compiled = config.execution == "compile"
        of_parts = {name: differing[key] for key, name in _PARTS.items() if key in differing}
        numbers_on = device if replayed or compiled else None
        black = 0.0 if config.generator.network.output == "sigmoid" else -1.0
        augment = augment_of(game.augment, device, self._chance, black=black)
        classes = len(class_shares)
        self.rule = rule_of(game)(game, discriminator, numbers_on, self._chance, of_parts, augment, classes)
        if compiled:
            compile_turns(self.rule)
        self.generator = Player(
            generator.to(device).train(),
            config.generator.optimizer,
            historical=game.historical_averaging,
            replayed_on=replayed_on,
        )
        self.discriminator = Player(
            discriminator.to(device).train(),
            config.discriminator.optimizer,
            clip=game.clip,
            historical=game.historical_averaging,
            replayed_on=replayed_on,
        )
        for player, name in ((self.generator, "generator"), (self.discriminator, "discriminator")):
            if (of_steps := differing.get(f"{name}.optimizer.learning_rate")) is not None:
                scale_steps(player, of_steps)
        self._own = "custom" in (config.generator.network.family, config.discriminator.network.family)
        self._order = order_of_play(game)
        self._latent = config.latent
        self._average = config.average
        # Labels for generated samples are drawn as the real ones occur: D must not tell them apart by the label alone.
        self._label_edges = torch.tensor(class_shares, device=device).cumsum(0)[:-1] if class_shares else None
        # Without averaging, these are the players themselves. D is averaged where it is the result: a classifier.
        self.averaged = generator
        self.averaged_discriminator = discriminator
        self._averages: dict[str, Average] = {}
        if config.average.half_life:
            self._averages["averaged"] = Average(generator)
            self.averaged = self._averages["averaged"].network
        if config.average.half_life and game.rule == "semi_supervised":
            self._averages["averaged_discriminator"] = Average(discriminator)
            self.averaged_discriminator = self._averages["averaged_discriminator"].network

    @property
    def turns(self) -> int:
        """D's turns in a round."""
        return len(self._order)

    @property
    def result(self) -> nn.Module:
        """The averaged G."""
        return self.averaged

    def retune(self, config: Config) -> None:
        """Take over the numbers that may change while a run goes on; see ``Learner.retune``."""
        config = shared_config(config)
        self.rule.retune(config.game)
        self.generator.retune(config.generator.optimizer)
        self.discriminator.retune(config.discriminator.optimizer, config.game.clip)
        self._average = config.average

    def schedule(self, position: int) -> None:
        """Set the optimizers and the weights of the penalties for the round that begins at ``position``.

        It seeds the members of a population too, since torch's global generators are those of a single run.
        """
        self._chance.seed([stream(seed, "round", position) for seed in self._seeds])
        self.generator.schedule(position)
        self.discriminator.schedule(position)
        self.rule.schedule(position)

    def kind(self, number: int) -> Hashable:
        """Equal for rounds that do the same operations; see ``Learner.kind``."""
        return self.rule.kind(number)

    @property
    def obstacle(self) -> str | None:
        """Why rounds cannot be recorded and replayed; None if they can."""
        if processes.count() > 1:
            return "several processes exchange their gradients in the middle of a round"
        if self._own:
            return "a module of your own may compute something in Python, which a recording would not repeat"
        return self.generator.obstacle or self.discriminator.obstacle

    @property
    def generators(self) -> Sequence[torch.Generator]:
        """Those of a population's members; see ``Learner.generators``."""
        return self._chance.generators

    def play(self, batches: Sequence[Batch], number: int) -> dict[str, Tensor]:
        """One round: D's turns, then G's; the figures of D's last turn and of G's."""
        turns: dict[Player, Turn | JudgedTurn] = {}
        fake: Batch | None = None
        generator, discriminator, rule = self.generator, self.discriminator, self.rule
        for real, steps in zip(batches, self._order, strict=True):
            for step in steps:
                if step in (Step.SAMPLE, Step.SAMPLE_FOR_BOTH):
                    with torch.set_grad_enabled(step is Step.SAMPLE_FOR_BOTH):
                        fake = self.generate(real.size, self._shared(real))
                    continue
                assert fake is not None
                match step:
                    case Step.SCORE_D:
                        turns[discriminator] = rule.discriminator_turn(real, fake, number)
                    case Step.SCORE_G:
                        turns[generator] = rule.generator_turn(real, fake)
                    case Step.SCORE_BOTH:
                        turns[discriminator], turns[generator] = rule.joint_turn(real, fake, number)
                    case Step.MOVE_D:
                        discriminator.step(turns[discriminator].loss)
                    case Step.MOVE_G:  # one judgement of both is needed once more, for D
                        generator.step(turns[generator].loss, retain_graph=Step.SCORE_BOTH in steps)
        return turns[discriminator].figures | turns[generator].figures

    def turn(self, player: str, real: Batch, number: int) -> None:
        """One turn of ``D`` or ``G`` beside the rounds; see ``saddle.training.learner.Turning``."""
        with torch.set_grad_enabled(player == "G"):
            fake = self.generate(real.size, self._shared(real))
        if player == "D":
            self.discriminator.step(self.rule.discriminator_turn(real, fake, number).loss)
        else:
            self.generator.step(self.rule.generator_turn(real, fake).loss)

    def _shared(self, real: Batch) -> Tensor | None:
        """What generated samples have in common with ``real``: inputs, or labels where the loss compares pairs.

        Pairs of one class differ in nothing that the class decides (the pairs are those of Huang et al. 2024, eq. 2).
        """
        return real.condition if self.rule.compares else real.inputs

    def generate(self, count: int, condition: Tensor | None = None) -> Batch:
        """``count`` samples of G for each member from fresh latents.

        Args:
            count: how many.
            condition: their labels (members · count,), or in a game on pairs what they are made of, (members · count,
                channels, H, W). None: in a conditional game labels are drawn as the real ones occur.
        """
        # Several processes draw those of the whole batch, so that together they train as one would.
        each, whole = self._chance.each, processes.whole(count)
        latents = processes.part(each(lambda chance: draw(self._latent, whole, self.device, chance)))
        if condition is None and self._label_edges is not None:
            places = processes.part(each(lambda chance: torch.rand(whole, device=self.device, generator=chance)))
            condition = torch.bucketize(places, self._label_edges, right=True)
        given = () if condition is None else (condition,)
        return Batch(self.generator.network(latents, *given).float(), condition, members=self.members)

    def follow(self, position: int, since: int) -> None:
        """Move the averages towards the players after a round of ``since`` images that ended at ``position``."""
        if not self._averages:
            return
        weight = averaging_weight(self._average, position, since)
        for average in self._averages.values():
            average.move(weight)

    def sample(self, seed: int, start: int, count: int, condition: Tensor | None = None) -> Tensor:
        """The samples numbered from ``start`` of stream ``seed``; see ``Learner.sample``. Not of a population."""
        return Member(self.averaged, self._latent, self.device).sample(seed, start, count, condition)

    def member(self, number: int) -> Member:
        """What samples of one member of a population are drawn from; it follows the training."""
        assert isinstance(self.averaged, Population)
        return Member(self.averaged.member(number), self._latent, self.device)

    @property
    def sights(self) -> Sequence[Callable[[Tensor], Tensor] | None]:
        """For each member what its D sees of samples (n, C, H, W) at present, as an example; None: as they are."""
        augment = self.rule.augment
        if augment is None:
            return [None] * self.members
        return [partial(augment.example, member=number) for number in range(self.members)]

    def classifier(self, number: int) -> nn.Module:
        """One member's averaged D, in a semi-supervised game; it follows the training."""
        assert isinstance(self.averaged_discriminator, Population)
        return self.averaged_discriminator.member(number)

    @torch.no_grad()
    def forget(self, number: int) -> None:
        """Set all that one member of a population has learnt to zero."""
        for tensor in self.state().values():
            if tensor.dim():
                tensor[number].zero_()

    def state(self) -> dict[str, Tensor]:
        """All state, by name."""
        parts = {"generator": self.generator.state(), "discriminator": self.discriminator.state()}
        parts |= {name: dict(average.network.state_dict()) for name, average in self._averages.items()}
        if self.rule.augment is not None:
            parts["augment"] = self.rule.augment.state()
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` gave.

        Raises:
            CheckpointError: names or shapes do not fit these networks.
        """
        try:
            self.generator.load(below("generator.", tensors))
            self.discriminator.load(below("discriminator.", tensors))
            for name, average in self._averages.items():
                average.network.load_state_dict(below(f"{name}.", tensors))
            if self.rule.augment is not None:
                self.rule.augment.load(below("augment.", tensors))
        except (RuntimeError, IndexError, KeyError) as error:
            raise CheckpointError("the checkpoint does not fit the networks of this run", got=error) from None


class Member(NamedTuple):
    """A generator that samples are drawn from while it is trained.

    Args:
        result: the network.
        latent: distribution of its latents.
        device: where it lives.
    """

    result: nn.Module
    latent: LatentConfig
    device: torch.device

    def sample(self, seed: int, start: int, count: int, condition: Tensor | None = None) -> Tensor:
        """The samples numbered from ``start`` of stream ``seed``; see ``Learner.sample``."""
        latents = numbered(self.latent, seed, start, count).to(self.device)
        return generate(self.result, latents, None if condition is None else condition.to(self.device))
