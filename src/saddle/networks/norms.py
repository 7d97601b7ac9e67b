"""Norms without running statistics: what they do to an image follows from its batch, or from the image alone."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import group_norm
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]


class BatchNormAtHand(nn.BatchNorm2d):
    """Batch norm by the statistics of the batch in training, and by those of each image alone in evaluation.

    Isola et al. 2017, section 3.3: samples are normed by the statistics of the test batch, which is one image in the
    authors' code. So no sample depends on the others that are made with it. (B, C, H, W) → the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, track_running_stats=False)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) if self.training else alone(self, input)


def alone(norm: _BatchNorm, images: Tensor) -> Tensor:
    """What a batch norm does to batches of one: to each of the images (B, C, H, W) alone."""
    return group_norm(images, norm.num_features, norm.weight, norm.bias, norm.eps)


def norm_layers(
    name: Literal["none", "batch", "instance"], channels: int, scale: float | None = None
) -> list[nn.Module]:
    """The norm of that name, if any: of the batch, or of each channel of each image alone.

    Args:
        name: of the norm.
        channels: of what it norms.
        scale: its factors are drawn from N(1, scale²), as in the authors' code; None: they begin at 1.
    """
    if name == "none":
        return []
    norm = BatchNormAtHand(channels) if name == "batch" else nn.GroupNorm(channels, channels)
    if scale is not None:
        nn.init.normal_(norm.weight, 1.0, scale)
    return [norm]
