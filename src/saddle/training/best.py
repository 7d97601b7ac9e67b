"""The best generator so far: kept in memory and in each checkpoint, and written to its file with the next one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from saddle.training.learner import Sampled
from saddle.training.players import below


class Best:
    """A copy of the generator as it was when a figure was best.

    Args:
        learner: whose result is copied.
        by: what the figure is and how it is found; figures found in other ways cannot be compared.
        higher: whether larger figures are better.
    """

    at: int | None = None  # images seen
    value: float | None = None

    def __init__(self, learner: Sampled, by: Mapping[str, Any], *, higher: bool = False) -> None:
        self.weights: dict[str, Tensor] = {}  # and buffers
        self._learner = learner
        self._by = dict(by)
        self._sign = 1 if higher else -1

    def of_member(self, learner: Sampled) -> Best:
        """The same for one member of a population."""
        return Best(learner, self._by, higher=self._sign > 0)

    @torch.no_grad()
    def offer(self, value: float, images_seen: int) -> bool:
        """Whether the generator as it is now has a better ``value`` than all before; it is copied then."""
        better = math.isfinite(value) and (self.value is None or self._sign * value > self._sign * self.value)
        if better:
            self.value, self.at = value, images_seen
            self.weights = self.now()
        return better

    def now(self) -> dict[str, Tensor]:
        """A copy of the generator as it is now."""
        return {name: tensor.clone() for name, tensor in self._learner.result.state_dict().items()}

    def state(self) -> dict[str, Tensor]:
        """The generator, if there is one yet."""
        return {f"best.{name}": tensor for name, tensor in self.weights.items()}

    def header(self) -> dict[str, Any]:
        """What is known of it."""
        return {"best": self.value, "best_at": self.at, "settings": self._by}

    def load(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Take over what ``state`` and ``header`` gave; one that was found in another way is forgotten.

        Raises:
            KeyError, TypeError, ValueError: it is not what they give.
        """
        self.value, self.at, self.weights = None, None, {}
        if header["settings"] != self._by:
            return
        best, best_at, weights = header["best"], header["best_at"], below("best.", tensors)
        if (best is None) != (best_at is None) or not isinstance(best, float | None | int):
            raise ValueError(f"the best score {best!r}, at {best_at!r}")
        if not isinstance(best_at, int | None):
            raise ValueError(f"the best score at {best_at!r}")
        now = self._learner.result.state_dict()
        shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in now.items()} if best is not None else {}
        if {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()} != shapes:
            raise ValueError("a best generator that does not fit these networks")
        self.value, self.at = best, best_at
        self.weights = {name: tensor.to(self._learner.device, copy=True) for name, tensor in weights.items()}
