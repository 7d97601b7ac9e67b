"""Samples of either side, and all that is done to them: joining, splitting, packing, taking means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Samples, real or generated, of one game or of several that are played side by side.

    Several games are a population: their samples follow each other member by member, and nothing that a batch does
    mixes the samples of two members.

    Args:
        samples: (members · B, *shape), in the generator's range.
        condition: what G and D are told about each sample: class indices (members · B,), or images in a game on
            pairs; None in an unconditional game.
        labelled: further samples and their labels, for the semi-supervised game.
        members: how many games are played side by side.
    """

    samples: Tensor
    condition: Tensor | None = None
    labelled: tuple[Tensor, Tensor] | None = None
    members: int = 1

    @property
    def inputs(self) -> Tensor | None:
        """In a game on pairs what each sample is made of, (members · B, channels, H, W); else None."""
        return self.condition if self.condition is not None and self.condition.dim() == 4 else None

    @property
    def size(self) -> int:
        """B: how many samples each member has."""
        return len(self.samples) // self.members

    def detached(self) -> Batch:
        """The same samples without a way back to G."""
        return self._replace(samples=self.samples.detach())

    def joined(self, other: Batch) -> Batch:
        """Of each member first these samples, then those of ``other``; both have a condition, or neither."""
        assert self.members == other.members and (self.condition is None) == (other.condition is None)
        condition = None
        if self.condition is not None and other.condition is not None:
            condition = self._join(self.condition, other.condition)
        return Batch(self._join(self.samples, other.samples), condition, members=self.members)

    def _join(self, first: Tensor, second: Tensor) -> Tensor:
        if self.members == 1:  # the same, and the memory format of images stays
            return torch.cat([first, second])
        return torch.cat([_by_member(each, self.members) for each in (first, second)], 1).flatten(0, 1)

    def split(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """What belongs to either half of ``joined``, of values (members · 2n, ...) that have one row for each unit."""
        first, second = _by_member(values, self.members).chunk(2, 1)
        return first.flatten(0, 1), second.flatten(0, 1)

    def beside_inputs(self) -> Batch:
        """In a game on pairs the channels of the inputs behind those of the samples, and no condition; else the same.

        So D judges whether a sample fits its input (Isola et al. 2017, section 3.1).
        """
        inputs = self.inputs
        return self if inputs is None else self._replace(samples=torch.cat([self.samples, inputs], 1), condition=None)

    def packed(self, packing: int) -> Batch:
        """Every ``packing`` samples as one, along their first axis: (B, C, ...) → (B / packing, packing · C, ...).

        PacGAN (Lin et al. 2018, section 3): D judges them together, so it can see that they are too alike.
        """
        assert packing == 1 or (self.size % packing == 0 and self.condition is None)
        rows, channels, *rest = self.samples.shape
        return self._replace(samples=self.samples.reshape(rows // packing, packing * channels, *rest))

    def mean(self, values: Tensor) -> Tensor:
        """The mean over each member's rows: (members · n, ...) → (members, ...)."""
        return _by_member(values, self.members).mean(1)

    def repeated(self, values: Tensor, rows: int) -> Tensor:
        """The value of each member for each of its rows: (members,) → (rows,), ``rows`` of all members together."""
        return values.repeat_interleave(rows // self.members)


def side_by_side(batches: Sequence[Batch]) -> Batch:
    """The batches of several games, of one size and with a condition each, as one."""
    conditions = [batch.condition for batch in batches if batch.condition is not None]
    assert len(conditions) == len(batches)
    return Batch(torch.cat([batch.samples for batch in batches]), torch.cat(conditions), members=len(batches))


def _by_member(values: Tensor, members: int) -> Tensor:
    """(members · n, ...) → (members, n, ...)."""
    return values.unflatten(0, (members, -1))


def packed_shape(shape: tuple[int, ...], packing: int) -> tuple[int, ...]:
    """The shape of ``packing`` packed samples of ``shape``."""
    return (shape[0] * packing, *shape[1:])
