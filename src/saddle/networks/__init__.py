"""Networks, one file a family, and the two functions that build them from a config."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from saddle.config.schema import CustomNetworkConfig, DiscriminatorNetworkConfig, GeneratorNetworkConfig
from saddle.errors import ConfigError
from saddle.networks.mlp import MLPDiscriminator, MLPGenerator


def build_generator(config: GeneratorNetworkConfig, *, latent_size: int, shape: Sequence[int]) -> nn.Module:
    """A generator: (B, latent_size) → (B, *shape), in the range of its output activation.

    Raises:
        ConfigError: the config describes a user's own module, which only the user can build.
    """
    if isinstance(config, CustomNetworkConfig):
        raise _needs_module(config, "generator")
    return MLPGenerator(config, latent_size, shape)


def build_discriminator(config: DiscriminatorNetworkConfig, *, shape: Sequence[int]) -> nn.Module:
    """A discriminator: (B, *shape) → logits (B,); large means real. ``shape`` includes packing.

    Raises:
        ConfigError: the config describes a user's own module, which only the user can build.
    """
    if isinstance(config, CustomNetworkConfig):
        raise _needs_module(config, "discriminator")
    return MLPDiscriminator(config, shape)


def _needs_module(config: CustomNetworkConfig, role: str) -> ConfigError:
    return ConfigError(
        f"this run's {role} is a module of the user's own",
        expected=f"a {config.name} with {config.parameters:,} parameters",
        remedy=f"from Python, pass {role}=... as when the run was started",
    )
