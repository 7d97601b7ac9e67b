"""Penalties on D's gradient with respect to its input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def zero_centred(logits: Tensor, samples: Tensor) -> Tensor:
    """½ E[‖∇ D(x)‖²]: multiplied by gamma this is R1 on real samples and R2 on generated ones.

    Mescheder et al. 2018, eq. 9 and 10. The graph is kept, so that D can learn from it.

    Args:
        logits: (B,), computed from ``samples`` by a D that treats each sample alone (no batch norm).
        samples: (B, ...), with ``requires_grad``.

    Returns:
        A scalar.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return 0.5 * gradient.flatten(1).square().sum(1).mean()


def one_centred(judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """E[(‖∇ D(x̂)‖ - 1)²] at x̂ uniform between a real and a generated sample; Gulrajani et al. 2017, eq. 3.

    The places are drawn from torch's global generator.

    Args:
        judge: samples (B, ...) → logits (B,).
        real, fake: (B, ...), without a graph.

    Returns:
        A scalar.
    """
    share = torch.rand((len(real),) + (1,) * (real.dim() - 1), device=real.device, dtype=real.dtype)
    between = torch.lerp(real, fake, share).requires_grad_()
    (gradient,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
