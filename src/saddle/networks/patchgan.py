"""The discriminator of Isola et al. 2017 (PatchGAN): a logit for each of many overlapping patches of an image.

Strided 4×4 convolutions, one with stride 1, and one that gives a logit in each place. With three strided ones each
logit sees a patch of 70×70 pixels. The paper's network is this with ``width`` 64 and ``max_width`` 512.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from saddle.config.networks import PatchGANConfig
from saddle.networks.grids import grids
from saddle.networks.norms import norm_layers

_FEWEST = 3  # of the coarsest grid's shorter side: the two convolutions behind it take one each


class PatchGANBody(nn.Module):
    """Images (B, C, H, W), with a label vector (B, labels) as constant planes beside them → maps (B, n, h, w).

    Args:
        config: of the network.
        shape: (C, H, W) of what D sees.
        labels: size of the label vector, or 0.
    """

    def __init__(self, config: PatchGANConfig, shape: Sequence[int], labels: int) -> None:
        super().__init__()
        height, width = grids(shape)[0]
        most = next(halvings for halvings in range(32) if min(height, width) >> (halvings + 1) < _FEWEST)
        layers: list[nn.Module] = []
        before = shape[0] + labels
        for level in range(min(config.layers, most) + 1):
            after = min(config.width * 2**level, config.max_width)
            normed = config.norm != "none" and level > 0
            stride = 2 if level < min(config.layers, most) else 1
            layers.append(nn.Conv2d(before, after, 4, stride, padding=1, bias=not normed))
            scale = config.scale if config.initialisation == "normal" else None
            layers += [*(norm_layers(config.norm, after, scale) if normed else []), nn.LeakyReLU(config.slope)]
            before = after
        self.layers = nn.Sequential(*layers)
        self.features = before

    def forward(self, samples: Tensor, vector: Tensor | None) -> Tensor:
        if vector is not None:
            planes = vector[:, :, None, None].expand(-1, -1, *samples.shape[2:])
            samples = torch.cat([samples, planes], 1)
        return self.layers(samples)

    def head(self) -> nn.Module:
        """The layer that makes logits of the maps; see ``saddle.networks.families.Family``."""
        return nn.Conv2d(self.features, 1, 4, 1, padding=1)
