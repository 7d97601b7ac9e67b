"""What D and G are scored on in their turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from saddle.config.schema import GameConfig
from saddle.errors import ConfigError
from saddle.game.batch import Batch
from saddle.game.losses import LOSSES
from saddle.game.penalties import one_centred, zero_centred
from saddle.networks.layers import MinibatchDiscrimination
from saddle.networks.sides import Discriminator


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
    """The game of Goodfellow et al. 2014, with labels or without, with any loss on D's logits.

    Penalties on D's gradient may be lazy (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN",
    section 3.1): with ``penalty_every`` n they join D's turns in every n-th round, n times as heavy.

    Args:
        game: loss, smoothing, penalties and packing.
        discriminator: the D that will play; what it is made of decides how it may be asked.

    Raises:
        ConfigError: the game needs features that a user's own D does not offer.
    """

    def __init__(self, game: GameConfig, discriminator: nn.Module) -> None:
        self._game = game
        self._loss = LOSSES[game.loss]
        if game.feature_matching != "none" and not isinstance(discriminator, Discriminator):
            raise ConfigError(
                "feature matching compares features, which this discriminator does not tell",
                expected="one of saddle's discriminators",
                got=type(discriminator).__qualname__,
            )
        # One pass over real and generated samples together halves the kernels. It is the same thing only where D treats
        # each sample alone, and it wastes work where only one of the halves is penalised.
        self._alone = isinstance(discriminator, Discriminator) and not any(
            isinstance(layer, _BatchNorm | MinibatchDiscrimination) for layer in discriminator.modules()
        )
        self._both_penalised = (game.r1 > 0) == (game.r2 > 0)
        weights = {"r1": game.r1, "r2": game.r2, "gradient_penalty": game.gradient_penalty}
        self._penalty_weights = {name: game.penalty_every * weight for name, weight in weights.items() if weight}

    def discriminator_turn(self, discriminator: nn.Module, real: Batch, fake: Batch, round_: int = 0) -> Turn:
        """D judges both batches in a turn of round ``round_``, counted from 0; no gradient reaches G."""
        turn, _, _ = self._score(discriminator, real, Batch(fake.samples.detach(), fake.labels), round_)
        return turn

    def generator_turn(self, discriminator: nn.Module, real: Batch, fake: Batch) -> Turn:
        """D judges ``fake``, whose graph leads to G; ``real`` is what D saw last."""
        game = self._game
        fake, real = self._packed(fake), self._packed(real)
        if game.feature_matching != "none":
            assert isinstance(discriminator, Discriminator)
            loss = _feature_distance(discriminator, real, fake, game.feature_matching)
            return Turn(loss, {"generator_loss": loss.detach()})
        fake_logits = judge(discriminator, fake)
        real_logits = fake_logits
        if self._loss.compares:
            with torch.no_grad():
                real_logits = judge(discriminator, real)
        return self._score_generator(fake_logits, real_logits)

    def joint_turn(self, discriminator: nn.Module, real: Batch, fake: Batch, round_: int = 0) -> tuple[Turn, Turn]:
        """D's turn and G's from one and the same judgement, dropout and all; ``fake``'s graph leads to G.

        Each loss must be sent backward with respect to its own player's parameters only.
        """
        turn, real_logits, fake_logits = self._score(discriminator, real, fake, round_)
        return turn, self._score_generator(fake_logits, real_logits.detach())

    def _score(self, discriminator: nn.Module, real: Batch, fake: Batch, round_: int) -> tuple[Turn, Tensor, Tensor]:
        """D's turn, and its logits on real and generated samples."""
        game = self._game
        real, fake = self._packed(real), self._packed(fake)
        penalised = round_ % game.penalty_every == 0
        if game.r1 and penalised:
            real.samples.requires_grad_()
        if game.r2 and penalised:
            fake.samples.requires_grad_()
        one_pass = self._alone and (self._both_penalised or not penalised)
        real_logits, fake_logits = self._judge_both(discriminator, real, fake, one_pass)
        terms = self._loss.discriminator(real_logits, fake_logits, 1 - game.label_smoothing)
        loss = game.discriminator_weight * (terms.real + terms.fake)
        figures = {
            "discriminator_loss": loss.detach(),
            "loss_real": terms.real.detach(),
            "loss_fake": terms.fake.detach(),
            "d_real": self._loss.verdict(real_logits.detach()).mean(),
            "d_fake": self._loss.verdict(fake_logits.detach()).mean(),
        }
        if penalised:
            extra = self._penalties(discriminator, real, fake, real_logits, fake_logits)
        else:  # zero, so that the log's means are right
            extra = dict.fromkeys(self._penalty_weights, real_logits.new_zeros(()))
        for name, term in (extra | self._further_terms(discriminator, real)).items():
            loss = loss + term
            figures[name] = term.detach()
        return Turn(loss, figures), real_logits, fake_logits

    def _penalties(
        self, discriminator: nn.Module, real: Batch, fake: Batch, real_logits: Tensor, fake_logits: Tensor
    ) -> dict[str, Tensor]:
        """What keeps D's gradient in bounds, weighted, by the name it has in the log."""
        penalties: dict[str, Callable[[], Tensor]] = {
            "r1": lambda: zero_centred(real_logits, real.samples),
            "r2": lambda: zero_centred(fake_logits, fake.samples),
            "gradient_penalty": lambda: one_centred(
                lambda between: judge(discriminator, Batch(between, real.labels)), real.samples, fake.samples.detach()
            ),
        }
        return {name: weight * penalties[name]() for name, weight in self._penalty_weights.items()}

    def _further_terms(self, discriminator: nn.Module, real: Batch) -> dict[str, Tensor]:
        """What else joins D's loss, weighted, by the name it has in the log."""
        return {}

    def _score_generator(self, fake_logits: Tensor, real_logits: Tensor) -> Turn:
        loss = self._loss.generator(fake_logits, real_logits)
        return Turn(loss, {"generator_loss": loss.detach()})

    def _packed(self, batch: Batch) -> Batch:
        return batch._replace(samples=pack(batch.samples, self._game.packing))

    def _judge_both(self, discriminator: nn.Module, real: Batch, fake: Batch, one_pass: bool) -> tuple[Tensor, Tensor]:
        if not one_pass:
            return judge(discriminator, real), judge(discriminator, fake)
        labels = None
        if real.labels is not None and fake.labels is not None:
            labels = torch.cat([real.labels, fake.labels])
        both = judge(discriminator, Batch(torch.cat([real.samples, fake.samples]), labels))
        real_logits, fake_logits = both.split([len(real.samples), len(fake.samples)])
        return real_logits, fake_logits


class SemiSupervisedRule(PlainRule):
    """K + 1 classes, the last one "generated" with its logit fixed at 0; Salimans et al. 2016, section 5.

    With Z(x) = Σ exp(l_k(x)) over the K real classes, D(x) = Z / (Z + 1): D's logit is log Z, so the unsupervised half
    is the plain game. The supervised half is the cross-entropy of the K classes on the labelled samples.
    """

    def __init__(self, game: GameConfig, discriminator: nn.Module) -> None:
        super().__init__(game, discriminator)
        if not isinstance(discriminator, Discriminator) or not discriminator.classifies:
            raise ConfigError("the semi-supervised game needs a discriminator that classifies")

    def _further_terms(self, discriminator: nn.Module, real: Batch) -> dict[str, Tensor]:
        assert isinstance(discriminator, Discriminator)
        assert real.labelled is not None
        samples, labels = real.labelled
        return {"supervised": cross_entropy(discriminator.class_logits(samples), labels)}


def make_rule(game: GameConfig, discriminator: nn.Module) -> PlainRule:
    """The rule that ``game`` names, for this D.

    Raises:
        ConfigError: this D cannot play it.
    """
    return (SemiSupervisedRule if game.rule == "semi_supervised" else PlainRule)(game, discriminator)


def judge(discriminator: nn.Module, batch: Batch) -> Tensor:
    """D's logits (B,) on a batch, with its labels if there are any."""
    return discriminator(batch.samples) if batch.labels is None else discriminator(batch.samples, batch.labels)


def _feature_distance(discriminator: Discriminator, real: Batch, fake: Batch, norm: str) -> Tensor:
    """‖E f(x) - E f(G(z))‖², or its L1 form, per feature; Salimans et al. 2016, section 3.1."""
    with torch.no_grad():
        target = discriminator.features(real.samples, real.labels).mean(0)
    gap = discriminator.features(fake.samples, fake.labels).mean(0) - target
    return gap.abs().mean() if norm == "l1" else gap.square().mean()
