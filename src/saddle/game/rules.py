"""What D and G are scored on in their turns.

The networks may answer in half precision; losses and penalties are computed in single precision.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from saddle.base import processes
from saddle.config.schedules import value_at
from saddle.config.schema import GameConfig
from saddle.errors import ConfigError
from saddle.game.augment import Augment
from saddle.game.batch import Batch
from saddle.game.losses import LOSSES
from saddle.game.numbers import number_on, set_number
from saddle.game.penalties import squared_gradient, unit_gradient_gap
from saddle.networks.across import mean_of_all
from saddle.networks.population import Chance


class Turn(NamedTuple):
    """The outcome of one turn.

    Args:
        loss: scalar with its graph, what the player minimises: the sum over all members.
        figures: detached, (members,) each, for the log.
    """

    loss: Tensor
    figures: dict[str, Tensor]


class Judgement(NamedTuple):
    """What D says of a batch.

    Args:
        logits: one for each unit that it judges, (members · units,), or of patches (members · units, patches).
        classes: the logits of each sample's classes, (members · B, classes); None where D does not tell them.
    """

    logits: Tensor
    classes: Tensor | None


class JudgedTurn(NamedTuple):
    """D's turn, with what it said of both batches."""

    loss: Tensor
    figures: dict[str, Tensor]
    real: Judgement
    fake: Judgement


class PlainRule:
    """The game of Goodfellow et al. 2014, with labels or without, with any loss on D's logits.

    Penalties on D's gradient may be lazy (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN",
    section 3.1): with ``penalty_every`` n they join D's turns in every n-th round, n times as heavy.

    Args:
        game: loss, smoothing, penalties and packing.
        discriminator: the D that plays. ``saddle.networks.sides.Judging`` says what may be asked of it.
        replayed_on: the device where rounds are recorded and replayed; None: they are played one by one.
        chance: of the members of a population; None: torch's global generators.
        factors: of a population, by the name that a part of D's loss has in the log: (members,) each.
        augment: how samples are changed before D sees them; None: not at all.
        classes: of the labels that come with each batch; 0: there are none.

    Raises:
        ConfigError: the game needs a method that a user's own D does not offer.
    """

    def __init__(
        self,
        game: GameConfig,
        discriminator: nn.Module,
        replayed_on: torch.device | None = None,
        chance: Chance | None = None,
        factors: Mapping[str, Tensor] | None = None,
        augment: Augment | None = None,
        classes: int = 0,
    ) -> None:
        self._game = game
        self.augment = augment
        self._chance = chance
        self._factors = factors or {}
        self._gamma_r1, self._gamma_r2, self._lambda, self._l1, self._of_classes = (
            number_on(replayed_on) for _ in range(5)
        )
        self._loss = LOSSES[game.loss]
        self._discriminator = discriminator
        self._classes_told = classes if game.classification else 0
        self._check_discriminator()
        self._judges_alone = bool(getattr(discriminator, "judges_alone", False))
        self._judges_patches = bool(getattr(discriminator, "judges_patches", False))
        self._take(game)
        self.schedule(0)

    def retune(self, game: GameConfig) -> None:
        """Take over the numbers that may change while a run goes on; ``schedule`` comes before the next round."""
        self._take(game)
        if self.augment is not None:
            self.augment.retune(game.augment)

    def _take(self, game: GameConfig) -> None:
        self._game = game
        # What is asked within a turn is yes or no: compiled turns hold for all numbers.
        self._has_r1, self._has_r2, self._has_gap = game.r1 != 0, game.r2 != 0, game.gradient_penalty != 0

    def schedule(self, images_seen: int) -> None:
        """Set the losses' weights and the augmentation's strength for the round that begins at ``images_seen``."""
        game = self._game
        r1, r2, gap = (value_at(number, images_seen) for number in (game.r1, game.r2, game.gradient_penalty))
        self._r1_is_on, self._r2_is_on = r1 > 0, r2 > 0
        self._gamma_r1, self._gamma_r2 = set_number(self._gamma_r1, r1), set_number(self._gamma_r2, r2)
        self._lambda = set_number(self._lambda, gap)
        self._l1 = set_number(self._l1, value_at(game.l1, images_seen))
        self._of_classes = set_number(self._of_classes, value_at(game.classification, images_seen))
        if self.augment is not None:
            self.augment.schedule(images_seen)

    def kind(self, number: int) -> Hashable:
        """Equal for rounds that do the same operations, whatever the values in them."""
        return number % self._game.penalty_every == 0, self._r1_is_on, self._r2_is_on

    def see(self, batch: Batch) -> Batch:
        """What D gets to see of samples. All that it is asked goes through here: inputs, augmentation and packing."""
        seen = batch if self.augment is None else self.augment(batch)
        return seen.beside_inputs().packed(self._game.packing)

    def logits(self, batch: Batch) -> Tensor:
        """D's logits on a batch, one for each unit that it judges: (members · B / packing,); large means real.

        A D that judges patches gives several, (members · B / packing, patches); see ``_each``.
        """
        return self.judge(batch).logits

    def judge(self, batch: Batch) -> Judgement:
        """What D says of a batch; see ``logits``."""
        seen = self.see(batch)
        logits, classes = self._ask_both(seen) if self._classes_told else (_ask(self._discriminator, seen), None)
        logits = logits.float()
        if logits.dim() != (2 if self._judges_patches else 1):
            raise ConfigError(
                "the discriminator must return one logit for each sample",
                expected=f"logits of shape {'(B, patches)' if self._judges_patches else '(B,)'}",
                got=f"shape {tuple(logits.shape)}",
                remedy="end it with nn.Flatten(1)"
                if self._judges_patches
                else "end it with nn.Flatten(0); one that judges patches says so by an attribute judges_patches = True",
            )
        return Judgement(logits, classes)

    def discriminator_turn(self, real: Batch, fake: Batch, number: int = 0, *, attached: bool = False) -> JudgedTurn:
        """D's turn: it minimises w (L_real + L_fake) + γ₁/2 E‖∇D(x)‖² + γ₂/2 E‖∇D(G(z))‖² + λ E(‖∇D(x̂)‖ - 1)²
        + c E H(class of x), where D tells classes.

        Args:
            real, fake: what D judges.
            number: of the round, counted from 0.
            attached: whether the graph of ``fake`` is kept, so that G's turn can use the same judgement.
        """
        game = self._game
        fake = fake if attached else fake.detached()
        due = game.penalty_every if number % game.penalty_every == 0 else 0
        r1_due, r2_due = due > 0 and self._r1_is_on, due > 0 and self._r2_is_on
        real.samples.requires_grad_(r1_due or (due > 0 and self._has_gap))
        if r2_due:
            fake.samples.requires_grad_()
        turn = self.score_discriminator(real, fake, due)
        return turn if self.augment is None else self._followed(turn, real, fake, self.augment)

    def score_discriminator(self, real: Batch, fake: Batch, due: int) -> JudgedTurn:
        """D's turn on samples that require gradients where they are penalised; see ``discriminator_turn``.

        Args:
            real, fake: what D judges.
            due: the factor on lazy penalties; 0 in rounds without them.
        """
        game = self._game
        r1_due, r2_due = due > 0 and self._r1_is_on, due > 0 and self._r2_is_on
        on_both = self._judge_both(real, fake, one_pass=r1_due == r2_due)
        real_logits, fake_logits = (judged.logits for judged in on_both)
        terms = self._loss.discriminator(real_logits, fake_logits, 1 - game.label_smoothing)
        loss_real, loss_fake = real.mean(_each(terms.real)), fake.mean(_each(terms.fake))
        parts = {"discriminator_loss": game.discriminator_weight * (loss_real + loss_fake)}
        none = torch.zeros_like(loss_real)  # of a penalty that is not due, so that the log's means are right
        if self._has_r1:
            gradient = real.mean(squared_gradient(_each(real_logits), real.samples)) if r1_due else none
            parts["r1"] = due * self._gamma_r1 / 2 * gradient
        if self._has_r2:
            gradient = fake.mean(squared_gradient(_each(fake_logits), fake.samples)) if r2_due else none
            parts["r2"] = due * self._gamma_r2 / 2 * gradient
        if self._has_gap:
            parts["gradient_penalty"] = due * self._lambda * real.mean(self._gap(real, fake)) if due else none
        parts |= self._supervised(real)
        parts |= {name: factor * parts[name] for name, factor in self._factors.items()}
        on_real, on_fake = real_logits.detach(), fake_logits.detach()
        figures = {
            "loss_real": loss_real.detach(),
            "loss_fake": loss_fake.detach(),
            "d_real": real.mean(_each(self._loss.verdict(on_real, on_fake))),
            "d_fake": fake.mean(_each(self._loss.verdict(on_fake, on_real))),
        }
        loss, detached = _summed(parts)
        loss, told = self._beside_classes(loss, "class_real", real, on_both[0])
        return JudgedTurn(loss, detached | figures | told, *on_both)

    @property
    def compares(self) -> bool:
        """Whether the loss is of pairs of a real sample and a generated one."""
        return self._loss.compares

    def generator_turn(self, real: Batch, fake: Batch) -> Turn:
        """D judges ``fake``, whose graph leads to G; ``real`` is what D saw last.

        Where D tells classes, G minimises L_G + c E H(class of G(z)). In a game on pairs it minimises
        L_G + λ E|y - G(x, z)| (Isola et al. 2017, eq. 4), where y belong to ``real``.
        """
        if self._game.feature_matching != "none":
            return self._beside_l1(real, fake, self._feature_distance(real, fake))
        judged = self.judge(fake)
        real_logits = judged.logits
        if self._loss.compares:
            with torch.no_grad():
                real_logits = self.logits(real)
        return self._generator_loss(real, fake, judged, real_logits)

    def joint_turn(self, real: Batch, fake: Batch, number: int = 0) -> tuple[JudgedTurn, Turn]:
        """D's turn and G's from one and the same judgement, dropout and all; ``fake``'s graph leads to G.

        Each loss must be sent backward with respect to its own player's parameters only.
        """
        turn = self.discriminator_turn(real, fake, number, attached=True)
        return turn, self._generator_loss(real, fake, turn.fake, turn.real.logits.detach())

    def _followed(self, turn: JudgedTurn, real: Batch, fake: Batch, augment: Augment) -> JudgedTurn:
        """The turn with the figures of the augmentation, whose strength follows r_t, the mean sign of D(x).

        D(x) counts from the middle between real and generated, where the loss knows one (Karras et al. 2020, eq. 1, for
        the loss that they use), and in a loss of pairs from the generated sample of the pair. With the others it counts
        from halfway between the means of both sides, which is the middle of a D whose logits are symmetric.
        """
        logits, others = turn.real.logits.detach(), turn.fake.logits.detach()
        if self._loss.compares:
            logits = logits - others
        elif self._loss.middle is not None:
            logits = logits - self._loss.middle
        else:
            halfway = mean_of_all(real.mean(_each(logits)) + fake.mean(_each(others))) / 2
            halfway = real.repeated(halfway, len(logits))
            logits = logits - (halfway if logits.dim() == 1 else halfway[:, None])
        confidence = mean_of_all(real.mean(_each(logits.sign())))
        figures = {"augment_p": augment.strength, "r_t": confidence}
        augment.follow(confidence, processes.whole(real.size))
        return turn._replace(figures=turn.figures | figures)

    def _generator_loss(self, real: Batch, fake: Batch, judged: Judgement, real_logits: Tensor) -> Turn:
        loss = fake.mean(_each(self._loss.generator(judged.logits, real_logits)))
        turn = self._beside_l1(real, fake, loss)
        total, told = self._beside_classes(turn.loss, "class_fake", fake, judged)
        return Turn(total, turn.figures | told)

    def _beside_classes(
        self, loss: Tensor, name: str, batch: Batch, judged: Judgement
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """``loss`` with c times the cross-entropy of the batch's classes, which is logged as ``name``.

        Odena et al. 2017, section 3, but D learns classes from real samples alone: what G makes of a class early on
        would teach it nothing.
        """
        if judged.classes is None:
            return loss, {}
        assert batch.condition is not None
        entropy = batch.mean(cross_entropy(judged.classes, batch.condition, reduction="none"))
        return loss + self._of_classes * entropy.sum(), {name: entropy.detach()}

    def _beside_l1(self, real: Batch, fake: Batch, judged: Tensor) -> Turn:
        """G's turn by D's judgement (members,), and of pairs by the distance from the targets, which is logged."""
        turn = Turn(*_summed({"generator_loss": judged}))
        if fake.inputs is None:
            return turn
        distance = fake.mean((fake.samples - real.samples.detach()).abs().flatten(1).mean(1))
        return Turn(turn.loss + self._l1 * distance.sum(), turn.figures | {"l1": distance.detach()})

    def _feature_distance(self, real: Batch, fake: Batch) -> Tensor:
        """‖E f(x) - E f(G(z))‖², or its L1 form, per feature: (members,); Salimans et al. 2016, section 3.1."""
        with torch.no_grad():
            target = mean_of_all(real.mean(self._features(real)))
        gap = mean_of_all(fake.mean(self._features(fake))) - target
        return (gap.abs() if self._game.feature_matching == "l1" else gap.square()).mean(1)

    def _features(self, batch: Batch) -> Tensor:
        return _ask(self._discriminator.features, self.see(batch)).float()  # pyright: ignore[reportArgumentType]

    def _gap(self, real: Batch, fake: Batch) -> Tensor:
        def judge(between: Tensor) -> Tensor:
            return _each(self.logits(real._replace(samples=between)))

        samples = real.samples, fake.samples.detach()
        return unit_gradient_gap(judge, *samples, packing=self._game.packing, chance=self._chance)

    def _ask_both(self, seen: Batch) -> tuple[Tensor, Tensor]:
        """D's logits, and those of the classes."""
        answer: Any = self._discriminator.judge_and_classify(seen.samples, seen.condition)  # pyright: ignore[reportCallIssue]
        shapes = [tuple(getattr(each, "shape", ())) for each in answer] if isinstance(answer, tuple) else []
        classes = len(seen.samples), self._classes_told
        if len(shapes) != 2 or shapes[1] != classes:
            raise ConfigError(
                "`judge_and_classify` must return the logits and those of the classes",
                expected=f"a pair, the second of shape {classes}",
                got=f"shapes {', '.join(map(str, shapes))}" if shapes else type(answer).__name__,
            )
        logits, of_classes = answer
        return logits, of_classes.float()

    def _judge_both(self, real: Batch, fake: Batch, *, one_pass: bool) -> tuple[Judgement, Judgement]:
        """What D says of both batches, in one pass where that is the same thing and wastes nothing.

        One pass halves the number of kernels. It is the same where D treats each sample alone, and it wastes work
        where only one of the halves is penalised.
        """
        if not (self._judges_alone and one_pass):
            return self.judge(real), self.judge(fake)
        logits, classes = self.judge(real.joined(fake))
        of_both = (None, None) if classes is None else real.split(classes)
        on_real, on_fake = map(Judgement, real.split(logits), of_both)
        return on_real, on_fake

    def _supervised(self, real: Batch) -> dict[str, Tensor]:
        """What a game with labelled samples adds to D's loss, (members,), by the name it has in the log."""
        return {}

    def _check_discriminator(self) -> None:
        if self._game.feature_matching != "none":
            self._need("features", "feature matching compares the features of real and generated samples")
        if self._classes_told:
            why = "game.classification lets D tell classes apart"
            self._need("judge_and_classify", why, remedy="--set game.classification=0")

    def _need(self, method: str, why: str, remedy: str | None = None) -> None:
        if not callable(getattr(self._discriminator, method, None)):
            raise ConfigError(
                f"{why}, and this discriminator has no method `{method}`",
                expected="a discriminator of saddle's, or a module with the methods of saddle.networks.sides.Judging",
                got=type(self._discriminator).__qualname__,
                remedy=remedy,
            )


class SemiSupervisedRule(PlainRule):
    """K + 1 classes, the last one "generated" with its logit fixed at 0; Salimans et al. 2016, section 5.

    With Z(x) = Σ exp(l_k(x)) over the K real classes, D(x) = Z / (Z + 1): D's logit is log Z, so the unsupervised half
    is the plain game. The supervised half is the cross-entropy of the K classes on the labelled samples.
    """

    def _check_discriminator(self) -> None:
        super()._check_discriminator()
        self._need("class_logits", "the semi-supervised game needs a discriminator that tells classes apart")

    def _supervised(self, real: Batch) -> dict[str, Tensor]:
        assert real.labelled is not None
        samples, labels = real.labelled
        seen = self.see(Batch(samples, members=real.members)).samples
        logits: Tensor = self._discriminator.class_logits(seen)  # pyright: ignore[reportCallIssue, reportAssignmentType]
        return {"supervised": real.mean(cross_entropy(logits.float(), labels, reduction="none"))}


def rule_of(game: GameConfig) -> type[PlainRule]:
    """The rule that ``game`` names; made for a D that cannot play it, it raises ConfigError."""
    return SemiSupervisedRule if game.rule == "semi_supervised" else PlainRule


def _summed(parts: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of a loss's parts, (members,) each, over all members; and the parts as figures."""
    loss = torch.stack(list(parts.values())).sum()
    return loss, {name: part.detach() for name, part in parts.items()}


def _each(values: Tensor) -> Tensor:
    """One value for each unit that D judges: of a D that judges patches, the mean over these, (B, patches) → (B,).

    So the loss is the mean of the patches' losses, and a penalty is on the gradient of their mean logit.
    """
    return values if values.dim() == 1 else values.mean(1)


def _ask(question: Callable[..., Tensor], batch: Batch) -> Tensor:
    return question(batch.samples) if batch.condition is None else question(batch.samples, batch.condition)
