"""What the loop moves. A GAN is one kind of learner; the loop knows neither G nor D."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from saddle.config.schema import Config
from saddle.game.batch import Batch


class Sampled(Protocol):
    """A network that is trained and can be sampled from."""

    @property
    def device(self) -> torch.device:
        """Where it lives."""
        ...

    @property
    def result(self) -> nn.Module:
        """The network that samples are taken from, and that is saved for others to use."""
        ...

    def sample(self, seed: int, start: int, count: int, condition: Tensor | None) -> Tensor:
        """The samples numbered from ``start`` of stream ``seed``, (count, *shape) in the network's range.

        Args:
            condition: class indices (count,) where it learns with labels, images (count, channels, H, W) in the
                network's range where it learns from pairs, else None.
        """
        ...


@runtime_checkable
class Turning(Protocol):
    """A learner with two players, each of which may have a turn of its own."""

    def turn(self, player: str, real: Batch, number: int) -> None:
        """One turn of ``D`` or ``G`` beside the rounds; the averages stay.

        Args:
            player: which.
            real: samples that D sees, or has seen.
            number: of the round that comes next, which decides whether lazy penalties are due.
        """
        ...


class Learner(Sampled, Protocol):
    """Anything that learns from batches of real samples and can be sampled from.

    All its state is in ``state``: a learner that loads it goes on exactly. Everything random in ``play`` comes from
    torch's global generators, which are seeded before each round, or from ``generators``.
    """

    @property
    def turns(self) -> int:
        """How many batches of real samples a round takes."""
        ...

    def retune(self, config: Config) -> None:
        """Take over the numbers that may change while a run goes on (``saddle.config.editing``).

        ``schedule`` comes between this and the next round, and recordings of rounds are made anew.
        """
        ...

    def schedule(self, position: int) -> None:
        """Set the numbers that are schedules, for the round that begins at ``position`` images seen."""
        ...

    def kind(self, number: int) -> Hashable:
        """Equal for rounds that do the same operations on other values, by the round's number and the schedules."""
        ...

    @property
    def obstacle(self) -> str | None:
        """Why rounds cannot be recorded and replayed (see ``saddle.training.replay``); None if they can."""
        ...

    @property
    def generators(self) -> Sequence[torch.Generator]:
        """What a round draws from beside torch's global generators; ``schedule`` seeds them."""
        ...

    def play(self, batches: Sequence[Batch], number: int) -> dict[str, Tensor]:
        """Learn from one round's batches.

        Args:
            batches: ``turns`` of them.
            number: of the round, counted from 0.

        Returns:
            Figures for the log: detached, on the device, (members,) each, the same names in every round.
        """
        ...

    def follow(self, position: int, since: int) -> None:
        """Move the averages after a round of ``since`` images that ended at ``position``."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All state, by name."""
        ...

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` gave.

        Raises:
            CheckpointError: names or shapes do not fit.
        """
        ...
