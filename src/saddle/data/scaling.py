"""The conversion between the data's units and the generator's range."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from saddle.data.store import Store


class Scaling:
    """An affine map between the data's units and the generator's range.

    Args:
        factor, offset: generator's value = data's value · factor + offset; shape (1,) or that of one sample.
        images: whether the data's units are uint8 pixels.
    """

    def __init__(self, factor: Tensor, offset: Tensor, *, images: bool) -> None:
        self.factor = factor
        self.offset = offset
        self.images = images

    @classmethod
    def fit(cls, store: Store, output: str) -> Scaling:
        """The scaling from the units of ``store`` to the range of a generator whose last activation is ``output``.

        For images, the range is [0, 1] with sigmoid, and [-1, 1] with tanh and linear. Points stay as they are with
        linear. With sigmoid and tanh, the smallest and largest value of each coordinate go to the ends of the range.
        """
        low, high = (0.0, 1.0) if output == "sigmoid" else (-1.0, 1.0)
        if store.kind == "images":
            smallest, largest = torch.tensor([0.0]), torch.tensor([255.0])
        elif output == "linear":
            return cls(torch.tensor([1.0]), torch.tensor([0.0]), images=False)
        else:
            smallest = torch.from_numpy(np.asarray(store.values.min(0), dtype=np.float32))
            largest = torch.from_numpy(np.asarray(store.values.max(0), dtype=np.float32))
        width = largest - smallest
        factor = (high - low) / torch.where(width > 0, width, 1.0)  # a constant coordinate stays at the low end
        return cls(factor, low - smallest * factor, images=store.kind == "images")

    def to(self, device: torch.device) -> Scaling:
        return Scaling(self.factor.to(device), self.offset.to(device), images=self.images)

    def forward(self, values: Tensor) -> Tensor:
        """Data's units → generator's range, float32."""
        return torch.mul(values, self.factor).add_(self.offset)

    def backward(self, samples: Tensor) -> Tensor:
        """Generator's range → images in [0, 1], or points in the data's units."""
        values = (samples.float() - self.offset) / self.factor
        return (values / 255).clamp(0, 1) if self.images else values


def as_floats(values: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 pixels → numbers in [0, 1]; points as they are."""
    floats = values.to(dtype)
    return floats / 255 if values.dtype == torch.uint8 else floats


def to_pixels(images: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Images in [0, 1] on any device → uint8 array, rounded."""
    return images.mul(255).add(0.5).clamp(0, 255).to(torch.uint8).cpu().numpy()
