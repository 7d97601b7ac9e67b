"""The families of networks, and the two functions that build G and D from a config."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from saddle.config.schema import (
    CustomNetworkConfig,
    DCGANConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    LatentConfig,
)
from saddle.errors import ConfigError
from saddle.networks.dcgan import DCGANBody, DCGANGenerator
from saddle.networks.layers import LabelVector, initialise, normalise_weights
from saddle.networks.mlp import MLPBody, MLPGenerator
from saddle.networks.sides import ConditionalGenerator, Discriminator
from saddle.networks.virtual import ReferencedGenerator


def build_generator(config: GeneratorConfig, latent: LatentConfig, shape: Sequence[int], classes: int) -> nn.Module:
    """A generator: latents (B, latent.size), and labels (B,) where ``classes`` > 0 → (B, *shape), in its own range.

    Raises:
        ConfigError: the config describes a user's own module, which only the user can build, or samples of this shape
            are nothing that the network can make.
    """
    network = config.network
    if isinstance(network, CustomNetworkConfig):
        raise _needs_module(network, "generator")
    if isinstance(network, DCGANConfig):
        built: nn.Module = DCGANGenerator(network, latent.size + classes, shape)
    else:
        built = MLPGenerator(network, latent.size, classes, shape)
    if classes:
        built = ConditionalGenerator(built, LabelVector(config.condition, classes))
    return ReferencedGenerator(built, latent, classes) if network.norm == "virtual" else built


def build_discriminator(config: DiscriminatorConfig, shape: Sequence[int], classes: int, outputs: int = 1) -> nn.Module:
    """A discriminator: (B, *shape), and labels (B,) where ``classes`` > 0 → logits (B,); large means real.

    Args:
        shape: of what D sees, packing included.
        classes: labels that D is told, in a conditional game.
        outputs: classes that D has to tell apart, in the semi-supervised game.

    Raises:
        ConfigError: the config describes a user's own module, which only the user can build, or samples of this shape
            are nothing that the network can judge.
    """
    network = config.network
    if isinstance(network, CustomNetworkConfig):
        raise _needs_module(network, "discriminator")
    labels = 0 if config.condition == "projection" else classes
    body = DCGANBody(network, shape, labels) if isinstance(network, DCGANConfig) else MLPBody(network, shape, labels)
    built = Discriminator(config, body, body.features, classes, outputs)
    initialise(built, network.initialisation, network.scale)
    normalise_weights(built, config.weights)
    return built


def _needs_module(config: CustomNetworkConfig, role: str) -> ConfigError:
    return ConfigError(
        f"this run's {role} is a module of the user's own",
        expected=f"a {config.name} with {config.parameters:,} parameters",
        remedy=f"from Python, pass {role}=... as when the run was started",
    )
