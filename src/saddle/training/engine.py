"""How a round is executed: seeded, with how many threads, and how the processor treats the smallest numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from saddle.base.machine import usable_cores
from saddle.game.batch import Batch
from saddle.training.learner import Learner

# Rounds played with each thread count: the first warm up, the fastest of the others counts.
_WARM_UP, _COUNTED = 2, 5


class Engine:
    """Plays a learner's rounds. The loop calls nothing else to compute.

    Args:
        learner: whose rounds.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def play(self, batches: Sequence[Batch], number: int, seed: int) -> dict[str, Tensor]:
        """One round, in which everything random follows from ``seed``; see ``Learner.play``."""
        seed_everything(seed, self._learner.device)
        return self._learner.play(batches, number)


def seed_everything(seed: int, device: torch.device) -> None:
    """Seed the global generators that networks draw from on the CPU and on ``device``."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def flush_denormals() -> None:
    """Count numbers below 1e-38 as zero. A saturated GAN is full of them, and the CPU slows several-fold on each.

    Threads inherit this from the one that starts them, so it comes before the first parallel operation.
    """
    torch.set_flush_denormal(True)


def choose_threads(trial: Callable[[], object]) -> int:
    """The faster of one thread and one for each usable core, found by playing ``trial`` a few times with each.

    OpenMP threads spin while they wait: on a machine with other work, many can be slower than one.
    """
    counts = sorted({1, usable_cores()})
    if len(counts) == 1:
        return counts[0]
    fastest = {count: _time(trial, count) for count in counts}
    return min(counts, key=lambda count: fastest[count])


def _time(trial: Callable[[], object], threads: int) -> float:
    torch.set_num_threads(threads)
    for _ in range(_WARM_UP):
        trial()
    seconds: list[float] = []
    for _ in range(_COUNTED):
        began = time.perf_counter()
        trial()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
