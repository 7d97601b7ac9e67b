"""What D and G are scored on in their turns."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from saddle.config.schema import CustomNetworkConfig, DiscriminatorConfig, GameConfig
from saddle.game.losses import LOSSES
from saddle.game.penalties import zero_centred


class Turn(NamedTuple):
    """The outcome of one turn.

    Args:
        loss: scalar with its graph, what the player minimises.
        figures: detached scalars for the log.
    """

    loss: Tensor
    figures: dict[str, Tensor]


def pack(samples: Tensor, packing: int) -> Tensor:
    """Join every ``packing`` samples along the first axis of a sample: (B, C, ...) → (B / packing, packing · C, ...).

    PacGAN (Lin et al. 2018, section 3): D judges them together, so it can see that they are too alike.
    """
    return samples.reshape(samples.shape[0] // packing, samples.shape[1] * packing, *samples.shape[2:])


def packed_shape(shape: tuple[int, ...], packing: int) -> tuple[int, ...]:
    """The shape of ``packing`` packed samples of ``shape``."""
    return (shape[0] * packing, *shape[1:])


class PlainRule:
    """The unconditional game of Goodfellow et al. 2014, with any loss on D's logits.

    Args:
        game: loss, smoothing, penalties and packing.
        discriminator: D's config, which tells whether D treats each sample alone.
    """

    def __init__(self, game: GameConfig, discriminator: DiscriminatorConfig) -> None:
        self._game = game
        self._loss = LOSSES[game.loss]
        network = discriminator.network
        # One pass over real and generated samples together halves the kernels. It is the same thing only where D treats
        # each sample alone, and it wastes work where only one of the halves is penalised.
        alone = not isinstance(network, CustomNetworkConfig) and network.norm != "batch"
        self._one_pass = alone and (game.r1 > 0) == (game.r2 > 0)

    def discriminator_turn(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> Turn:
        """D judges ``real`` and ``fake``, both (B, *shape); no gradient reaches G."""
        game = self._game
        real = pack(real, game.packing)
        fake = pack(fake.detach(), game.packing)
        if game.r1:
            real.requires_grad_()
        if game.r2:
            fake.requires_grad_()
        real_logits, fake_logits = self._judge(discriminator, real, fake)
        terms = self._loss.discriminator(real_logits, fake_logits, 1 - game.label_smoothing)
        loss = game.discriminator_weight * (terms.real + terms.fake)
        figures = {
            "discriminator_loss": loss.detach(),
            "loss_real": terms.real.detach(),
            "loss_fake": terms.fake.detach(),
            "d_real": self._loss.verdict(real_logits.detach()).mean(),
            "d_fake": self._loss.verdict(fake_logits.detach()).mean(),
        }
        for name, gamma, logits, samples in (
            ("r1", game.r1, real_logits, real),
            ("r2", game.r2, fake_logits, fake),
        ):
            if gamma:
                penalty = gamma * zero_centred(logits, samples)
                loss = loss + penalty
                figures[name] = penalty.detach()
        return Turn(loss, figures)

    def generator_turn(self, discriminator: nn.Module, fake: Tensor) -> Turn:
        """D judges ``fake`` (B, *shape), whose graph leads to G."""
        loss = self._loss.generator(discriminator(pack(fake, self._game.packing)))
        return Turn(loss, {"generator_loss": loss.detach()})

    def _judge(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        if not self._one_pass:
            return discriminator(real), discriminator(fake)
        real_logits, fake_logits = discriminator(torch.cat([real, fake])).split([len(real), len(fake)])
        return real_logits, fake_logits
