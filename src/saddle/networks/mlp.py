"""Multilayer perceptrons, as in Goodfellow et al. 2014 and in most first GANs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from saddle.config.schema import GeneratorMLPConfig, MLPConfig
from saddle.networks.layers import activation, initialise, output_activation


def hidden_layers(config: MLPConfig, inputs: int) -> nn.Sequential:
    """The hidden layers: for each width linear, norm, activation (or activation, norm) and dropout."""
    layers: list[nn.Module] = []
    for before, width in pairwise((inputs, *config.widths)):
        layers.append(nn.Linear(before, width))
        shaping = [activation(config.activation, config.slope), *_norm(config, width)]
        layers += shaping if config.norm_after else reversed(shaping)
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
    return nn.Sequential(*layers)


def _norm(config: MLPConfig, width: int) -> list[nn.Module]:
    match config.norm:
        case "none":
            return []
        case "batch":
            return [nn.BatchNorm1d(width, momentum=config.norm_momentum)]
        case "layer":
            return [nn.LayerNorm(width)]


class MLPGenerator(nn.Module):
    """Latents (B, latent_size) → samples (B, *shape)."""

    def __init__(self, config: GeneratorMLPConfig, latent_size: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.hidden = hidden_layers(config, latent_size)
        self.output = nn.Sequential(nn.Linear(config.widths[-1], prod(shape)), output_activation(config.output))
        initialise(self, config)

    def forward(self, latents: Tensor) -> Tensor:
        return self.output(self.hidden(latents)).unflatten(1, self.shape)


class MLPDiscriminator(nn.Module):
    """Samples (B, *shape) → logits (B,)."""

    def __init__(self, config: MLPConfig, shape: Sequence[int]) -> None:
        super().__init__()
        self.hidden = hidden_layers(config, prod(shape))
        self.output = nn.Linear(config.widths[-1], 1)
        initialise(self, config)

    def forward(self, samples: Tensor) -> Tensor:
        return self.output(self.hidden(samples.flatten(1))).squeeze(1)
