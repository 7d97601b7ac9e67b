"""The small convolutional network behind saddle's own feature extractors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class SmallCNN(nn.Module):
    """Pairs of 3×3 convolutions with batch norm and ReLU, the second of each pair with stride 2; then the mean over the
    grid and one linear layer.

    Args:
        channels: of the images.
        widths: channels of each pair.
        classes: that it tells apart.
    """

    def __init__(self, channels: int, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        incoming = channels
        for width in widths:
            for source, stride in ((incoming, 1), (width, 2)):
                layers += [
                    nn.Conv2d(source, width, 3, stride, 1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
            incoming = width
        self.layers = nn.Sequential(*layers)
        self.classify = nn.Linear(incoming, classes)

    def features(self, images: Tensor) -> Tensor:
        """The features of images (B, C, H, W) in [-1, 1]: (B, last width), not negative."""
        return self.layers(images).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes)."""
        return self.classify(self.features(images))
