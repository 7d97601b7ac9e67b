"""Rounds that are recorded once and then replayed, which spares a GPU the wait for Python: CUDA graphs.

A replay repeats the recorded operations on the same memory. What differs from round to round has to lie in tensors:
the batches are copied into those of the recording, schedules fill tensors on the device (``saddle.game.numbers``), and
random numbers come from the device's own generator and those of a population's members, which are registered with the
graph and seeded before each replay.
Rounds that do other operations, such as those with lazy penalties, are recordings of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from saddle.errors import RunError
from saddle.game.batch import Batch
from saddle.training.learner import Learner

# Rounds of each kind that are played before one is recorded: libraries choose their kernels in these.
WARM_UP = 3


class Recorder(Protocol):
    """Records what is done on a device."""

    def warm_up(self, run: Callable[[], None]) -> None:
        """Do it once, where recordings are made."""
        ...

    def record(self, run: Callable[[], None], generators: Sequence[torch.Generator] = ()) -> Callable[[], None]:
        """Record it without doing it; what comes back does it.

        Args:
            run: what is recorded.
            generators: that it draws from, beside the global one of the device.

        Raises:
            RuntimeError: it cannot be recorded, since it waits for the device.
        """
        ...


class CudaRecorder:
    """Records CUDA graphs.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._memory = torch.cuda.graph_pool_handle()  # one for all kinds of rounds: they never overlap

    def warm_up(self, run: Callable[[], None]) -> None:
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            run()
        current.wait_stream(self._stream)

    def record(self, run: Callable[[], None], generators: Sequence[torch.Generator] = ()) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        # A thread may be fetching the next batch meanwhile (``saddle.game.ahead``), on another stream.
        with torch.cuda.graph(graph, self._memory, self._stream, capture_error_mode="thread_local"):
            run()
        return graph.replay


class _Recording(NamedTuple):
    """A round: what it reads, how to replay it, and where its figures lie afterwards."""

    batches: Sequence[Batch]
    replay: Callable[[], None]
    figures: dict[str, Tensor]


class Replayed:
    """Plays a learner's rounds: the first few of each kind as they are, the others by replaying a recording.

    Args:
        learner: whose rounds; see ``Learner.kind``. ``forget`` follows when its state is loaded anew.
        recorder: of the learner's device.
    """

    def __init__(self, learner: Learner, recorder: Recorder) -> None:
        self._learner = learner
        self._recorder = recorder
        self._played: dict[Hashable, int] = {}
        self._recordings: dict[Hashable, _Recording] = {}
        self._forgotten: list[_Recording] = []

    def forget(self) -> None:
        """Record all kinds of rounds anew."""
        # Until then the old ones hold the memory that recordings share, which is lost with the last of them.
        self._forgotten += self._recordings.values()
        self._played.clear()
        self._recordings.clear()

    def play(self, batches: Sequence[Batch], number: int) -> dict[str, Tensor]:
        """As ``Learner.play``; the next round overwrites the figures.

        Raises:
            RunError: this round cannot be recorded. It was not played, but torch may be left unable to go on.
        """
        kind = self._learner.kind(number), *map(_form, batches)
        if kind not in self._recordings:
            if self._played.setdefault(kind, 0) < WARM_UP:
                self._played[kind] += 1
                return self._play_once(batches, number)
            self._recordings[kind] = self._record(batches, number)
            self._forgotten.clear()
        recording = self._recordings[kind]
        for kept, given in zip(recording.batches, batches, strict=True):
            for place, value in zip(_tensors(kept), _tensors(given), strict=True):
                place.copy_(value.detach())
        recording.replay()
        return recording.figures

    def _play_once(self, batches: Sequence[Batch], number: int) -> dict[str, Tensor]:
        figures: dict[str, Tensor] = {}
        self._recorder.warm_up(lambda: figures.update(self._learner.play(batches, number)))
        return figures

    def _record(self, batches: Sequence[Batch], number: int) -> _Recording:
        kept = [_copied(batch) for batch in batches]
        figures: dict[str, Tensor] = {}

        def run() -> None:
            # A penalty asks for gradients of the samples themselves, which must not stay marked for the next copy.
            played = [batch._replace(samples=batch.samples.detach()) for batch in kept]
            figures.update(self._learner.play(played, number))

        try:
            return _Recording(kept, self._recorder.record(run, self._learner.generators), figures)
        except RuntimeError as error:
            # Where the end of a recording fails too, the reason is what came before.
            reason = str(error.__context__ or error).partition("\n")[0]
            raise RunError(
                "a round of this run cannot be recorded, which is how a GPU plays rounds without waiting for Python",
                got=reason,
                remedy="run the same command with --set execution=eager; it goes on from the last checkpoint",
            ) from None


def _tensors(batch: Batch) -> list[Tensor]:
    return [each for each in (batch.samples, batch.condition, *(batch.labelled or ())) if each is not None]


def _form(batch: Batch) -> Hashable:
    return batch.members, *((tuple(each.shape), each.dtype) for each in _tensors(batch))


def _copied(batch: Batch) -> Batch:
    return batch._replace(
        samples=batch.samples.detach().clone(),
        condition=None if batch.condition is None else batch.condition.clone(),
        labelled=None if batch.labelled is None else (batch.labelled[0].detach().clone(), batch.labelled[1].clone()),
    )
