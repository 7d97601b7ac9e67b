"""The networks of Huang et al. 2024, "The GAN is dead; long live the GAN!" (R3GAN), for images of any size from 8 on.

Residual blocks of a pointwise, a grouped 3×3 and a pointwise convolution, leaky ReLU, no norm, bilinear resampling
between the grids; G and D mirror each other (section 3 of the paper, config E). The grids are those of
``saddle.networks.grids``. The paper's networks have two blocks on each grid, and ``widths`` (768,) for 32 pixels,
(384, 768) for 64 and (96, 192, 384, 768) for 256.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from saddle.config.networks import DiscriminatorR3GANConfig, GeneratorR3GANConfig, R3GANConfig
from saddle.networks.grids import Grid, grids
from saddle.networks.layers import ChannelsLast, activation

_Layer = TypeVar("_Layer", nn.Conv2d, nn.Linear)


class ResidualBlock(nn.Module):
    """x + W₃ φ(W₂ * φ(W₁ x + b₁) + b₂), (B, width, h, w) → the same: pointwise, grouped 3×3, pointwise; φ leaky ReLU.

    Fix-up initialisation, section 3: the last layer begins at zero, so that a new block changes nothing; the others are
    scaled by L^(-1/4).

    Args:
        config: slope, expansion and groups.
        width: channels that come in and go out.
        blocks: residual blocks in the whole network, L.
    """

    def __init__(self, config: R3GANConfig, width: int, blocks: int) -> None:
        super().__init__()
        inner = width * config.expansion
        gain = nn.init.calculate_gain("leaky_relu", config.slope) * blocks**-0.25
        self.branch = nn.Sequential(
            _msr(nn.Conv2d(width, inner, 1), gain),
            nn.LeakyReLU(config.slope, inplace=True),  # these activations are most of what a batch needs
            _msr(nn.Conv2d(inner, inner, 3, padding=1, groups=inner // config.group_width), gain),
            nn.LeakyReLU(config.slope, inplace=True),
            _msr(nn.Conv2d(inner, width, 1, bias=False), 0.0),
        )

    def forward(self, values: Tensor) -> Tensor:
        return values + self.branch(values)


class Up(nn.Module):
    """A pointwise convolution where the width changes, then bilinear: (B, before, h, w) → (B, after, *grid).

    [1, 3, 3, 1] / 4 along each axis, which is [1, 2, 1] after each value was doubled; zeros beyond the border.

    Args:
        before, after: channels.
        grid: twice what comes in, or one more.
    """

    def __init__(self, before: int, after: int, grid: Grid) -> None:
        super().__init__()
        self.grid = grid
        self.pointwise = _pointwise(before, after)

    def forward(self, values: Tensor) -> Tensor:
        values = self.pointwise(values)
        odd = self.grid[0] % 2, self.grid[1] % 2
        kernel = 4 * _bilinear(values)
        return conv_transpose2d(values, kernel, stride=2, padding=1, output_padding=odd, groups=values.shape[1])


class Down(nn.Module):
    """Bilinear, then a pointwise convolution where the width changes: (B, before, h, w) → (B, after, h / 2, w / 2)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.pointwise = _pointwise(before, after)

    def forward(self, values: Tensor) -> Tensor:
        return self.pointwise(conv2d(values, _bilinear(values), stride=2, padding=1, groups=values.shape[1]))


class R3GANGenerator(nn.Module):
    """Latents, and the label vector behind them (B, latents + labels) → images (B, C, H, W).

    A label is embedded in as many numbers as z has and joined to it; together they weigh learned maps on the coarsest
    grid, channel by channel.
    """

    def __init__(self, config: GeneratorR3GANConfig, latents: int, labels: int, shape: Sequence[int]) -> None:
        super().__init__()
        coarse_to_fine = grids(shape)[::-1]
        stages = _stages(config, len(coarse_to_fine))[::-1]
        width, layers = stages[0]
        self.latents = latents
        self.embedding = _msr(nn.Linear(labels, latents, bias=False)) if labels else None
        self.modulation = _msr(nn.Linear(2 * latents if labels else latents, width, bias=False))
        self.basis = nn.Parameter(torch.empty(width, *coarse_to_fine[0]))
        nn.init.normal_(self.basis)
        self.channels_last = ChannelsLast()
        for ((before, _), (width, blocks)), grid in zip(pairwise(stages), coarse_to_fine[1:], strict=True):
            layers = [*layers, Up(before, width, grid), *blocks]
        to_image = _msr(nn.Conv2d(width, shape[0], 1, bias=False))
        self.layers = nn.Sequential(*layers, to_image, activation(config.output))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.embedding is not None:
            latents, label = inputs[:, : self.latents], inputs[:, self.latents :]
            inputs = torch.cat([latents, self.embedding(label)], 1)
        weights = self.modulation(inputs)
        return self.layers(self.channels_last(weights[:, :, None, None] * self.basis))


class R3GANBody(nn.Module):
    """Images (B, C, H, W), and a label vector (B, labels) added to the first layer → features (B, self.features)."""

    def __init__(self, config: DiscriminatorR3GANConfig, shape: Sequence[int], labels: int) -> None:
        super().__init__()
        coarsest = grids(shape)[-1]
        stages = _stages(config, len(grids(shape)))
        width, layers = stages[0]
        self.channels_last = ChannelsLast()
        self.first = _msr(nn.Conv2d(shape[0], width, 1, bias=False))
        self.label = _msr(nn.Linear(labels, width, bias=False)) if labels else None
        for (before, _), (width, blocks) in pairwise(stages):
            layers = [*layers, Down(before, width), *blocks]
        self.layers = nn.Sequential(*layers)
        self.basis = nn.Parameter(torch.empty(width, *coarsest))
        nn.init.normal_(self.basis, std=prod(coarsest) ** -0.5)
        self.features = config.features or width
        self.last = _msr(nn.Linear(width, self.features, bias=False)) if config.features else nn.Identity()

    def forward(self, samples: Tensor, vector: Tensor | None) -> Tensor:
        values = self.first(self.channels_last(samples))
        if self.label is not None and vector is not None:
            values = values + self.label(vector)[:, :, None, None]
        return self.last((self.layers(values) * self.basis).sum((2, 3)))

    def start_head(self, output: nn.Linear, projection: nn.Embedding | None) -> None:
        """The first weights of what follows the features; see ``saddle.networks.families.Family``.

        With a projection the paper's D is that alone; the part that all labels share begins at zero here.
        """
        _msr(output, 0.0 if projection is not None else 1.0)
        if projection is not None:
            nn.init.normal_(projection.weight, std=projection.weight.numel() ** -0.5)


def _stages(config: R3GANConfig, count: int) -> list[tuple[int, list[nn.Module]]]:
    """The width and the residual blocks of each of ``count`` grids, finest first."""

    def on_grids(numbers: Sequence[int]) -> list[int]:
        return [numbers[min(grid, len(numbers) - 1)] for grid in range(count)]

    blocks = on_grids(config.blocks)
    return [
        (width, [ResidualBlock(config, width, sum(blocks)) for _ in range(many)])
        for width, many in zip(on_grids(config.widths), blocks, strict=True)
    ]


def _pointwise(before: int, after: int) -> nn.Module:
    return nn.Identity() if before == after else _msr(nn.Conv2d(before, after, 1, bias=False))


def _msr(layer: _Layer, gain: float = 1.0) -> _Layer:
    """``layer`` with weights from N(0, gain² / fan-in) and biases at zero (He et al. 2015, section 2.2)."""
    nn.init.normal_(layer.weight, std=gain * prod(layer.weight.shape[1:]) ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _bilinear(values: Tensor) -> Tensor:
    """The kernel [1, 3, 3, 1] / 8 along both axes, for each channel of ``values`` (B, C, h, w): (C, 1, 4, 4).

    Computed where the values are: what is copied to a GPU could not be recorded.
    """
    line = (4 - (2 * torch.arange(4, device=values.device, dtype=values.dtype) - 3).abs()) / 8
    return (line[:, None] * line).expand(values.shape[1], 1, 4, 4)
