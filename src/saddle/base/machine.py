"""What this process may use of the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from saddle.errors import DeviceError

if TYPE_CHECKING:
    import torch


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
