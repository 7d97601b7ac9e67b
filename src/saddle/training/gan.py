"""The GAN as a learner: G, D, their averages and the game between them; Algorithm 1 of Goodfellow et al. 2014."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor, nn

from saddle.config.schema import Config
from saddle.errors import CheckpointError
from saddle.game.batch import Batch
from saddle.game.latents import draw, numbered
from saddle.game.order import Step, order_of_play
from saddle.game.rules import JudgedTurn, Turn, make_rule
from saddle.networks.sides import generate
from saddle.training.players import Player, averaging_weight, below, move_average


class GAN:
    """Both players, the averaged generator that samples are taken from, and the rule that they are scored by.

    Args:
        config: of the run.
        generator: latents (B, latent.size) → samples (B, *shape).
        discriminator: samples (B, *packed shape) → logits (B,); see ``saddle.networks.sides.Judging``.
        device: where they live.
        class_shares: how often each label occurs, in a conditional game; empty otherwise.
        replayed: whether rounds are recorded and replayed (see ``saddle.training.replay``).

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
    ) -> None:
        self.device = device
        game = config.game
        replayed_on = device if replayed else None
        self.rule = make_rule(game, discriminator, replayed_on)
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
        self._order = order_of_play(game)
        self._latent = config.latent
        self._average = config.average
        # Labels for generated samples are drawn as the real ones occur: D must not tell them apart by the label alone.
        self._label_edges = torch.tensor(class_shares, device=device).cumsum(0)[:-1] if class_shares else None
        # Without averaging, these are the players themselves. D is averaged where it is the result: a classifier.
        self.averaged = generator
        self.averaged_discriminator = discriminator
        self._averages: dict[str, tuple[nn.Module, nn.Module]] = {}
        if config.average.half_life:
            self.averaged = copy.deepcopy(generator).eval()
            self._averages["averaged"] = (self.averaged, generator)
        if config.average.half_life and game.rule == "semi_supervised":
            self.averaged_discriminator = copy.deepcopy(discriminator).eval()
            self._averages["averaged_discriminator"] = (self.averaged_discriminator, discriminator)

    @property
    def turns(self) -> int:
        """D's turns in a round."""
        return len(self._order)

    @property
    def result(self) -> nn.Module:
        """The averaged G."""
        return self.averaged

    def schedule(self, position: int) -> None:
        """Set the optimizers and the weights of the penalties for the round that begins at ``position``."""
        self.generator.schedule(position)
        self.discriminator.schedule(position)
        self.rule.schedule(position)

    def kind(self, number: int) -> Hashable:
        """Equal for rounds that do the same operations; see ``Learner.kind``."""
        return self.rule.kind(number)

    @property
    def obstacle(self) -> str | None:
        """Why rounds cannot be recorded and replayed; None if they can."""
        return self.generator.obstacle or self.discriminator.obstacle

    def play(self, batches: Sequence[Batch], number: int) -> dict[str, Tensor]:
        """One round: D's turns, then G's; the figures of D's last turn and of G's."""
        turns: dict[Player, Turn | JudgedTurn] = {}
        fake: Batch | None = None
        generator, discriminator, rule = self.generator, self.discriminator, self.rule
        for real, steps in zip(batches, self._order, strict=True):
            for step in steps:
                if step in (Step.SAMPLE, Step.SAMPLE_FOR_BOTH):
                    with torch.set_grad_enabled(step is Step.SAMPLE_FOR_BOTH):
                        fake = self.generate(real.size)
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

    def generate(self, count: int) -> Batch:
        """``count`` samples of G from fresh latents, with labels in a conditional game."""
        latents = draw(self._latent, count, self.device)
        if self._label_edges is None:
            return Batch(self.generator.network(latents).float())
        labels = torch.bucketize(torch.rand(count, device=self.device), self._label_edges, right=True)
        return Batch(self.generator.network(latents, labels).float(), labels)

    def follow(self, position: int, since: int) -> None:
        """Move the averages towards the players after a round of ``since`` images that ended at ``position``."""
        if not self._averages:
            return
        weight = averaging_weight(self._average, position, since)
        for averaged, live in self._averages.values():
            move_average(averaged, live, weight)

    def sample(self, seed: int, start: int, count: int, labels: Tensor | None = None) -> Tensor:
        """The samples numbered from ``start`` of stream ``seed``; see ``Learner.sample``."""
        latents = numbered(self._latent, seed, start, count).to(self.device)
        return generate(self.averaged, latents, None if labels is None else labels.to(self.device))

    def state(self) -> dict[str, Tensor]:
        """All state, by name."""
        parts = {"generator": self.generator.state(), "discriminator": self.discriminator.state()}
        parts |= {name: dict(averaged.state_dict()) for name, (averaged, _) in self._averages.items()}
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` gave.

        Raises:
            CheckpointError: names or shapes do not fit these networks.
        """
        try:
            self.generator.load(below("generator.", tensors))
            self.discriminator.load(below("discriminator.", tensors))
            for name, (averaged, _) in self._averages.items():
                averaged.load_state_dict(below(f"{name}.", tensors))
        except (RuntimeError, IndexError, KeyError) as error:
            raise CheckpointError("the checkpoint does not fit the networks of this run", got=error) from None
