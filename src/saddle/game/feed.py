"""Real samples on the training device, chosen by (seed, position) and brought to the generator's range."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from saddle.base import processes
from saddle.base.chance import stream
from saddle.data.scaling import Scaling
from saddle.data.store import Store
from saddle.game.ahead import Ahead
from saddle.game.batch import Batch, side_by_side

# Share of a GPU's free memory that the decoded data may take.
_DEVICE_SHARE = 0.5


class Feed:
    """An endless stream of shuffled epochs: every sample once an epoch, in an order drawn from (seed, epoch).

    A batch that reaches the end of an epoch goes on in the next one, so all batches are full. A store that can draw
    gives fresh samples instead, each batch from the stream of (seed, position). Of pairs, the inputs are the condition.

    Args:
        store: decoded data.
        scaling: from the data's units to the generator's range.
        seed: of the run, or of each member of a population.
        device: where batches are wanted. The data are kept there when they fit. Else they are gathered on the host, for
            a GPU while the round before is played.
        labelled: whether batches carry labels.
        further: where the labelled samples of each member come from in a semi-supervised game, as many as ``batch`` is
            asked for.
        mirror: whether each image is mirrored left to right with probability one half, whenever it is shown.
    """

    def __init__(
        self,
        store: Store,
        scaling: Scaling,
        *,
        seed: int | Sequence[int],
        device: torch.device,
        labelled: bool = False,
        further: Sequence[Feed] = (),
        mirror: bool = False,
    ) -> None:
        with warnings.catch_warnings():
            # Stores may be read-only (memory-mapped); batches are gathered from them, nothing is written.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            self._values = [torch.from_numpy(each) for each in (store.values, store.inputs) if each is not None]
        self._size = len(store)
        self._draw = store.draw
        self._seeds = (seed,) if isinstance(seed, int) else tuple(seed)
        self._further = further
        self._mirror = mirror
        self._scaling = scaling.to(device)
        self._device = device
        self._ahead: list[Ahead] = []
        size = sum(each.nbytes for each in self._values)
        if device.type == "cuda" and size < _DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            self._values = [each.to(device) for each in self._values]
        elif device.type == "cuda" and store.draw is None:
            self._ahead = [Ahead(each, device) for each in self._values]
        self._labels = torch.from_numpy(store.labels).to(device) if labelled and store.labels is not None else None
        self._orders: dict[tuple[int, int], Tensor] = {}

    def batch(self, position: int, count: int) -> Batch:
        """The ``count`` samples that follow ``position`` images seen; each of several processes gets its part of them.

        Args:
            position: images seen.
            count: how many for each member, in all processes together.
        """
        if self._draw is not None:
            chances = [np.random.default_rng(stream(seed, "data", position)) for seed in self._seeds]
            fresh = processes.part(torch.from_numpy(np.concatenate([self._draw(chance, count) for chance in chances])))
            samples = self._scaling.forward(fresh.to(self._device, non_blocking=True))
            return Batch(self._mirrored([samples], position, count)[0], members=len(self._seeds))
        index = self._index(position, count)
        if self._ahead:
            rows = [each.rows((position, count), (position + count, count), self._index) for each in self._ahead]
        else:
            rows = [each.index_select(0, index).to(self._device, non_blocking=True) for each in self._values]
        samples, *inputs = self._mirrored([self._scaling.forward(each) for each in rows], position, count)
        labels = None if self._labels is None else self._labels[index.to(self._device)]
        batch = Batch(samples, inputs[0] if inputs else labels, members=len(self._seeds))
        if not self._further:
            return batch
        further = side_by_side([feed.batch(position, count) for feed in self._further])
        assert further.condition is not None
        return batch._replace(labelled=(further.samples, further.condition))

    def _mirrored(self, sides: list[Tensor], position: int, count: int) -> list[Tensor]:
        """Samples, and inputs, each mirrored or not as (seed, position) and its place in the whole batch decide."""
        if not self._mirror:
            return sides
        chances = [torch.Generator().manual_seed(stream(seed, "mirror", position)) for seed in self._seeds]
        places = processes.part(torch.cat([torch.rand(count, generator=chance) for chance in chances]))
        turned = (places < 0.5).to(self._device, non_blocking=True)
        return [torch.where(turned[:, None, None, None], each.flip(-1), each) for each in sides]

    def _index(self, position: int, count: int) -> Tensor:
        """The numbers of this process's part of the samples that follow ``position``."""
        return processes.part(torch.cat([self._numbers(seed, position, count) for seed in self._seeds]))

    def _numbers(self, seed: int, position: int, count: int) -> Tensor:
        """The numbers of the ``count`` samples that follow ``position`` in the order of a seed."""
        epoch, start = divmod(position, self._size)
        index = self._order(seed, epoch)[start : start + count]
        while len(index) < count:
            epoch += 1
            index = torch.cat([index, self._order(seed, epoch)[: count - len(index)]])
        return index

    def _order(self, seed: int, epoch: int) -> Tensor:
        if (seed, epoch) not in self._orders:
            self._orders = {known: order for known, order in self._orders.items() if known[1] >= epoch - 1}
            chance = torch.Generator().manual_seed(stream(seed, "order", epoch))
            self._orders[seed, epoch] = torch.randperm(self._size, generator=chance).to(self._values[0].device)
        return self._orders[seed, epoch]
