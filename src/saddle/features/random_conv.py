"""An untrained convolutional network with fixed weights, for pictures of any kind.

Naeem et al., "Reliable fidelity and diversity metrics for generative models", 2020, compare pictures that are unlike
those of ImageNet by the features of a network with random weights, which prefers no kind of picture.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, pad

from saddle.data.scaling import as_floats
from saddle.errors import MetricError
from saddle.features.output import Output

# SHA-256 of the name and of the weights that ``RandomConv`` draws, as little-endian float32.
DIGEST = "8d4c899fee8c18c0583ee6780f8c789e28c0a1cecdd4bda157e4663e427e14c6"
SMALLEST = 8  # pixels of a side
_WIDTH = 8
_MOST_CHANNELS = 4
# The sides of the grids that the convolutions after the first one see.
_GRIDS = (16, 8, 4)
# Below this spread, relative to activations of size one, what is left of an image counts as flat.
_FLAT = 0.05
# So many pixels at once: their activations stay in the cache.
_PIXELS = 2**17


class RandomConv:
    """Four random 3×3 convolutions with moduli, |w ∗ x + b|, of which each puts out 8 channels.

    The first one sees the image as it is, in [-1, 1], and has biases, without which an image and its negative would be
    the same. The others see what the one before gave, averaged over a grid of 16 × 16, 8 × 8 and 4 × 4 cells and
    brought to mean 0 and spread 1 in each image, since brightness and contrast would outweigh all else. The features
    are the mean and the standard deviation of each channel over the image, 64 numbers whatever the image's size. Each
    is divided by its spread over 300 pictures of 1/f noise, whose spectrum is that of photographs, so that fine
    structure, which changes a feature little, counts as much as coarse structure.

    The weights are standard normal numbers from numpy's PCG64 with seed 0, divided by the root of the inputs of a
    filter, and the biases 0.3 times such numbers. An image with fewer channels than four uses the first of them.

    Raises:
        MetricError: this version of numpy draws other numbers.
    """

    name = "random-conv-v1"
    batch = 500
    class_names = ()

    def __init__(self) -> None:
        draw = np.random.Generator(np.random.PCG64(0)).standard_normal
        sources = (_MOST_CHANNELS, *(_WIDTH for _ in _GRIDS))
        drawn = [draw((_WIDTH, source, 3, 3)).astype("<f4") for source in sources]
        drawn.append(draw(_WIDTH).astype("<f4"))
        digest = hashlib.sha256(self.name.encode() + b"".join(numbers.tobytes() for numbers in drawn))
        self.fingerprint = digest.hexdigest()
        if self.fingerprint != DIGEST:
            raise MetricError(
                f"this version of numpy draws other weights for the extractor {self.name}",
                expected=f"SHA-256 {DIGEST}", got=self.fingerprint, remedy="install another version of numpy",
            )  # fmt: skip
        *self._weights, bias = (torch.from_numpy(numbers.astype(np.float32)) for numbers in drawn)
        self._biases = (0.3 * bias, *(None for _ in _GRIDS))
        self._spreads: dict[int, Tensor] = {}  # of the features, by channels

    def check(self, shape: tuple[int, ...]) -> None:
        if not takes(shape):
            raise MetricError(
                f"the extractor {self.name} does not fit samples of shape {shape}",
                expected=f"images of at least {SMALLEST} by {SMALLEST} pixels and at most {_MOST_CHANNELS} channels",
                remedy="--extractor pixels takes any images",
            )

    def __call__(self, values: Tensor) -> Output:
        channels = values.shape[1]
        with torch.inference_mode():
            if channels not in self._spreads:
                self._spreads[channels] = self._features(_noise(channels)).std(0)
            at_once = max(1, _PIXELS // math.prod(values.shape[2:]))
            found = torch.cat([self._features(piece) for piece in values.split(at_once)])
            return Output(found / self._spreads[channels], None)

    def _features(self, values: Tensor) -> Tensor:
        found = as_floats(values).mul(2).sub(1)
        features: list[Tensor] = []
        for weights, bias, grid in zip(self._weights, self._biases, (None, *_GRIDS), strict=True):
            if grid is not None:
                found = _standardised(adaptive_avg_pool2d(found, grid))
            filters = weights[:, : found.shape[1]]
            filters = filters / math.sqrt(math.prod(filters.shape[1:]))
            found = conv2d(pad(found, (1, 1, 1, 1), mode="reflect"), filters, bias).abs()
            mean = found.mean((2, 3), keepdim=True)
            features += [mean.flatten(1), _spread(found - mean).flatten(1)]
        return torch.cat(features, 1)


def takes(shape: tuple[int, ...]) -> bool:
    """Whether samples of this shape are images that ``RandomConv`` can see."""
    return len(shape) == 3 and shape[0] <= _MOST_CHANNELS and min(shape[1:]) >= SMALLEST


def _noise(channels: int) -> Tensor:
    """Pictures of 1/f noise, uint8 (300, channels, 32, 32), whose channels are alike."""
    chance = np.random.Generator(np.random.PCG64(1))
    white = chance.standard_normal((300, 1 + channels, 32, 32))
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32))
    frequency[0, 0] = np.inf
    pink = np.fft.ifft2(np.fft.fft2(white) / frequency).real
    pictures = pink[:, :1] + pink[:, 1:] / 2
    contrast, brightness = chance.uniform(20, 80, (300, 1, 1, 1)), chance.uniform(60, 200, (300, 1, 1, 1))
    pictures = pictures / pictures.std((1, 2, 3), keepdims=True) * contrast + brightness
    return torch.from_numpy(pictures.clip(0, 255).astype(np.uint8))


def _standardised(images: Tensor) -> Tensor:
    """Each image (C, H, W) with mean 0 and standard deviation 1; a flat one becomes 0."""
    centred = images - images.mean((1, 2, 3), keepdim=True)
    return centred / (_spread(centred, (1, 2, 3)) + _FLAT)


def _spread(centred: Tensor, axes: tuple[int, ...] = (2, 3)) -> Tensor:
    """The standard deviation along some axes; torch's own takes a multiple of the time."""
    count = math.prod(centred.shape[axis] for axis in axes)
    return (centred.square().sum(axes, keepdim=True) / max(count - 1, 1)).sqrt()
