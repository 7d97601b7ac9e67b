"""The generator of Isola et al. 2017 (pix2pix): a U-Net that makes an image of another one, for any size from 8 on.

An encoder halves the image, rounded down, until its shorter side is 1; a decoder doubles it up again, and each of its
layers also sees what the encoder had on that grid. All convolutions are 4×4 with stride 2. Details are those of the
authors' code: the first and the innermost layer of the encoder have no norm, and skips are taken before the activation.
The paper's network for 256 pixels is this with ``width`` 64 and ``max_width`` 512.

The noise of the paper is dropout on the way up, in sampling too. Here z decides it: z has a number in [0, 1) for each
feature that may be dropped, and those below the share are. So a sample follows from its input and its z alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from saddle.config.networks import LatentConfig, UNetConfig
from saddle.errors import ConfigError
from saddle.networks.grids import Grid, grids
from saddle.networks.layers import activation, initialise
from saddle.networks.norms import norm_layers


class UNet(nn.Module):
    """Numbers (B, noise) and inputs (B, ``inputs``, H, W) → images (B, C, H, W).

    Args:
        config: of the network.
        inputs: channels of the images that it is given.
        shape: (C, H, W) of those that it makes.

    Raises:
        ConfigError: the samples are no images, or too small.
    """

    def __init__(self, config: UNetConfig, inputs: int, shape: Sequence[int]) -> None:
        super().__init__()
        fine_to_coarse, widths = _grids(shape), _widths(config, shape)
        innermost = len(widths) - 1
        before, down = inputs, list[nn.Module]()
        for level, width in enumerate(widths):
            normed = config.norm != "none" and 0 < level < innermost
            layers: list[nn.Module] = [nn.LeakyReLU(config.slope)] if level else []
            layers.append(nn.Conv2d(before, width, 4, 2, padding=1, bias=not normed))
            down.append(nn.Sequential(*layers, *(norm_layers(config.norm, width, config.scale) if normed else [])))
            before = width
        up: list[nn.Module] = []
        for level in range(innermost, -1, -1):
            coarse, fine = fine_to_coarse[level + 1], fine_to_coarse[level]
            after = widths[level - 1] if level else shape[0]
            normed = config.norm != "none" and level > 0
            odd = fine[0] - 2 * coarse[0], fine[1] - 2 * coarse[1]
            layers = [nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1, output_padding=odd, bias=not normed)]
            up.append(nn.Sequential(*layers, *(norm_layers(config.norm, after, config.scale) if normed else [])))
            before = 2 * after  # what comes up, and the skip
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.output = activation(config.output)
        self.dropout = config.dropout
        self.dropped = _dropped(config, shape)
        initialise(self, "normal", config.scale)

    def forward(self, noise: Tensor, inputs: Tensor) -> Tensor:
        values, skips = inputs, list[Tensor]()
        for layer in self.down:
            values = layer(values)
            skips.append(values)
        skips.pop()
        parts = iter(noise.split([prod(each) for each in self.dropped], 1) if self.dropped else ())
        for number, layer in enumerate(self.up):
            values = layer(values)
            if number < len(self.dropped):
                kept = next(parts).reshape(values.shape) >= self.dropout
                values = values * kept / (1 - self.dropout)
            if skips:
                values = torch.cat([values, skips.pop()], 1)
        return self.output(values)


def noise_of(config: UNetConfig, shape: Sequence[int]) -> LatentConfig:
    """The distribution of z for a network of this config that makes images (C, H, W): what its dropout needs.

    Raises:
        ConfigError: as ``UNet``.
    """
    size = sum(map(prod, _dropped(config, shape)))
    return LatentConfig(size=max(1, size), distribution="uniform", low=0.0, high=1.0)


def _dropped(config: UNetConfig, shape: Sequence[int]) -> list[tuple[int, int, int]]:
    """The shapes (C, h, w) of the features that are dropped, coarsest first; the image itself is none of them."""
    fine_to_coarse, widths = _grids(shape), _widths(config, shape)
    up = [(widths[level - 1], *fine_to_coarse[level]) for level in range(len(widths) - 1, 0, -1)]
    return up[: config.dropout_layers] if config.dropout else []


def _widths(config: UNetConfig, shape: Sequence[int]) -> list[int]:
    """Channels after each halving, finest first."""
    return [min(config.width * 2**level, config.max_width) for level in range(len(_grids(shape)) - 1)]


def _grids(shape: Sequence[int]) -> list[Grid]:
    """The grids from an image (C, H, W) down to the coarsest, whose shorter side is 1."""
    found = grids(shape)[:1]  # refuses what is no image, or too small
    while min(found[-1]) > 1:
        found.append((found[-1][0] // 2, found[-1][1] // 2))
    return found


def needs_inputs(config: UNetConfig) -> ConfigError:
    """What to say where there is nothing to translate."""
    return ConfigError(
        f"a {config.family} makes an image of another one, and these data have no inputs",
        expected="pairs of images",
        remedy="--pairs edges makes them of any images; `saddle settings data.pairs` shows the other ways",
    )
