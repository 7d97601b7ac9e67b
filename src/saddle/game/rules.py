"""What D and G are scored on in their turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from saddle.config.schedules import value_at
from saddle.config.schema import GameConfig
from saddle.errors import ConfigError
from saddle.game.batch import Batch
from saddle.game.losses import LOSSES
from saddle.game.penalties import squared_gradient, unit_gradient_gap


class Turn(NamedTuple):
    """The outcome of one turn.

    Args:
        loss: scalar with its graph, what the player minimises: the sum over all members.
        figures: detached, (members,) each, for the log.
    """

    loss: Tensor
    figures: dict[str, Tensor]


class PlainRule:
    """The game of Goodfellow et al. 2014, with labels or without, with any loss on D's logits.

    Penalties on D's gradient may be lazy (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN",
    section 3.1): with ``penalty_every`` n they join D's turns in every n-th round, n times as heavy.

    Args:
        game: loss, smoothing, penalties and packing.
        discriminator: the D that plays. ``saddle.networks.sides.Judging`` says what may be asked of it.

    Raises:
        ConfigError: the game needs features that a user's own D does not offer.
    """

    def __init__(self, game: GameConfig, discriminator: nn.Module) -> None:
        self._game = game
        self._loss = LOSSES[game.loss]
        self._discriminator = discriminator
        if game.feature_matching != "none":
            self._need("features", "feature matching compares the features of real and generated samples")
        self._judges_alone = bool(getattr(discriminator, "judges_alone", False))
        self.schedule(0)

    def schedule(self, images_seen: int) -> None:
        """Set the weights of the penalties for the round that begins at ``images_seen``."""
        game = self._game
        self._gamma_r1, self._gamma_r2, self._lambda = (
            value_at(number, images_seen) for number in (game.r1, game.r2, game.gradient_penalty)
        )

    def see(self, batch: Batch) -> Batch:
        """What D gets to see of samples. All that it is asked goes through here: packing, and one day augmentation."""
        return batch.packed(self._game.packing)

    def logits(self, batch: Batch) -> Tensor:
        """D's logits on a batch, one for each unit that it judges: (members · B / packing,); large means real."""
        return _ask(self._discriminator, self.see(batch))

    def discriminator_turn(self, real: Batch, fake: Batch, number: int = 0) -> Turn:
        """D judges both batches in its turn of round ``number``, counted from 0; no gradient reaches G."""
        return self._discriminator_loss(real, fake.detached(), number)[0]

    def generator_turn(self, real: Batch, fake: Batch) -> Turn:
        """D judges ``fake``, whose graph leads to G; ``real`` is what D saw last."""
        if self._game.feature_matching != "none":
            return _turn({"generator_loss": self._feature_distance(real, fake)})
        fake_logits = self.logits(fake)
        real_logits = fake_logits
        if self._loss.compares:
            with torch.no_grad():
                real_logits = self.logits(real)
        return self._generator_loss(fake, fake_logits, real_logits)

    def joint_turn(self, real: Batch, fake: Batch, number: int = 0) -> tuple[Turn, Turn]:
        """D's turn and G's from one and the same judgement, dropout and all; ``fake``'s graph leads to G.

        Each loss must be sent backward with respect to its own player's parameters only.
        """
        turn, real_logits, fake_logits = self._discriminator_loss(real, fake, number)
        return turn, self._generator_loss(fake, fake_logits, real_logits.detach())

    def _discriminator_loss(self, real: Batch, fake: Batch, number: int) -> tuple[Turn, Tensor, Tensor]:
        """W (L_real + L_fake) + γ₁/2 E‖∇D(x)‖² + γ₂/2 E‖∇D(G(z))‖² + λ E(‖∇D(x̂)‖ - 1)², and both logits."""
        game = self._game
        penalised = number % game.penalty_every == 0
        real.samples.requires_grad_(bool(game.r1 and penalised))
        if game.r2 and penalised:
            fake.samples.requires_grad_()
        real_logits, fake_logits = self._judge_both(real, fake, penalised=penalised)

        terms = self._loss.discriminator(real_logits, fake_logits, 1 - game.label_smoothing)
        loss_real, loss_fake = real.mean(terms.real), fake.mean(terms.fake)
        adversarial = game.discriminator_weight * (loss_real + loss_fake)
        further: dict[str, Callable[[], Tensor]] = {}
        if game.r1:
            further["r1"] = lambda: self._gamma_r1 / 2 * real.mean(squared_gradient(real_logits, real.samples))
        if game.r2:
            further["r2"] = lambda: self._gamma_r2 / 2 * fake.mean(squared_gradient(fake_logits, fake.samples))
        if game.gradient_penalty:
            further["gradient_penalty"] = lambda: self._lambda * real.mean(self._gap(real, fake))
        # Where they are not due they count zero, so that the log's means are right.
        none = torch.zeros_like(loss_real)
        penalties = {name: game.penalty_every * penalty() if penalised else none for name, penalty in further.items()}
        parts = {"discriminator_loss": adversarial, **penalties, **self._supervised(real)}
        figures = {
            "loss_real": loss_real.detach(),
            "loss_fake": loss_fake.detach(),
            "d_real": real.mean(self._loss.verdict(real_logits.detach())),
            "d_fake": fake.mean(self._loss.verdict(fake_logits.detach())),
        }
        return _turn(parts, figures), real_logits, fake_logits

    def _generator_loss(self, fake: Batch, fake_logits: Tensor, real_logits: Tensor) -> Turn:
        return _turn({"generator_loss": fake.mean(self._loss.generator(fake_logits, real_logits))})

    def _feature_distance(self, real: Batch, fake: Batch) -> Tensor:
        """‖E f(x) - E f(G(z))‖², or its L1 form, per feature: (members,); Salimans et al. 2016, section 3.1."""
        with torch.no_grad():
            target = real.mean(self._features(real))
        gap = fake.mean(self._features(fake)) - target
        return (gap.abs() if self._game.feature_matching == "l1" else gap.square()).mean(1)

    def _features(self, batch: Batch) -> Tensor:
        return _ask(self._discriminator.features, self.see(batch))  # pyright: ignore[reportArgumentType]

    def _gap(self, real: Batch, fake: Batch) -> Tensor:
        def judge(between: Tensor) -> Tensor:
            return self.logits(real._replace(samples=between))

        return unit_gradient_gap(judge, real.samples.detach(), fake.samples.detach(), packing=self._game.packing)

    def _judge_both(self, real: Batch, fake: Batch, *, penalised: bool) -> tuple[Tensor, Tensor]:
        """D's logits on both batches, in one pass where that is the same thing and wastes nothing.

        One pass halves the number of kernels. It is the same where D treats each sample alone, and it wastes work
        where only one of the halves is penalised.
        """
        both_or_none = not penalised or bool(self._game.r1) == bool(self._game.r2)
        if not (self._judges_alone and both_or_none):
            return self.logits(real), self.logits(fake)
        return real.split(self.logits(real.joined(fake)))

    def _supervised(self, real: Batch) -> dict[str, Tensor]:
        """What a game with labelled samples adds to D's loss, (members,), by the name it has in the log."""
        return {}

    def _need(self, method: str, why: str) -> None:
        if not callable(getattr(self._discriminator, method, None)):
            raise ConfigError(
                f"{why}, and this discriminator has no method `{method}`",
                expected="a discriminator of saddle's, or a module with the methods of saddle.networks.sides.Judging",
                got=type(self._discriminator).__qualname__,
            )


class SemiSupervisedRule(PlainRule):
    """K + 1 classes, the last one "generated" with its logit fixed at 0; Salimans et al. 2016, section 5.

    With Z(x) = Σ exp(l_k(x)) over the K real classes, D(x) = Z / (Z + 1): D's logit is log Z, so the unsupervised half
    is the plain game. The supervised half is the cross-entropy of the K classes on the labelled samples.
    """

    def __init__(self, game: GameConfig, discriminator: nn.Module) -> None:
        super().__init__(game, discriminator)
        self._need("class_logits", "the semi-supervised game needs a discriminator that tells classes apart")

    def _supervised(self, real: Batch) -> dict[str, Tensor]:
        assert real.labelled is not None
        samples, labels = real.labelled
        seen = self.see(Batch(samples, members=real.members)).samples
        logits: Tensor = self._discriminator.class_logits(seen)  # pyright: ignore[reportCallIssue, reportAssignmentType]
        return {"supervised": real.mean(cross_entropy(logits, labels, reduction="none"))}


def make_rule(game: GameConfig, discriminator: nn.Module) -> PlainRule:
    """The rule that ``game`` names, for this D.

    Raises:
        ConfigError: this D cannot play it.
    """
    return (SemiSupervisedRule if game.rule == "semi_supervised" else PlainRule)(game, discriminator)


def _turn(parts: dict[str, Tensor], figures: dict[str, Tensor] | None = None) -> Turn:
    """The turn whose loss is the sum of its parts, (members,) each; each part is a figure too."""
    loss = torch.stack(list(parts.values())).sum() if len(parts) > 1 else next(iter(parts.values())).sum()
    return Turn(loss, {name: part.detach() for name, part in parts.items()} | (figures or {}))


def _ask(question: Callable[..., Tensor], batch: Batch) -> Tensor:
    return question(batch.samples) if batch.condition is None else question(batch.samples, batch.condition)
