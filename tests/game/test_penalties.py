from __future__ import annotations

import pytest
import torch

from saddle.game.penalties import squared_gradient, unit_gradient_gap


def test_penalty_of_a_quadratic_is_known():
    """D(x) = ½ xᵀAx with symmetric A has gradient Ax, so ‖∇D(x)‖² is ‖Ax‖²."""
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    matrix = half + half.T
    samples = torch.randn(32, 6, generator=generator, dtype=torch.float64).requires_grad_()
    logits = 0.5 * (samples @ matrix * samples).sum(1)
    expected = (samples.detach() @ matrix).square().sum(1)
    torch.testing.assert_close(squared_gradient(logits, samples).detach(), expected)


def test_penalty_sends_gradients_to_the_weights():
    torch.manual_seed(0)
    weights = torch.randn(5, dtype=torch.float64)
    samples = torch.randn(4, 5, dtype=torch.float64)

    def penalty(weight: torch.Tensor) -> torch.Tensor:
        inputs = samples.clone().requires_grad_()
        return squared_gradient(torch.tanh(inputs @ weight), inputs)

    assert torch.autograd.gradcheck(penalty, weights.requires_grad_())


def test_one_centred_penalty_of_a_linear_critic_is_known():
    """D(x) = w·x has gradient w everywhere: the penalty is (‖w‖ - 1)²."""
    weight = torch.tensor([3.0, 4.0], dtype=torch.float64)
    real, fake = torch.randn(2, 16, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert unit_gradient_gap(lambda x: x @ weight, real.requires_grad_(), fake).tolist() == pytest.approx([16] * 16)


def test_one_centred_penalty_looks_between_real_and_generated_samples():
    places: list[torch.Tensor] = []
    real, fake = torch.zeros(64, 1, 2, 2), torch.ones(64, 1, 2, 2)

    def judge(samples: torch.Tensor) -> torch.Tensor:
        places.append(samples.detach())
        return samples.flatten(1).sum(1)

    torch.manual_seed(0)
    unit_gradient_gap(judge, real.requires_grad_(), fake)
    shares = places[0].flatten(1)
    assert (shares == shares[:, :1]).all()
    assert 0 < shares.min() < 0.1
    assert 0.9 < shares.max() < 1
