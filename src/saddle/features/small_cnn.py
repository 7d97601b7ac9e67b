"""The small convolutional networks behind saddle's own feature extractors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

_FIRST = 24  # channels of the 2×2 convolution


class SmallCNN(nn.Module):
    """Pairs of 3×3 convolutions with batch norm, where each pair halves the image's sides; then the mean over the grid
    and one linear layer.

    The second convolution of a pair has stride 2, and all are followed by ReLU. Or, pooled, the first one of a pair is
    followed by max-pooling, all by GELU, and before all of them stands a 2×2 convolution to 24 channels: slower, and
    better at things in colour (K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, section 3). In
    evaluation mode a pooled network also looks at the image's mirror image, and gives the mean of both.

    Args:
        channels: of the images.
        widths: channels of each pair.
        classes: that it tells apart.
        pooled: which of the two.
    """

    def __init__(self, channels: int, widths: Sequence[int], classes: int, *, pooled: bool = False) -> None:
        super().__init__()
        self._pooled = pooled
        self.layers = nn.Sequential(*(_pooled if pooled else _strided)(channels, widths))
        self.classify = nn.Linear(widths[-1], classes)

    def features(self, images: Tensor) -> Tensor:
        """The features of images (B, C, H, W) in [-1, 1]: (B, last width)."""
        found = self.layers(images).mean((2, 3))
        if self.training or not self._pooled:
            return found
        return (found + self.layers(images.flip(3)).mean((2, 3))) / 2

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes)."""
        return self.classify(self.features(images))


def _strided(channels: int, widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for source, width in zip((channels, *widths), widths, strict=False):
        layers += [nn.Conv2d(source, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(width, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return layers


def _pooled(channels: int, widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(channels, _FIRST, 2), nn.GELU()]
    for source, width in zip((_FIRST, *widths), widths, strict=False):
        layers += [nn.Conv2d(source, width, 3, 1, 1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(width), nn.GELU()]
        layers += [nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.GELU()]
    return layers
