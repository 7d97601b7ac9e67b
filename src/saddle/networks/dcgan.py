"""Convolutional networks by the guidelines of Radford et al. 2015 (DCGAN), section 3, for images of any size from 8 on.

Strided convolutions instead of pooling, no fully connected hidden layers, batch norm except at G's output and D's
input, ReLU and tanh in G, LeakyReLU in D, weights from N(0, 0.02). The sides are halved (rounded down) as long as the
shorter one keeps at least 4: 28 → 14 → 7, 64 → 32 → 16 → 8 → 4, 100 → 50 → 25 → 12 → 6. The paper's networks for 64
pixels are these with ``width`` 128 and ``max_width`` 1024, and 4×4 kernels in place of its 5×5: a multiple of the
stride leaves no checkerboard of uneven overlap (Odena et al. 2016), and 4×4 costs two thirds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv_transpose2d, interpolate

from saddle.config.networks import DCGANConfig, DiscriminatorDCGANConfig, GeneratorDCGANConfig
from saddle.networks.grids import Grid, grids
from saddle.networks.layers import ChannelsLast, activation, initialise
from saddle.networks.virtual import VirtualBatchNorm


def _widths(config: DCGANConfig, halvings: int) -> list[int]:
    """Channels after each halving, finest first."""
    return [min(config.width * 2**level, config.max_width) for level in range(halvings)]


class DCGANGenerator(nn.Module):
    """Inputs (B, inputs) → images (B, C, H, W): projected to the coarsest grid, then doubled step by step."""

    def __init__(self, config: GeneratorDCGANConfig, inputs: int, shape: Sequence[int]) -> None:
        super().__init__()
        fine_to_coarse = grids(shape)
        widths = _widths(config, len(fine_to_coarse) - 1)[::-1]
        height, width = self.coarsest = fine_to_coarse[-1]
        self.project = nn.Linear(inputs, widths[0] * height * width, bias=config.norm == "none")
        layers = _after(config, widths[0])
        finest = max(1, widths[-1] // 2) if config.blocks else shape[0]
        steps = zip(pairwise(fine_to_coarse[::-1]), pairwise([*widths, finest]), strict=True)
        for step, ((coarse, fine), (before, after)) in enumerate(steps, 1):
            last = step == len(widths)
            bias = config.norm == "none" or (last and not config.blocks)
            if config.upsampling == "resize":
                layers.append(_Resize(before, after, fine, bias))
            else:
                odd = fine[0] - 2 * coarse[0], fine[1] - 2 * coarse[1]
                layers.append(nn.ConvTranspose2d(before, after, 4, 2, padding=1, output_padding=odd, bias=bias))
            if not last:
                layers += [*_after(config, after), *(_Residual(config, after) for _ in range(config.blocks))]
        if config.blocks:
            layers += [*_after(config, finest), nn.Conv2d(finest, shape[0], 3, padding=1)]
        layers.append(activation(config.output))
        self.channels_last = ChannelsLast()
        self.layers = nn.Sequential(*layers)
        initialise(self, config.initialisation, config.scale)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(self.channels_last(self.project(inputs).unflatten(1, (-1, *self.coarsest))))


class DCGANBody(nn.Module):
    """Images (B, C, H, W), with a label vector (B, labels) as constant planes beside them → features (B, features)."""

    def __init__(self, config: DiscriminatorDCGANConfig, shape: Sequence[int], labels: int) -> None:
        super().__init__()
        coarsest = grids(shape)[-1]
        widths = _widths(config, len(grids(shape)) - 1)
        layers: list[nn.Module] = []
        for before, after in pairwise([shape[0] + labels, *widths]):
            normed = config.norm != "none" and (len(layers) > 0 or config.input_norm)
            layers.append(nn.Conv2d(before, after, 4, 2, padding=1, bias=not normed))
            layers += _after(config, after, normed=normed)
        self.channels_last = ChannelsLast()
        self.layers = nn.Sequential(*layers)
        self.features = widths[-1] * coarsest[0] * coarsest[1]

    def forward(self, samples: Tensor, vector: Tensor | None) -> Tensor:
        if vector is not None:
            planes = vector[:, :, None, None].expand(-1, -1, *samples.shape[2:])
            samples = torch.cat([samples, planes], 1)
        return self.layers(self.channels_last(samples)).flatten(1)


class _Residual(nn.Module):
    """x + φ(W * x), (B, channels, h, w) → the same: a 3×3 convolution, norm and activation as elsewhere."""

    def __init__(self, config: GeneratorDCGANConfig, channels: int) -> None:
        super().__init__()
        convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=config.norm == "none")
        self.branch = nn.Sequential(convolution, *_after(config, channels))

    def forward(self, values: Tensor) -> Tensor:
        return values + self.branch(values)


class _Resize(nn.Module):
    """Nearest neighbour, then a convolution: (B, before, h, w) → (B, after, *grid). Odena et al. 2016.

    Where the grid is exactly doubled, both are computed as one transposed convolution, whose 4×4 kernel has a sum of up
    to four of the weights in each place. It takes 4/9 of the products, and nothing is copied four times.
    """

    def __init__(self, before: int, after: int, grid: Grid, bias: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, padding=1, bias=bias)
        self.grid = grid

    def forward(self, values: Tensor) -> Tensor:
        if self.grid != (2 * values.shape[2], 2 * values.shape[3]):
            return self.convolution(interpolate(values, self.grid, mode="nearest"))
        weight, bias = self.convolution.weight, self.convolution.bias
        kernel = 4 * avg_pool2d(weight, 2, stride=1, padding=1).flip(2, 3).transpose(0, 1)
        return conv_transpose2d(values, kernel, bias, stride=2, padding=1)


def _after(config: DCGANConfig, channels: int, *, normed: bool = True) -> list[nn.Module]:
    """What follows a convolution: norm, activation, dropout."""
    layers = [*(_norm(config, channels) if normed else []), activation(config.activation, config.slope)]
    return [*layers, nn.Dropout(config.dropout)] if config.dropout else layers


def _norm(config: DCGANConfig, channels: int) -> list[nn.Module]:
    match config.norm:
        case "none":
            return []
        case "batch":
            norm = nn.BatchNorm2d(channels)
        case "layer":
            norm = nn.GroupNorm(1, channels)  # over all channels and places of one sample
        case "virtual":
            norm = VirtualBatchNorm(channels)
    if config.initialisation == "normal":
        nn.init.normal_(norm.weight, 1.0, config.scale)  # as the authors' code does; the paper does not say
    return [norm]
