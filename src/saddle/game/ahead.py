"""Rows gathered ahead: while a round runs on a GPU, a thread fetches the next batch from data beyond its memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class _Buffer:
    """Where rows wait on the host.

    Args:
        rows: as large as the largest batch so far; pinned for a GPU, which then copies them by itself.
        copied: when the GPU has copied what was in it.
    """

    rows: Tensor | None = None
    copied: torch.Event | None = None


class Ahead:
    """Rows of a tensor on the host, on the device, where the next ones are fetched while these are used.

    The thread gathers rows, which may lie on the disk, into one of two buffers, and has them copied on a stream of
    their own. What comes out does not depend on any of this.

    Args:
        values: (N, ...), on the host, perhaps memory-mapped.
        device: where rows are wanted.
    """

    def __init__(self, values: Tensor, device: torch.device) -> None:
        self._values = values
        self._device = device
        self._on_gpu = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if self._on_gpu else None
        self._buffers = [_Buffer(), _Buffer()]
        self._thread = ThreadPoolExecutor(1, "rows ahead")
        self._place: tuple[int, int] | None = None
        self._next: Future[tuple[Tensor, _Buffer]] | None = None

    def rows(self, place: tuple[int, int], following: tuple[int, int], index: Callable[[int, int], Tensor]) -> Tensor:
        """The rows at ``place``; those at ``following`` are fetched from now on.

        Args:
            place, following: position and count, which ``index`` takes.
            index: the numbers of the rows at a place, (n,) on the host.
        """
        if self._next is None or self._place != place:  # the first ones, or those of another place
            self._fetch(index(*place))
        assert self._next is not None
        fetched, buffer = self._next.result()
        if buffer.copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(buffer.copied)
            fetched.record_stream(stream)
        self._place = following
        self._fetch(index(*following))
        return fetched

    def _fetch(self, index: Tensor) -> None:
        self._next = self._thread.submit(self._gather, index)

    def _gather(self, index: Tensor) -> tuple[Tensor, _Buffer]:
        self._buffers.reverse()
        buffer = self._buffers[0]
        if buffer.copied is not None:
            buffer.copied.synchronize()  # the GPU may still be reading what was in it
        if buffer.rows is None or len(buffer.rows) < len(index):
            shape = (len(index), *self._values.shape[1:])
            buffer.rows = torch.empty(shape, dtype=self._values.dtype, pin_memory=self._on_gpu)
        rows = buffer.rows[: len(index)]
        torch.index_select(self._values, 0, index, out=rows)
        if self._stream is None:
            return rows.clone(), buffer
        with torch.cuda.stream(self._stream):
            fetched = rows.to(self._device, non_blocking=True)
            buffer.copied = torch.cuda.Event()
            buffer.copied.record(self._stream)
        return fetched, buffer
