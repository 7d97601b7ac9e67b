"""Real samples on the training device, chosen by (seed, position) and brought to the generator's range."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from saddle.base.chance import stream
from saddle.data.scaling import Scaling
from saddle.data.store import Store
from saddle.game.batch import Batch

# Share of a GPU's free memory that the decoded data may take.
_DEVICE_SHARE = 0.5


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
        assert further.condition is not None
        return Batch(samples, labels, (further.samples, further.condition))

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            self._orders = {known: order for known, order in self._orders.items() if known >= epoch - 1}
            chance = torch.Generator().manual_seed(stream(self._seed, "order", epoch))
            self._orders[epoch] = torch.randperm(self._size, generator=chance).to(self._values.device)
        return self._orders[epoch]
