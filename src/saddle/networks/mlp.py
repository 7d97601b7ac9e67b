"""Multilayer perceptrons, as in Goodfellow et al. 2014 and in most first GANs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from saddle.config.schema import GeneratorMLPConfig, MLPConfig
from saddle.networks.layers import GaussianNoise, Maxout, activation, initialise


def hidden_layers(config: MLPConfig, inputs: int) -> nn.Sequential:
    """(B, inputs) → (B, widths[-1]): for each width linear, norm, activation (or activation, norm), noise, dropout."""
    layers: list[nn.Module] = []
    if config.input_dropout:
        layers.append(nn.Dropout(config.input_dropout))
    for before, width in pairwise((inputs, *config.widths)):
        maxout = config.activation == "maxout"
        units = width * config.pieces if maxout else width
        shaping = Maxout(config.pieces) if maxout else activation(config.activation, config.slope)
        layers.append(nn.Linear(before, units))
        layers += [shaping, *_norm(config, width)] if config.norm_after else [*_norm(config, units), shaping]
        if config.noise:
            layers.append(GaussianNoise(config.noise))
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
    """Inputs (B, inputs) → samples (B, *shape)."""

    def __init__(self, config: GeneratorMLPConfig, inputs: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.hidden = hidden_layers(config, inputs)
        self.output = nn.Sequential(nn.Linear(config.widths[-1], prod(shape)), activation(config.output))
        initialise(self, config.initialisation, config.scale)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.output(self.hidden(inputs)).unflatten(1, self.shape)


class MLPBody(nn.Module):
    """Samples (B, *shape), with a label vector (B, extra) joined to their values → features (B, widths[-1])."""

    def __init__(self, config: MLPConfig, shape: Sequence[int], extra: int) -> None:
        super().__init__()
        self.features = config.widths[-1]
        self.hidden = hidden_layers(config, prod(shape) + extra)

    def forward(self, samples: Tensor, vector: Tensor | None) -> Tensor:
        values = samples.flatten(1)
        return self.hidden(values if vector is None else torch.cat([values, vector], 1))
