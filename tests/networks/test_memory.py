"""Sizes of networks, found without their values."""

from __future__ import annotations

from math import prod

import pytest
import torch
from torch import nn

from saddle.config import load_recipe, recipe_names, resolve
from saddle.config.networks import LatentConfig, PixelCNNConfig, UNetConfig
from saddle.errors import TooLarge
from saddle.networks.families import build_discriminator, build_generator
from saddle.networks.memory import kept_by, size_of, without_values
from saddle.networks.unet import noise_of

LARGE = ("r3gan-cifar10", "r3gan-stacked-mnist")  # 20 million parameters in each network
SHAPES = {"gaussian": (1,), "ring8": (2,), "grid25": (2,), "pixelcnn": (1, 28, 28)}


@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in recipe_names()]
)
@pytest.mark.parametrize("condition", ["concatenate", "embedding"])
def test_networks_without_values_are_the_same_but_for_these(recipe: str, condition: str):
    config = resolve(load_recipe(recipe))
    shape = SHAPES.get(recipe.partition("-")[0], (3, 32, 32))
    classes = 10 if config.conditional is True else 0
    generator = config.generator.model_copy(update={"condition": condition})
    discriminator = config.discriminator.model_copy(update={"condition": condition})
    latent, inputs = config.latent, 0
    if isinstance(config.generator.network, UNetConfig):
        latent, inputs = noise_of(config.generator.network, shape), 1
    elif isinstance(config.generator.network, PixelCNNConfig):
        latent = LatentConfig(size=prod(shape))
    for build, *arguments in (
        (build_generator, generator, latent, shape, classes, inputs),
        (build_discriminator, discriminator, shape, classes, 3),
    ):
        real, empty = build(*arguments), without_values(build, *arguments)
        assert all(tensor.is_meta for tensor in empty.state_dict().values())
        assert size_of(empty) == size_of(real)
        described = [{name: (t.shape, t.dtype) for name, t in each.state_dict().items()} for each in (real, empty)]
        assert described[0] == described[1]


def test_no_random_number_is_drawn():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    without_values(nn.Linear, 10, 10)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_beyond_all_counting():
    with pytest.raises(TooLarge, match="64 bits"):
        without_values(nn.Linear, 2**40, 2**40)


def test_nothing_is_drawn_without_values(monkeypatch: pytest.MonkeyPatch):
    """Which torch would import 800 modules for, in a second of every start."""
    monkeypatch.setattr(nn.init, "_no_grad_normal_", lambda *_: pytest.fail("drawn"))
    layer = without_values(lambda: nn.Embedding(3, 4))
    assert layer.weight.is_meta


def test_what_autograd_keeps_counts_once():
    weight = torch.ones(10, 20, requires_grad=True)
    values = torch.ones(5, 10, requires_grad=True)
    # The product keeps both factors; the sigmoid keeps what comes out of it.
    assert kept_by(lambda: torch.sigmoid(values @ weight)) == 4 * (5 * 10 + 10 * 20 + 5 * 20)
    assert kept_by(lambda: (values @ weight, values @ weight)) == 4 * (5 * 10 + 10 * 20)
    with torch.no_grad():
        assert kept_by(lambda: values @ weight) == 0
