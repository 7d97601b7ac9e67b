"""Penalties on D's gradient with respect to its input."""

from __future__ import annotations

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
