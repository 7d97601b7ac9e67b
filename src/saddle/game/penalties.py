"""Penalties on D's gradient with respect to its input, one value for each unit that D judges."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from saddle.base import processes
from saddle.networks.population import Chance


def squared_gradient(logits: Tensor, samples: Tensor) -> Tensor:
    """‖∇ D(x)‖² of each x: γ/2 times its mean is R1 on real samples and R2 on generated ones.

    Mescheder et al. 2018, eq. 9 and 10. The graph is kept, so that D can learn from it.

    Args:
        logits: (B,), computed from ``samples`` by a D that treats each unit alone (no batch norm).
        samples: (packing · B, ...), with ``requires_grad``.

    Returns:
        (B,), not negative.
    """
    return _gradient(logits, samples).square().sum(1)


def unit_gradient_gap(
    judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, packing: int = 1, chance: Chance | None = None
) -> Tensor:
    """(‖∇ D(x̂)‖ - 1)² at an x̂ uniform between a real and a generated sample; Gulrajani et al. 2017, eq. 3.

    The places are drawn from ``chance``, one for each unit that D judges.

    Args:
        judge: samples (packing · B, ...) → logits (B,).
        real: (packing · B, ...), with ``requires_grad``.
        fake: (packing · B, ...), without a graph.
        packing: samples that D judges as one.
        chance: of the members of a population; None: torch's global generator.

    Returns:
        (B,), not negative.
    """
    chance = chance or Chance(real.device)
    units = (processes.whole(len(real) // packing // chance.members),) + (1,) * (real.dim() - 1)

    def places(generator: torch.Generator | None) -> Tensor:
        return torch.rand(units, device=real.device, dtype=real.dtype, generator=generator)

    share = processes.part(chance.each(places)).repeat_interleave(packing, 0)
    between = torch.lerp(real, fake, share)
    return (_gradient(judge(between), between).norm(dim=1) - 1).square()


def _gradient(logits: Tensor, samples: Tensor) -> Tensor:
    """∇ D, flat: (B, values of a unit)."""
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.reshape(len(logits), -1)
