"""The Dirac-GAN (Mescheder et al. 2018, section 2): one number against one number, where the theory is exact.

The data are a point mass at 0, G puts one at θ, D(x) = ψ · x. The plain game circles around its equilibrium (0, 0) for
ever (lemma 2.3 and 2.4: discrete steps drift away from it); R1 makes it converge (theorem 4.1).
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from saddle.config.schema import Config, DiscriminatorConfig, GameConfig, GeneratorConfig, SGDConfig
from saddle.game.batch import Batch
from saddle.training.gan import GAN


class Point(nn.Module):
    """G: every latent becomes θ."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.ones(()))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.theta.expand(len(latents), 1)


class Slope(nn.Module):
    """D(x) = ψ · x."""

    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.ones(()))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        return (self.psi * samples).squeeze(1)


def play(rounds: int = 500, step: float = 0.2, **game: object) -> list[float]:
    """Distances from the equilibrium (0, 0), starting at (1, 1)."""
    optimizer = SGDConfig(learning_rate=step)
    config = Config(
        recipe="dirac",
        images=1,
        generator=GeneratorConfig(optimizer=optimizer),
        discriminator=DiscriminatorConfig(optimizer=optimizer),
        game=GameConfig(update="simultaneous", **game),
    )
    point, slope = Point(), Slope()
    gan = GAN(config, point, slope, torch.device("cpu"))
    distances = []
    for _ in range(rounds):
        gan.play([Batch(torch.zeros(1, 1))], 0)
        distances.append(torch.stack([point.theta, slope.psi]).norm().item())
    return distances


@pytest.mark.parametrize("loss", ["saturating", "wasserstein"])
def test_the_plain_game_circles_and_never_arrives(loss: str):
    distances = play(loss=loss)
    assert min(distances) > 0.5
    assert distances[-1] > distances[0] * 0.9


@pytest.mark.parametrize("loss", ["non_saturating", "relativistic"])
def test_the_non_saturating_game_spirals_in_slower_than_any_exponential(loss: str):
    """Its linearisation circles as well; what pulls it in vanishes at the equilibrium (Mescheder et al. 2018)."""
    distances = play(rounds=2000, loss=loss)
    assert distances[499] > 0.2
    early, late = distances[999] / distances[499], distances[1999] / distances[1499]
    assert early < late < 1


@pytest.mark.parametrize("loss", ["non_saturating", "saturating", "relativistic"])
def test_r1_converges(loss: str):
    assert play(loss=loss, r1=1.0)[-1] < 1e-3


def test_weight_clipping_and_the_one_centred_penalty_do_not_converge():
    """Mescheder et al. 2018, section 3.1 and 3.2: WGAN with clipping and WGAN-GP oscillate near the equilibrium."""
    assert max(play(loss="wasserstein", clip=1.0)[-100:]) > 0.1
    assert max(play(loss="wasserstein", gradient_penalty=1.0)[-100:]) > 0.1
