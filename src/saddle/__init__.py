"""saddle trains, judges, uses and shares generative adversarial networks.

>>> import saddle
>>> run = saddle.train("digits")                     # the same call again goes on, or finds it finished
>>> images = run.sample(64, seed=1)                  # (64, 1, 8, 8), in [0, 1]
>>> generator = saddle.load("runs/digits")           # or one .safetensors file
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from saddle.base.machine import bound_spinning

if TYPE_CHECKING:
    from saddle import metrics
    from saddle.api import Run, compare, fork, report, train
    from saddle.config import all_recipes as recipes
    from saddle.errors import (
        CheckpointError,
        Collapsed,
        ConfigError,
        DataError,
        DeviceError,
        Diverged,
        Interrupted,
        MetricError,
        NotFinite,
        RunError,
        SaddleError,
    )
    from saddle.reproduction.run import reproduce
    from saddle.runs.scores import Evaluation
    from saddle.scoring.evaluate import evaluate
    from saddle.sweeps.run import sweep
    from saddle.trained.export import save_samples
    from saddle.trained.generator import Generator, load

__version__ = "0.1.0"
__all__ = [
    "CheckpointError",
    "Collapsed",
    "ConfigError",
    "DataError",
    "DeviceError",
    "Diverged",
    "Evaluation",
    "Generator",
    "Interrupted",
    "MetricError",
    "NotFinite",
    "Run",
    "RunError",
    "SaddleError",
    "compare",
    "evaluate",
    "fork",
    "load",
    "metrics",
    "recipes",
    "report",
    "reproduce",
    "save_samples",
    "sweep",
    "train",
]

bound_spinning()  # before torch is imported, by whoever does it

# Names are imported when first used: `import saddle` alone does not wait for torch.
_HOMES = {
    "Run": "api",
    "compare": "api",
    "fork": "api",
    "report": "api",
    "train": "api",
    "Evaluation": "runs.scores",
    "evaluate": "scoring.evaluate",
    "Generator": "trained.generator",
    "load": "trained.generator",
    "reproduce": "reproduction.run",
    "save_samples": "trained.export",
    "sweep": "sweeps.run",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'saddle' has no attribute {name!r}")
    if name == "metrics":
        return import_module("saddle.metrics")
    if name == "recipes":
        return import_module("saddle.config").all_recipes
    return getattr(import_module(f"saddle.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return __all__
