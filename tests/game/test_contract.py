"""What stands between the game and a discriminator: wrappers and users' own modules lose nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from saddle.config.networks import MLPConfig
from saddle.config.schema import DiscriminatorConfig, GameConfig
from saddle.game.batch import Batch
from saddle.game.rules import PlainRule
from saddle.networks.families import build_discriminator


class Flipped(nn.Module):
    """A wrapper round D with an extra module: D sees mirrored images."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.extra = nn.Identity()

    @property
    def judges_alone(self) -> bool:
        return self.inner.judges_alone

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.inner(self.extra(samples.flip(-1)), condition)

    def features(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.inner.features(self.extra(samples.flip(-1)), condition)


class Own(nn.Module):
    """A user's own discriminator with the protocol's methods."""

    judges_alone = True

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 6)
        self.head = nn.Linear(6, 1)

    def features(self, samples: Tensor) -> Tensor:
        return torch.tanh(self.body(samples.flatten(1)))

    def forward(self, samples: Tensor) -> Tensor:
        return self.head(self.features(samples)).squeeze(1)


def built() -> nn.Module:
    return build_discriminator(DiscriminatorConfig(network=MLPConfig(widths=(8,))), (1, 2, 2), 0)


KINDS: dict[str, Callable[[], nn.Module]] = {
    "built": built,
    "compiled": lambda: torch.compile(built(), backend="eager"),
    "wrapped": lambda: Flipped(built()),
    "own": Own,
}


@pytest.fixture(params=KINDS)
def discriminator(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return KINDS[request.param]()


def samples(seed: int) -> Tensor:
    return torch.randn(8, 1, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_real_and_generated_samples_are_judged_in_one_pass(discriminator: nn.Module):
    sizes: list[int] = []
    discriminator.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    PlainRule(GameConfig(), discriminator).discriminator_turn(Batch(samples(1)), Batch(samples(2)))
    assert sizes == [16]


def test_features_can_be_matched(discriminator: nn.Module):
    rule = PlainRule(GameConfig(feature_matching="l2"), discriminator)
    gap = discriminator.features(samples(2)).mean(0) - discriminator.features(samples(1)).mean(0)
    turn = rule.generator_turn(Batch(samples(1)), Batch(samples(2)))
    assert turn.loss.item() == pytest.approx(gap.square().mean().item(), rel=1e-5)


def test_a_wrapper_that_mirrors_images_is_seen_by_penalties_and_turns():
    """D judges mirrored images as the bare D judges images that were mirrored before."""
    torch.manual_seed(0)
    inner = built()
    game = GameConfig(r1=1.0, r2=1.0)
    wrapped = PlainRule(game, Flipped(inner)).discriminator_turn(Batch(samples(1)), Batch(samples(2)))
    bare = PlainRule(game, inner).discriminator_turn(Batch(samples(1).flip(-1)), Batch(samples(2).flip(-1)))
    for name, value in bare.figures.items():
        torch.testing.assert_close(wrapped.figures[name], value)


def test_a_module_that_says_nothing_of_itself_is_judged_in_two_passes():
    sizes: list[int] = []
    plain = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0))
    plain.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    PlainRule(GameConfig(), plain).discriminator_turn(Batch(samples(1)), Batch(samples(2)))
    assert sizes == [8, 8]
