from __future__ import annotations

import pytest
import torch

from saddle.game.penalties import zero_centred


def test_penalty_of_a_quadratic_is_known():
    """D(x) = ½ xᵀAx with symmetric A has gradient Ax, so the penalty is ½ E‖Ax‖²."""
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    matrix = half + half.T
    samples = torch.randn(32, 6, generator=generator, dtype=torch.float64).requires_grad_()
    logits = 0.5 * (samples @ matrix * samples).sum(1)
    expected = 0.5 * (samples.detach() @ matrix).square().sum(1).mean()
    assert zero_centred(logits, samples).item() == pytest.approx(expected.item())


def test_penalty_sends_gradients_to_the_weights():
    torch.manual_seed(0)
    weights = torch.randn(5, dtype=torch.float64)
    samples = torch.randn(4, 5, dtype=torch.float64)

    def penalty(weight: torch.Tensor) -> torch.Tensor:
        inputs = samples.clone().requires_grad_()
        return zero_centred(torch.tanh(inputs @ weight), inputs)

    assert torch.autograd.gradcheck(penalty, weights.requires_grad_())
