"""The families of networks, and the two functions that build G and D from a config."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from torch import nn

from saddle.config.networks import (
    REGISTERED,
    CustomNetworkConfig,
    LatentConfig,
    PatchGANConfig,
    PixelCNNConfig,
    RegisteredNetworkConfig,
    UNetConfig,
)
from saddle.config.schema import DiscriminatorConfig, GeneratorConfig
from saddle.config.section import Section
from saddle.errors import ConfigError
from saddle.networks.dcgan import DCGANBody, DCGANGenerator
from saddle.networks.layers import LabelVector, initialise, normalise_weights
from saddle.networks.mlp import MLPBody, MLPGenerator
from saddle.networks.patchgan import PatchGANBody
from saddle.networks.pixelcnn import PixelCNN
from saddle.networks.r3gan import R3GANBody, R3GANGenerator
from saddle.networks.sides import CodedGenerator, ConditionalGenerator, Discriminator
from saddle.networks.unet import UNet, needs_inputs, noise_of
from saddle.networks.virtual import ReferencedGenerator

Shape = Sequence[int]


class Family(NamedTuple):
    """What makes a family of networks.

    Args:
        generator: (settings, latent size, size of the label vector behind z or 0, shape of a sample) → a module,
            inputs (B, latent size + label vector) → samples (B, *shape).
        body: (settings, shape of what D sees, size of the label vector or 0) → a module, (samples (B, *shape), label
            vector or None) → features (B, body.features), and whose ``features`` says how many there are. With a
            method ``start_head(output, projection)`` it draws the first weights of the layers behind its features.
            With a method ``head()`` it gives maps (B, body.features, h, w), and makes the layer that makes logits of
            them, one for each place.
    """

    generator: Callable[[Any, int, int, Shape], nn.Module]
    body: Callable[[Any, Shape, int], nn.Module]


def _dcgan(config: Any, latents: int, labels: int, shape: Shape) -> nn.Module:
    return DCGANGenerator(config, latents + labels, shape)


FAMILIES = {
    "mlp": Family(MLPGenerator, MLPBody),
    "dcgan": Family(_dcgan, DCGANBody),
    "r3gan": Family(R3GANGenerator, R3GANBody),
}


def register(name: str, settings: type[Section], family: Family) -> None:
    """Make a family known, so that ``family = "NAME"`` works in every config, recipe and file.

    Args:
        name: of the family.
        settings: its section of the config, ``family`` and ``output`` apart.
        family: how its networks are made.

    Raises:
        ConfigError: the name is taken.
    """
    if name in FAMILIES or name in ("custom", "patchgan", "pixelcnn", "unet"):
        raise ConfigError(f"there is a family {name!r} already", remedy="choose another name")
    FAMILIES[name] = family
    REGISTERED[name] = settings


def build_generator(
    config: GeneratorConfig, latent: LatentConfig, shape: Shape, classes: int, input_channels: int = 0
) -> nn.Module:
    """A generator: latents (B, latent.width), and labels (B,) where ``classes`` > 0 → (B, *shape), in its own range.

    In a game on pairs it takes images (B, input_channels, H, W) beside the latents.

    Raises:
        ConfigError: the config describes a user's own module, which only the user can build, or samples of this shape
            are nothing that the network can make.
    """
    network = config.network
    if isinstance(network, CustomNetworkConfig):
        raise _needs_module(network, "generator")
    if isinstance(network, UNetConfig):
        if not input_channels:
            raise needs_inputs(network)
        if latent.width != (needed := noise_of(network, shape).width):
            raise ConfigError(
                "a unet has a number for each feature that may be dropped",
                expected=f"latent.size = {needed}",
                got=latent.width,
            )
        return UNet(network, input_channels, shape)
    inputs = latent.size + (latent.code_size if latent.codes else 0)
    if isinstance(network, PixelCNNConfig):  # its labels enter every layer
        if latent.width != prod(shape):
            raise ConfigError(
                "a pixelcnn draws each value by a number of its own",
                expected=f"latent.size = {prod(shape)}",
                got=latent.width,
            )
        return PixelCNN(network, shape, LabelVector(config.condition, classes) if classes else None)
    built = FAMILIES[network.family].generator(_settings(network), inputs, classes, shape)
    if classes:
        built = ConditionalGenerator(built, LabelVector(config.condition, classes))
    if latent.codes:
        built = CodedGenerator(built, latent)
    return ReferencedGenerator(built, latent, classes) if getattr(network, "norm", "none") == "virtual" else built


def build_discriminator(
    config: DiscriminatorConfig, shape: Shape, classes: int, outputs: int = 1, classify: bool = False
) -> Discriminator:
    """A discriminator: (B, *shape), and labels (B,) where ``classes`` > 0 → logits (B,); large means real.

    Args:
        config: of D.
        shape: of what D sees, packing included.
        classes: labels that D is told, in a conditional game.
        outputs: classes that D has to tell apart, in the semi-supervised game.
        classify: whether a D with a projection also tells the labels, in a game with ``classification``.

    Raises:
        ConfigError: the config describes a user's own module, which only the user can build, or samples of this shape
            are nothing that the network can judge.
    """
    network = config.network
    if isinstance(network, CustomNetworkConfig):
        raise _needs_module(network, "discriminator")
    labels = 0 if config.condition == "projection" else classes
    if isinstance(network, PatchGANConfig):
        body: Any = PatchGANBody(network, shape, labels)
    else:
        body = FAMILIES[network.family].body(_settings(network), shape, labels)
    built = Discriminator(config, body, body.features, classes, outputs, classify)
    if hasattr(body, "start_head"):
        body.start_head(built.output, built.projection)
    initialise(built, getattr(network, "initialisation", "default"), getattr(network, "scale", 1.0))
    normalise_weights(built, config.weights)
    return built


def _settings(network: Section) -> Section:
    return network.settings if isinstance(network, RegisteredNetworkConfig) else network


def _needs_module(config: CustomNetworkConfig, role: str) -> ConfigError:
    return ConfigError(
        f"the {role} of this run is your own module, which saddle cannot build",
        expected=f"the module that was trained: {config.name} with {config.parameters:,} parameters",
        remedy=f"this needs Python: give saddle.train the module with {role}=..., as when the run was started",
    )
