"""Where a run was trained: versions, machine, command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from saddle.base import processes
from saddle.config import Config


def environment(config: Config, device: torch.device) -> dict[str, Any]:
    """What ``environment.json`` holds."""
    packages = {name: version(name) for name in ("torch", "numpy", "safetensors", "pillow")}
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "saddle": version("saddle"),
        "python": platform.python_version(),
        **packages,
        "platform": platform.platform(),
        "device": str(device),
        "processor": accelerator or platform.machine(),
        "cores": os.cpu_count(),
        "threads": config.threads,
        "processes": processes.count(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "git_commit": _git_commit(),
    }


def _git_commit() -> str | None:
    """The commit of the working directory, for users who keep their experiments in git."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
