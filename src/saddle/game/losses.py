"""What D minimises and what G minimises, as functions of D's logits.

Every loss takes logits, never probabilities: log(sigmoid(x)) is computed as -softplus(-x), which is finite for every
finite x, where the tutorials' torch.log(sigmoid(x)) is -inf from x < -104 on (in float32) and its gradient NaN.
Each function takes logits of shape (B,) and returns one value for each of them, (B,): whose mean is taken, the batch
knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus


class DiscriminatorTerms(NamedTuple):
    """D's loss in its two parts, (B,) each; D minimises the sum of their means."""

    real: Tensor
    fake: Tensor


class Loss(NamedTuple):
    """One loss.

    Args:
        discriminator: (logits on real, logits on generated, target for real in (0.5, 1]) → D's terms.
        generator: (logits on generated, logits on real) → what G minimises.
        verdict: (logits on one side, logits on the other) → what the log calls D(x) and D(G(z)).
        middle: the logit of a sample that may as well be real as generated; None: only differences of logits matter.
        compares: whether the loss is of pairs of a real sample and a generated one: G's turn then needs both logits.
    """

    discriminator: Callable[[Tensor, Tensor, float], DiscriminatorTerms]
    generator: Callable[[Tensor, Tensor], Tensor]
    verdict: Callable[[Tensor, Tensor], Tensor]
    middle: float | None
    compares: bool = False


def _cross_entropy(real: Tensor, fake: Tensor, target: float) -> DiscriminatorTerms:
    """-[t log D(x) + (1 - t) log(1 - D(x))] and -log(1 - D(G(z))); Goodfellow et al. 2014, eq. 1.

    With t < 1 this is one-sided label smoothing (Salimans et al. 2016, section 3.4).
    """
    return DiscriminatorTerms((softplus(-real) + (1 - target) * real), softplus(fake))


def _non_saturating(fake: Tensor, real: Tensor) -> Tensor:
    """-log D(G(z)); Goodfellow et al. 2014, section 3."""
    return softplus(-fake)


def _saturating(fake: Tensor, real: Tensor) -> Tensor:
    """log(1 - D(G(z))); Goodfellow et al. 2014, eq. 1, as the minimax game has it."""
    return -softplus(fake)


def _least_squares_discriminator(real: Tensor, fake: Tensor, target: float) -> DiscriminatorTerms:
    """½ (D(x) - t)² and ½ D(G(z))²; Mao et al. 2017, eq. 9 with a = 0, b = t."""
    return DiscriminatorTerms(0.5 * (real - target).square(), 0.5 * fake.square())


def _least_squares_generator(fake: Tensor, real: Tensor) -> Tensor:
    """½ (D(G(z)) - 1)²; Mao et al. 2017, eq. 9 with c = 1."""
    return 0.5 * (fake - 1).square()


def _hinge(real: Tensor, fake: Tensor, target: float) -> DiscriminatorTerms:
    """max(0, 1 - D(x)) and max(0, 1 + D(G(z))); Lim & Ye 2017, Miyato et al. 2018, eq. 16."""
    return DiscriminatorTerms(relu(1 - real), relu(1 + fake))


def _wasserstein(real: Tensor, fake: Tensor, target: float) -> DiscriminatorTerms:
    """-D(x) and D(G(z)); Arjovsky et al. 2017, eq. 2 and algorithm 1."""
    return DiscriminatorTerms(-real, fake)


def _critic(fake: Tensor, real: Tensor) -> Tensor:
    """-D(G(z)): the generator's side of the hinge and Wasserstein losses."""
    return -fake


def _relativistic(real: Tensor, fake: Tensor, target: float) -> DiscriminatorTerms:
    """softplus(-(D(x) - D(G(z)))), pair by pair; Jolicoeur-Martineau 2019, Huang et al. 2024, eq. 2.

    The two samples of a pair share one term, so half of it is booked on each side.
    """
    half = 0.5 * softplus(fake - real)
    return DiscriminatorTerms(half, half)


def _relativistic_generator(fake: Tensor, real: Tensor) -> Tensor:
    """softplus(-(D(G(z)) - D(x))), pair by pair; Huang et al. 2024, eq. 2."""
    return softplus(real - fake)


def _probability(logits: Tensor, others: Tensor) -> Tensor:
    """Of being real."""
    return logits.sigmoid()


def _output(logits: Tensor, others: Tensor) -> Tensor:
    return logits


def _preference(logits: Tensor, others: Tensor) -> Tensor:
    """The probability that these are the more realistic ones of their pairs; Jolicoeur-Martineau 2019, section 4."""
    return (logits - others).sigmoid()


LOSSES: dict[str, Loss] = {
    "non_saturating": Loss(_cross_entropy, _non_saturating, _probability, middle=0.0),
    "saturating": Loss(_cross_entropy, _saturating, _probability, middle=0.0),
    "least_squares": Loss(_least_squares_discriminator, _least_squares_generator, _output, middle=0.5),
    "hinge": Loss(_hinge, _critic, _output, middle=0.0),
    "wasserstein": Loss(_wasserstein, _critic, _output, middle=None),
    "relativistic": Loss(_relativistic, _relativistic_generator, _preference, middle=None, compares=True),
}
