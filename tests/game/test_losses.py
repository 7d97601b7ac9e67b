from __future__ import annotations

import pytest
import torch

from saddle.game.losses import LOSSES

LOGITS = torch.linspace(-8, 8, 33, dtype=torch.float64)
REAL = LOGITS.flip(0) / 3 + 0.25


def tutorial_discriminator(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """As the tutorials write it: sigmoid, then log."""
    front = -1 * torch.log(torch.sigmoid(real))
    end = -1 * torch.log(1.0 - torch.sigmoid(fake))
    return (front + end).mean()


# As the tutorials write them, or as the papers define them.
GENERATOR = {
    "non_saturating": lambda fake: -1 * torch.log(torch.sigmoid(fake)).mean(),
    "saturating": lambda fake: torch.log(1.0 - torch.sigmoid(fake)).mean(),
    "least_squares": lambda fake: 0.5 * ((fake - 1) ** 2).mean(),
    "hinge": lambda fake: -fake.mean(),
    "wasserstein": lambda fake: -fake.mean(),
    "relativistic": lambda fake: -torch.log(torch.sigmoid(fake - REAL)).mean(),
}


def value_and_gradient(function, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the mean over the batch."""
    logits = logits.clone().requires_grad_()
    value = function(logits).mean()
    value.backward()
    return value.detach(), logits.grad


@pytest.mark.parametrize("name", LOSSES)
def test_generator_loss_and_gradient_equal_the_sigmoid_and_log_form_where_that_is_finite(name: str):
    ours = value_and_gradient(lambda fake: LOSSES[name].generator(fake, REAL), LOGITS)
    theirs = value_and_gradient(GENERATOR[name], LOGITS)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["non_saturating", "saturating"])
def test_discriminator_loss_and_gradient_equal_the_sigmoid_and_log_form_where_that_is_finite(name: str):
    for ours, theirs in (
        (lambda x: sum(LOSSES[name].discriminator(x, LOGITS, 1.0)), lambda x: tutorial_discriminator(x, LOGITS)),
        (lambda x: sum(LOSSES[name].discriminator(LOGITS, x, 1.0)), lambda x: tutorial_discriminator(LOGITS, x)),
    ):
        torch.testing.assert_close(
            value_and_gradient(ours, LOGITS), value_and_gradient(theirs, LOGITS), rtol=1e-9, atol=1e-12
        )


DISCRIMINATOR = {
    "hinge": lambda real, fake: (1 - real).clamp_min(0).mean() + (1 + fake).clamp_min(0).mean(),
    "wasserstein": lambda real, fake: fake.mean() - real.mean(),
    "relativistic": lambda real, fake: -torch.log(torch.sigmoid(real - fake)).mean(),
}


@pytest.mark.parametrize("name", DISCRIMINATOR)
def test_discriminator_loss_equals_its_papers_definition(name: str):
    logits = LOGITS * 0.93 + 0.17  # away from the hinge's corner, where conventions differ
    ours = value_and_gradient(lambda x: sum(LOSSES[name].discriminator(x, REAL, 1.0)), logits)
    theirs = value_and_gradient(lambda x: DISCRIMINATOR[name](x, REAL), logits)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_finite_differences(name: str):
    # Away from the corners of the hinge at ±1, where there is no gradient to agree with.
    real = (LOGITS * 0.93 + 0.17).requires_grad_()
    fake = (REAL * 0.91 + 0.13).requires_grad_()
    loss = LOSSES[name]
    assert torch.autograd.gradcheck(lambda x, y: sum(loss.discriminator(x, y, 0.9)), (real, fake))
    assert torch.autograd.gradcheck(lambda x: loss.generator(x, real.detach()), (fake,))


def test_least_squares_discriminator_equals_its_definition():
    real, fake = LOGITS, LOGITS.flip(0) + 0.5
    terms = LOSSES["least_squares"].discriminator(real, fake, 0.9)
    assert terms.real.mean().item() == pytest.approx(0.5 * ((real - 0.9) ** 2).mean().item())
    assert terms.fake.mean().item() == pytest.approx(0.5 * (fake**2).mean().item())


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_are_finite_where_the_sigmoid_and_log_form_is_not(name: str):
    far = torch.tensor([-2000.0, -120.0, 120.0, 2000.0])
    assert not torch.log(torch.sigmoid(far)).isfinite().all()
    loss = LOSSES[name]
    for function in (
        lambda x: loss.generator(x, far),
        lambda x: sum(loss.discriminator(x, far, 1.0)),
        lambda x: sum(loss.discriminator(far, x, 0.9)),
    ):
        value, gradient = value_and_gradient(function, far)
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_smoothing_is_one_sided():
    """With target t, D's best logit on real samples is log(t / (1 - t)); on generated samples nothing changes."""
    best = torch.tensor([0.9]).logit().double()
    _, gradient = value_and_gradient(lambda x: sum(LOSSES["non_saturating"].discriminator(x, LOGITS, 0.9)), best)
    assert gradient.item() == pytest.approx(0, abs=1e-7)
    plain = LOSSES["non_saturating"].discriminator(LOGITS + 1, LOGITS, 1.0)
    smooth = LOSSES["non_saturating"].discriminator(LOGITS + 1, LOGITS, 0.9)
    assert torch.equal(plain.fake, smooth.fake)
    assert not torch.equal(plain.real, smooth.real)
