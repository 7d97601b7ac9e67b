"""What metrics compare samples by: the features, and the class probabilities, that a named network finds in images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from saddle.base.suggest import suggest
from saddle.base.tensors import load_tensors
from saddle.data.scaling import as_floats
from saddle.data.store import Store
from saddle.errors import MetricError
from saddle.features.inception import Inception
from saddle.features.output import Output
from saddle.features.random_conv import SMALLEST, RandomConv, takes
from saddle.features.small_cnn import SmallCNN

# SHA-256 of the files in ``weights``; docs/metrics.md says how each was made.
SHIPPED = {
    "cifar10-cnn-v1": "3fb2b6ce6903e4c34995fa34d83e65e50a1bc4315bc9b856fb594af481cb0b92",
    "digits-cnn-v1": "8f56e7abad6e451f800ac7f9de453d3ca8bad7d5590e24b064181e0013142a8c",
    "mnist-cnn-v1": "9e6e1cb166996aba39746af923af3dbb90a34cd2123fe4d41419da0cfcdd7693",
}
NAMES = (*SHIPPED, RandomConv.name, Inception.name, "pixels")
# Data that an extractor knows in more than one form: CIFAR-10 as JPEGs or exact, digits alone or three as one image.
_KNOWN = {"cifar10": "cifar10-cnn-v1", "stacked-mnist": "mnist-cnn-v1"}
_COLOUR = "cifar10-cnn-v1"  # it sees bent shapes, of any things, which random weights hardly do (docs/metrics.md)
_FORMAT = "saddle-extractor-1"
_STACK = 3  # images of so many channels are read channel by channel, for stacked MNIST


class Extractor(Protocol):
    """Anything that turns samples into features."""

    @property
    def name(self) -> str:
        """As in the names of protocols."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever its features may change."""
        ...

    @property
    def batch(self) -> int:
        """How many samples it takes at once."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that it tells apart; empty if none."""
        ...

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises:
        MetricError: it cannot take samples of this shape.
        """
        ...

    def __call__(self, values: Tensor) -> Output:
        """The features of uint8 images (B, C, H, W) or float points (B, d)."""
        ...


@dataclass(frozen=True)
class Identity:
    """Samples as they are: pixels, or the coordinates of points."""

    name: str
    fingerprint: str = "as they are"
    batch: int = 500
    class_names: tuple[str, ...] = ()

    def check(self, shape: tuple[int, ...]) -> None:
        if (len(shape) == 3) != (self.name == "pixels"):
            raise MetricError(f"the extractor {self.name} does not fit samples of shape {shape}")

    def __call__(self, values: Tensor) -> Output:
        return Output(values.flatten(1), None)


_PIXELS = Identity("pixels")


class Shipped:
    """One of the small networks that the package carries.

    One that was trained on grey images takes images of their size, and three of them as channels, which it sees one by
    one. One that was trained on colour images takes those of any size, and resizes them to its own: bilinear, each
    pixel an average over all that it stands for (antialiased).

    Args:
        path: of its weights.
        digest: SHA-256 that the file must have.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self.fingerprint = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        if self.fingerprint != digest:
            raise MetricError(
                f"{path} is not the extractor that saddle came with", expected=f"SHA-256 {digest}",
                got=self.fingerprint or "no file", remedy="install saddle again",
            )  # fmt: skip
        weights, header = load_tensors(path)
        if header.get("format") != _FORMAT:
            raise MetricError(f"{path} holds no extractor", expected=f"format {_FORMAT}", got=header.get("format"))
        self.name = str(header["name"])
        self.class_names = tuple(header["class_names"])
        self.data = str(header["data"])  # fingerprint of what it was trained on
        self._shape = tuple(header["shape"])
        self._network = SmallCNN(
            self._shape[0], header["widths"], len(self.class_names), pooled=header.get("pooled", False)
        )
        self._network.load_state_dict(weights)
        self._network.eval()
        self._in_colour = self._shape[0] == _STACK
        self.batch = 500
        if self._in_colour:  # faster so, and to the last bit what it was for the others
            self._network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            self.batch = 50

    def check(self, shape: tuple[int, ...]) -> None:
        if not self.takes(shape):
            grey = f"images of shape {self._shape}, or {_STACK} of them as channels"
            colour = f"images of three channels, of at least {SMALLEST} by {SMALLEST} pixels"
            raise MetricError(
                f"the extractor {self.name} does not fit samples of shape {shape}",
                expected=colour if self._in_colour else grey,
                remedy=f"--extractor {RandomConv.name} or pixels takes any images",
            )

    def suits(self, store: Store) -> bool:
        """Whether the images of ``store`` are those that it was trained on, at their own size."""
        known = store.fingerprint == self.data or _KNOWN.get(store.name) == self.name
        same_size = self.takes(store.shape) and store.shape[1:] == self._shape[1:]
        return known and same_size and set(store.class_names) <= set(self.class_names)

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether it can see samples of this shape."""
        if self._in_colour:
            return len(shape) == 3 and shape[0] == self._shape[0] and min(shape[1:]) >= SMALLEST
        return len(shape) == 3 and shape[1:] == self._shape[1:] and shape[0] in (self._shape[0], _STACK)

    def __call__(self, values: Tensor) -> Output:
        images = as_floats(values).mul(2).sub(1)
        if self._in_colour and images.shape[1:] != self._shape:
            images = interpolate(images, self._shape[1:], mode="bilinear", antialias=True)
        alone = images.reshape(-1, *self._shape)
        with torch.inference_mode():
            features = self._network.features(alone)
            probabilities = self._network.classify(features).softmax(1)
        return Output(features.reshape(len(values), -1), probabilities.reshape(len(values), -1, len(self.class_names)))


class Module:
    """A user's own network as an extractor; its name holds a digest of its parts and weights.

    Args:
        network: images (B, C, H, W) in [0, 1], or points (B, d) → features (B, n). It is in evaluation mode while it
            is asked.
    """

    batch = 500
    class_names = ()

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._device = next((tensor.device for tensor in network.state_dict().values()), torch.device("cpu"))
        digest = hashlib.sha256(repr(network).encode())
        for key, tensor in network.state_dict().items():
            digest.update(key.encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        self.fingerprint = digest.hexdigest()
        self.name = f"{type(network).__name__.lower()}-{self.fingerprint[:8]}"

    def check(self, shape: tuple[int, ...]) -> None:
        try:
            self(torch.zeros(2, *shape, dtype=torch.uint8 if len(shape) == 3 else torch.float32))
        except (RuntimeError, ValueError, IndexError) as error:
            raise MetricError(f"the extractor {self.name} does not fit samples of shape {shape}", got=error) from None

    def __call__(self, values: Tensor) -> Output:
        training = self._network.training
        self._network.eval()
        try:
            with torch.inference_mode():
                features = self._network(as_floats(values).to(self._device))
        finally:
            self._network.train(training)
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(values):
            found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise MetricError(
                f"the extractor {self.name} does not give features", expected=f"({len(values)}, n)", got=found
            )
        return Output(features.float(), None)


def find_extractor(
    wanted: str | nn.Module | None, store: Store, *, inception_weights: Path | None = None, device: str = "cpu"
) -> Extractor:
    """The extractor for the samples of ``store``.

    Args:
        wanted: one of ``NAMES``, a module of the user's own, or None for the one that suits the data: the one that was
            trained on them; else of images of three channels that of CIFAR-10, of others the random network, and
            pixels of images that neither can see. Points are compared as they are.
        inception_weights: the file of the Inception network, which runs on ``device``; the small ones stay on the CPU.

    Raises:
        MetricError: there is no such extractor, it does not fit the samples, or the file of weights is missing, is
            another file or is not needed.
    """
    if inception_weights is not None and wanted != Inception.name:
        raise MetricError(
            "a file of weights is only for the Inception network", got=inception_weights,
            remedy=f"--extractor {Inception.name}",
        )  # fmt: skip
    if isinstance(wanted, nn.Module):
        extractor: Extractor = Module(wanted)
    elif store.kind == "points":
        if wanted is not None:
            raise MetricError("points are compared as they are", expected="no extractor", got=repr(wanted))
        return Identity("points")
    elif wanted is None:
        extractor = _suiting(store)
    elif wanted in SHIPPED:
        extractor = _shipped(wanted)
    elif wanted == Inception.name:
        extractor = Inception(inception_weights, device=device)
    elif wanted == RandomConv.name:
        extractor = RandomConv()
    elif wanted == "pixels":
        extractor = _PIXELS
    else:
        raise MetricError(f"there is no extractor {wanted!r}", expected=", ".join(NAMES), remedy=suggest(wanted, NAMES))
    extractor.check(store.shape)
    return extractor


def _suiting(store: Store) -> Extractor:
    trained = next((found for found in map(_shipped, SHIPPED) if found.suits(store)), None)
    colour = _shipped(_COLOUR)
    return trained or (colour if colour.takes(store.shape) else RandomConv() if takes(store.shape) else _PIXELS)


@cache
def _shipped(name: str) -> Shipped:
    folder: Any = resources.files("saddle.features").joinpath("weights")
    return Shipped(Path(str(folder / f"{name}.safetensors")), SHIPPED[name])


def class_numbers(probabilities: Tensor) -> Tensor:
    """The most probable class of each sample, (B,); of three channels of digits, hundreds, tens and ones."""
    found = probabilities.argmax(2)
    classes: Sequence[int] = [probabilities.shape[2] ** power for power in range(found.shape[1] - 1, -1, -1)]
    return (found * torch.tensor(classes)).sum(1)
