"""Multilayer perceptrons, as in Goodfellow et al. 2014 and in most first GANs.

Dropout of G's hidden units may be its noise, in sampling too, as in the authors' class ``IntrinsicDropoutGenerator``.
Then z decides it, as in ``saddle.networks.unet``: a sample follows from its z and its label alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from saddle.config.networks import GeneratorMLPConfig, MLPConfig
from saddle.errors import ConfigError
from saddle.networks.layers import GaussianNoise, Maxout, activation, initialise
from saddle.networks.virtual import VirtualBatchNorm


def hidden_layers(config: MLPConfig, inputs: int, labels: int) -> tuple[nn.Module, int]:
    """The hidden layers, (B, inputs + labels) → (B, features), and how many features there are.

    The last ``labels`` inputs are a label's vector. With ``label_widths`` it has layers of its own before the two join
    (Mirza & Osindero 2014, section 4.1); otherwise it is one more input.
    """
    if not labels or not config.label_widths:
        return _stack(config, (inputs + labels, *config.widths), config.pieces), config.widths[-1]
    sides = (
        _stack(config, (inputs, *config.widths), config.pieces),
        _stack(config, (labels, *config.label_widths), config.pieces),
    )
    joined = config.widths[-1] + config.label_widths[-1]
    joint = _stack(config, (joined, *config.joint_widths), config.joint_pieces, first=False)
    return _Joined(*sides, joint, inputs), config.joint_widths[-1]


class _DecidedDropout(nn.Module):
    """Dropout of hidden units (B, units), in sampling too: those whose ``numbers`` lie below ``share`` become 0.

    The others are scaled by 1 / (1 - share), as in ``nn.Dropout``.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor, numbers: Tensor) -> Tensor:
        return values * (numbers >= self.share) / (1 - self.share)


class _Stack(nn.Sequential):
    """Layers in turn, of which those of ``_DecidedDropout`` take the next of ``numbers``, (B, units) each."""

    def forward(self, input: Tensor, numbers: Iterator[Tensor] | None = None) -> Tensor:
        for layer in self:
            if isinstance(layer, _DecidedDropout):
                assert numbers is not None
                input = layer(input, next(numbers))
            else:
                input = layer(input)
        return input


class _Joined(nn.Module):
    """Two stacks side by side, then one on top: (B, inputs + labels) → (B, features)."""

    def __init__(self, left: nn.Module, right: nn.Module, joint: nn.Module, inputs: int) -> None:
        super().__init__()
        self.left, self.right, self.joint = left, right, joint
        self.inputs = inputs

    def forward(self, values: Tensor, numbers: Iterator[Tensor] | None = None) -> Tensor:
        left, right = values[:, : self.inputs], values[:, self.inputs :]
        return self.joint(torch.cat([self.left(left, numbers), self.right(right, numbers)], 1), numbers)


def _stack(config: MLPConfig, widths: Sequence[int], pieces: int, *, first: bool = True) -> _Stack:
    """(B, widths[0]) → (B, widths[-1]): noise, linear, norm and activation or the reverse, dropout, each time.

    There is no noise on the ``first`` layer's input, and what comes out is without: the next layer adds it.
    """
    layers: list[nn.Module] = []
    if config.input_dropout and first:
        layers.append(nn.Dropout(config.input_dropout))
    for number, (before, width) in enumerate(pairwise(widths)):
        if config.noise and (number or not first):
            layers.append(GaussianNoise(config.noise))
        maxout = config.activation == "maxout"
        units = width * pieces if maxout else width
        shaping = Maxout(pieces) if maxout else activation(config.activation, config.slope)
        layers.append(nn.Linear(before, units))
        layers += [shaping, *_norm(config, width)] if config.norm_after else [*_norm(config, units), shaping]
        if config.dropout:
            decided = isinstance(config, GeneratorMLPConfig) and config.dropout_in_samples
            layers.append(_DecidedDropout(config.dropout) if decided else nn.Dropout(config.dropout))
    return _Stack(*layers)


def _norm(config: MLPConfig, width: int) -> list[nn.Module]:
    match config.norm:
        case "none":
            return []
        case "batch":
            return [nn.BatchNorm1d(width, momentum=config.norm_momentum)]
        case "layer":
            return [nn.LayerNorm(width)]
        case "virtual":
            return [VirtualBatchNorm(width)]


class MLPGenerator(nn.Module):
    """Latents, and the label vector behind them (B, latents + labels) → samples (B, *shape).

    Raises:
        ConfigError: z has too few numbers for the units that may be dropped.
    """

    def __init__(self, config: GeneratorMLPConfig, latents: int, labels: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        joint = (*config.label_widths, *config.joint_widths) if labels else ()
        self.dropped = (*config.widths, *joint) if config.dropout_in_samples else ()
        self.inputs = latents - sum(self.dropped)
        if self.inputs < 1:
            raise ConfigError(
                "with dropout_in_samples z has its own numbers, and one more for each unit that may be dropped",
                expected=f"more than the {sum(self.dropped):,} of {' + '.join(map(str, self.dropped))} units",
                got=f"latent.size = {latents:,}",
                remedy=f"--set latent.size={sum(self.dropped) + 100}",
            )
        self.hidden, features = hidden_layers(config, self.inputs, labels)
        self.noise = GaussianNoise(config.noise) if config.noise else nn.Identity()
        self.last = nn.Linear(features, prod(shape))
        self.output = activation(config.output)
        initialise(self, config.initialisation, config.scale)

    def forward(self, inputs: Tensor) -> Tensor:
        numbers = None
        if self.dropped:
            z, chances, label = inputs.tensor_split((self.inputs, self.inputs + sum(self.dropped)), 1)
            inputs, numbers = torch.cat([z, label], 1), iter(chances.split(self.dropped, 1))
        return self.output(self.last(self.noise(self.hidden(inputs, numbers)))).unflatten(1, self.shape)

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Set the output's bias so that a sigmoid G starts at ``mean`` (prod(shape),), in [0, 1].

        Goodfellow et al. 2014, the authors' code: ``init_bias_target_marginals``.
        """
        self.last.bias.copy_(mean.clamp(1e-7, 1 - 1e-7).logit())


def drops_by_z(network: nn.Module) -> bool:
    """Whether ``network`` is, or holds, an MLP whose dropout stays in sampling."""
    return any(isinstance(part, MLPGenerator) and part.dropped for part in network.modules())


class MLPBody(nn.Module):
    """Samples (B, *shape) and a label vector (B, labels) → features (B, self.features)."""

    def __init__(self, config: MLPConfig, shape: Sequence[int], labels: int) -> None:
        super().__init__()
        self.hidden, self.features = hidden_layers(config, prod(shape), labels)

    def forward(self, samples: Tensor, vector: Tensor | None) -> Tensor:
        values = samples.flatten(1)
        return self.hidden(values if vector is None else torch.cat([values, vector], 1))
