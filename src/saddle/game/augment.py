"""Augmentation: D never sees samples as they are, real or generated, but as random transformations leave them.

With few images D learns them by heart, and G then has nothing more to learn from it. What D sees is transformed in all
turns and on both sides, and G learns through the transformations, so that it learns the distribution of the images
themselves, as long as no transformation falls on nearly all of them (Karras et al. 2020, "Training generative
adversarial networks with limited data", section 2.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from saddle.base.chance import stream
from saddle.config.augment import ADAConfig, AugmentConfig, DiffAugmentConfig, NoAugmentConfig, StochasticConfig
from saddle.config.schedules import value_at
from saddle.game.batch import Batch
from saddle.game.transformations import Draws, Each, diffaugment, pipeline
from saddle.networks.population import Chance


class Augment:
    """Transforms samples for D, with a strength that is the probability of each transformation.

    Whatever is drawn in training comes from torch's global generators, or from those of the members: of several
    processes each transforms its part of a batch with numbers of its own, as dropout does.

    Args:
        config: which transformations, and how often.
        device: of the samples.
        chance: of the members of a population; None: there is one game.
        black: of images in the generator's range, 0 or -1; white is 1.
    """

    def __init__(
        self,
        config: DiffAugmentConfig | StochasticConfig | ADAConfig,
        device: torch.device,
        chance: Chance | None = None,
        *,
        black: float = -1.0,
    ) -> None:
        self._config = config
        self._black = black
        self._each = _draw_once if chance is None or chance.members == 1 else chance.each
        # A tensor, which recorded rounds read: () for a single game, (members,) for a population.
        members = () if chance is None or chance.members == 1 else (chance.members,)
        self._strength = torch.zeros(members, device=device)
        self.schedule(0)

    @property
    def strength(self) -> Tensor:
        """The probability of each transformation now, of each member: (members,), a copy."""
        return self._strength.reshape(-1).clone()

    def retune(self, config: AugmentConfig) -> None:
        """Take over the numbers that may change while a run goes on, of a config of the same kind."""
        assert type(config) is type(self._config) and not isinstance(config, NoAugmentConfig)
        self._config = config

    def schedule(self, images_seen: int) -> None:
        """Set a strength that is a number or a schedule, for the round that begins at ``images_seen``."""
        if not isinstance(self._config, ADAConfig):
            self._strength.fill_(value_at(self._config.strength, images_seen))

    def __call__(self, batch: Batch) -> Batch:
        """The samples as D sees them this time; labels stay.

        In a game on pairs the inputs are moved with them, and lie behind them; only the samples' colours are changed.
        """
        strength = batch.repeated(self._strength.reshape(-1), len(batch.samples))
        seen, colors = batch.beside_inputs(), batch.samples.shape[1]
        return seen._replace(samples=self._transform(seen.samples, strength, self._each, batch.size, colors))

    def example(self, samples: Tensor, member: int = 0) -> Tensor:
        """Samples (n, C, H, W) as D may see them now, for people: always by the same draw, and apart from training."""
        chance = torch.Generator(samples.device).manual_seed(stream(0, "augmented"))
        strength = self.strength[member].expand(len(samples))
        return self._transform(samples, strength, lambda draw: draw(chance), len(samples))

    def follow(self, confidence: Tensor, images: int) -> None:
        """Move ADA's strength after a turn of D, by images / rise towards 1 or 0; waits for nothing.

        Karras et al. 2020, section 3: it rises where r_t is above the target, and falls where it is below.

        Args:
            confidence: r_t of the turn, (members,) in [-1, 1].
            images: real ones that D was shown in the turn.
        """
        if isinstance(self._config, ADAConfig):
            direction = (confidence.reshape(self._strength.shape) - self._config.target).sign()
            self._strength.add_(direction * (images / self._config.rise)).clamp_(0, 1)

    def state(self) -> dict[str, Tensor]:
        """ADA's strength; nothing where the config says what it is."""
        return {"strength": self._strength} if isinstance(self._config, ADAConfig) else {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` gave.

        Raises:
            KeyError, RuntimeError: it is missing, or does not fit.
        """
        for name, kept in self.state().items():
            saved = tensors[name]
            if (saved.shape, saved.dtype) != (kept.shape, kept.dtype) or not bool(((saved >= 0) & (saved <= 1)).all()):
                raise RuntimeError("the strength of the augmentation does not fit this game")
            kept.copy_(saved)

    def _transform(self, samples: Tensor, strength: Tensor, each: Each, rows: int, colors: int = 3) -> Tensor:
        config, draws, black = self._config, Draws(each, rows, samples.device), self._black
        if isinstance(config, DiffAugmentConfig):
            return diffaugment(samples, strength, config.transformations, draws, black=black, colors=colors)
        share = config.color_share
        return pipeline(samples, strength, config.transformations, draws, color_share=share, black=black, colors=colors)


def augment_of(
    config: AugmentConfig, device: torch.device, chance: Chance | None = None, *, black: float = -1.0
) -> Augment | None:
    """The augmentation that a config asks for, if any; arguments as of ``Augment``."""
    return None if isinstance(config, NoAugmentConfig) else Augment(config, device, chance, black=black)


def _draw_once(draw: Callable[[torch.Generator | None], Tensor]) -> Tensor:
    return draw(None)
