"""Real samples on the training device, chosen by (seed, position) and brought to the generator's range."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from saddle.chance import stream
from saddle.data.store import Store

# Share of a GPU's free memory that the decoded data may take.
_DEVICE_SHARE = 0.5


class Batch(NamedTuple):
    """Samples, real or generated.

    Args:
        samples: (B, *shape), in the generator's range.
        labels: class indices (B,) in a conditional game, else None.
        labelled: further samples and their labels, for the semi-supervised game.
    """

    samples: Tensor
    labels: Tensor | None = None
    labelled: tuple[Tensor, Tensor] | None = None


class Feed:
    """An endless stream of shuffled epochs: every sample once an epoch, in an order drawn from (seed, epoch).

    A batch that reaches the end of an epoch goes on in the next one, so all batches are full. A store that can draw
    gives fresh samples instead, each batch from the stream of (seed, position).

    Args:
        store: decoded data.
        scaling: from the data's units to the generator's range.
        seed: of the run.
        device: where batches are wanted. The data are kept there when they fit, else gathered on the host.
        labelled: whether batches carry labels.
        further: where the labelled samples come from in a semi-supervised game, as many as ``batch`` is asked for.
    """

    def __init__(
        self,
        store: Store,
        scaling: Scaling,
        *,
        seed: int,
        device: torch.device,
        labelled: bool = False,
        further: Feed | None = None,
    ) -> None:
        with warnings.catch_warnings():
            # Stores may be read-only (memory-mapped); batches are gathered from them, nothing is written.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            self._values = torch.from_numpy(store.values)
        self._size = len(store)
        self._draw = store.draw
        self._seed = seed
        self._further = further
        self._scaling = scaling.to(device)
        self._device = device
        if device.type == "cuda" and store.values.nbytes < _DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            self._values = self._values.to(device)
        self._labels = torch.from_numpy(store.labels).to(device) if labelled and store.labels is not None else None
        self._orders: dict[int, Tensor] = {}

    def batch(self, position: int, count: int) -> Batch:
        """The ``count`` samples that follow ``position`` images seen."""
        if self._draw is not None:
            chance = np.random.default_rng(stream(self._seed, "data", position))
            fresh = torch.from_numpy(self._draw(chance, count))
            return Batch(self._scaling.forward(fresh.to(self._device, non_blocking=True)))
        epoch, start = divmod(position, self._size)
        index = self._order(epoch)[start : start + count]
        while len(index) < count:
            epoch += 1
            index = torch.cat([index, self._order(epoch)[: count - len(index)]])
        samples = self._scaling.forward(self._values.index_select(0, index).to(self._device, non_blocking=True))
        labels = None if self._labels is None else self._labels[index.to(self._device)]
        if self._further is None:
            return Batch(samples, labels)
        further = self._further.batch(position, count)
        assert further.labels is not None
        return Batch(samples, labels, (further.samples, further.labels))

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            self._orders = {known: order for known, order in self._orders.items() if known >= epoch - 1}
            chance = torch.Generator().manual_seed(stream(self._seed, "order", epoch))
            self._orders[epoch] = torch.randperm(self._size, generator=chance).to(self._values.device)
        return self._orders[epoch]


class Scaling:
    """The affine map between the data's units and the generator's range.

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
        """The scaling that brings ``store`` to the range of a generator whose last activation is ``output``.

        Images: sigmoid [0, 1]; tanh and linear [-1, 1]. Points: linear leaves them as they are; sigmoid and tanh bring
        each coordinate's smallest and largest value to the ends of the range.
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


def to_pixels(images: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Images in [0, 1] on any device → uint8 array, rounded."""
    return images.mul(255).add(0.5).clamp(0, 255).to(torch.uint8).cpu().numpy()
