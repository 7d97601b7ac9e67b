"""Numbers that are schedules, where a recorded round (see ``saddle.training.replay``) can read them."""

from __future__ import annotations

import torch
from torch import Tensor


def number_on(device: torch.device | None) -> float | Tensor:
    """A number to be set before each round: a tensor () on the device, or a plain one."""
    return 0.0 if device is None else torch.zeros((), device=device)


def set_number(kept: float | Tensor, value: float) -> float | Tensor:
    """The number with another value: the same tensor, or a plain number."""
    return kept.fill_(value) if isinstance(kept, Tensor) else value
