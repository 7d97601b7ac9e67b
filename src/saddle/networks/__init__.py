"""Networks, one file a family, and the two functions that build them from a config."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from saddle.config.schema import CustomNetworkConfig, DiscriminatorConfig, GeneratorConfig, LatentConfig
from saddle.errors import ConfigError
from saddle.networks.layers import LabelVector, initialise, normalise_weights
from saddle.networks.mlp import MLPBody, MLPGenerator
from saddle.networks.players import ConditionalGenerator, Discriminator


def build_generator(config: GeneratorConfig, latent: LatentConfig, shape: Sequence[int], classes: int) -> nn.Module:
    """A generator: latents (B, latent.size), and labels (B,) where ``classes`` > 0 → (B, *shape), in its own range.

    Raises:
        ConfigError: the config describes a user's own module, which only the user can build.
    """
    network = config.network
    if isinstance(network, CustomNetworkConfig):
        raise _needs_module(network, "generator")
    if not classes:
        return MLPGenerator(network, latent.size, shape)
    label = LabelVector(config.condition, classes)
    return ConditionalGenerator(MLPGenerator(network, latent.size + label.size, shape), label)


def build_discriminator(config: DiscriminatorConfig, shape: Sequence[int], classes: int) -> nn.Module:
    """A discriminator: (B, *shape), and labels (B,) where ``classes`` > 0 → logits (B,); large means real.

    Args:
        shape: of what D sees, packing included.

    Raises:
        ConfigError: the config describes a user's own module, which only the user can build.
    """
    network = config.network
    if isinstance(network, CustomNetworkConfig):
        raise _needs_module(network, "discriminator")
    body = MLPBody(network, shape, 0 if config.condition == "projection" else classes)
    built = Discriminator(config, body, body.features, classes)
    initialise(built, network.initialisation, network.scale)
    normalise_weights(built, config.weights)
    return built


def _needs_module(config: CustomNetworkConfig, role: str) -> ConfigError:
    return ConfigError(
        f"this run's {role} is a module of the user's own",
        expected=f"a {config.name} with {config.parameters:,} parameters",
        remedy=f"from Python, pass {role}=... as when the run was started",
    )
