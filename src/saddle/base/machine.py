"""What this process may use of the machine."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from saddle.errors import DeviceError

if TYPE_CHECKING:
    import torch


def bound_spinning() -> bool:
    """Bound how long OpenMP's threads spin while they wait for each other; whether that is done.

    Two threads on a busy machine are many times slower without a bound: at a load of 9 on 2 cores, a round took 360 ms,
    and 21 ms with this one; alone the bound costs about a sixth (benchmarks/threads.py). OpenMP reads it when torch is
    imported: after that, it is too late.
    """
    if "GOMP_SPINCOUNT" not in os.environ and "torch" not in sys.modules:
        os.environ["GOMP_SPINCOUNT"] = "1000"
    return "GOMP_SPINCOUNT" in os.environ


def stop_signals() -> list[signal.Signals]:
    """The signals that ask this process to stop. SIGHUP is none where it is ignored, as in what nohup starts."""
    known = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        known.append(signal.SIGHUP)
    return known


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        DeviceError: there is no such device on this machine.
    """
    import torch

    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name == "auto":
        return torch.device(available[0])
    if name not in available:
        raise DeviceError(
            f"there is no device {name!r} here",
            expected="auto, " + ", ".join(available),
            got=name,
            remedy="take one of these; a run goes on on the device that it was started on, a new --out may use another",
        )
    return torch.device(name)
