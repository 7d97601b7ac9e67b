"""How a round is executed: with how many threads, and how the processor treats the smallest numbers."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from saddle.base.machine import usable_cores

# Rounds played with each thread count: the first warm up, the fastest of the others counts.
_WARM_UP, _COUNTED = 2, 5


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
