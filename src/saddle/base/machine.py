"""What this process may use of the machine."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from saddle.base import processes
from saddle.errors import DeviceError

if TYPE_CHECKING:
    import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as in malloc.h


def bound_spinning() -> bool:
    """Bound how long OpenMP's threads spin while they wait for each other; whether that is done.

    Two threads on a busy machine are many times slower without a bound: at a load of 9 on 2 cores, a round took 360 ms,
    and 21 ms with this one; alone the bound costs about a sixth (benchmarks/threads.py). OpenMP reads it when torch is
    imported: after that, it is too late.
    """
    if "GOMP_SPINCOUNT" not in os.environ and "torch" not in sys.modules:
        os.environ["GOMP_SPINCOUNT"] = "1000"
    return "GOMP_SPINCOUNT" in os.environ


def keep_freed_memory() -> None:
    """Let the C library keep the memory that is freed for what is allocated next, instead of giving it back.

    A round frees and allocates the same blocks. Where glibc gives large ones back to the system, each of their pages
    is mapped and cleared anew in the next round: 2,600 page faults and a tenth of the time of a round of ``mnist``.
    """
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_MMAP_THRESHOLD, 2**25)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def stop_signals() -> list[signal.Signals]:
    """The signals that ask this process to stop. SIGHUP is none where it is ignored, as in what nohup starts."""
    known = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        known.append(signal.SIGHUP)
    return known


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def allow_tf32(*, allowed: bool) -> None:
    """Whether CUDA may round the factors of products to ten bits; torch lets its convolutions do so if not told."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def find_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` takes CUDA, then MPS, then the CPU.

    Of several processes on one machine, each has the GPU of its own number.

    Raises:
        DeviceError: there is no such device on this machine.
    """
    import torch

    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if processes.count() > 1:
        available = [each for each in available if each in ("cuda", "cpu")]
    name = available[0] if name == "auto" else name
    if name not in available:
        raise DeviceError(
            f"there is no device {name!r} here",
            expected="auto, " + ", ".join(available),
            got=name,
            remedy="take one of these; a run goes on on the device that it was started on, a new --out may use another",
        )
    if name.startswith("cuda"):
        allow_tf32(allowed=False)  # samples and metrics are in single precision; a training may say otherwise
    if name == "cuda" and processes.count() > 1:
        if processes.count_here() > (gpus := torch.cuda.device_count()):
            raise DeviceError(
                f"{processes.count_here()} processes need as many GPUs",
                expected=f"torchrun --nproc_per_node={gpus}, or --device cpu",
                got=f"{gpus} on this machine",
            )
        return torch.device("cuda", processes.number_here())
    return torch.device(name)
