"""How a round is executed: seeded, in which precision, with how many threads, and what becomes of tiny numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from saddle.base.machine import usable_cores
from saddle.errors import ConfigError
from saddle.game.batch import Batch
from saddle.training.learner import Learner

# Rounds played with each setting that is tried: the first warm up, the fastest of the others counts.
_WARM_UP, _COUNTED = 2, 5
# Half precision is taken where a round is faster by this factor: what is gained by less is not worth the rounding.
_WORTH_IT = 1.1


class Engine:
    """Plays a learner's rounds. The loop calls nothing else to compute.

    Args:
        learner: whose rounds.
        precision: of the products: ``float32``, ``bfloat16`` or ``tf32``. Weights and what the optimizer keeps are
            float32 in any case, and so are losses, by the rule (see ``saddle.game.rules``).

    Raises:
        ConfigError: the device lacks this precision.
    """

    def __init__(self, learner: Learner, precision: str = "float32") -> None:
        self._learner = learner
        self._precision = precision
        check_precision(precision, learner.device)

    def play(self, batches: Sequence[Batch], number: int, seed: int) -> dict[str, Tensor]:
        """One round, in which everything random follows from ``seed``; see ``Learner.play``."""
        seed_everything(seed, self._learner.device)
        with products_in(self._precision, self._learner.device):
            return self._learner.play(batches, number)


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse a precision that the device lacks.

    Raises:
        ConfigError: with those that it has.
    """
    if precision not in (known := precisions(device)):
        raise ConfigError(
            f"{device.type} has no products in {precision}", expected=f"precision = {' or '.join(known)}", got=precision
        )


def precisions(device: torch.device) -> tuple[str, ...]:
    """The precisions of products that a device has."""
    if device.type == "cuda":
        ampere = torch.cuda.get_device_capability(device) >= (8, 0)
        return ("float32", "tf32", "bfloat16") if ampere else ("float32",)
    return ("float32", "bfloat16") if device.type == "cpu" else ("float32",)


@contextmanager
def products_in(precision: str, device: torch.device) -> Generator[None]:
    """Compute products in a precision: matrix products and convolutions, forward and backward."""
    if precision == "bfloat16":
        # Without the cache of cast weights, which would not notice that an optimizer moved them within the round.
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            yield
        return
    if device.type != "cuda":
        yield
        return
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


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


def choose_threads(trial: Callable[[], float]) -> int:
    """The faster of one thread and one for each usable core.

    OpenMP threads spin while they wait: on a machine with other work, many can be slower than one.

    Args:
        trial: the seconds of a round with the threads that are set then.
    """
    counts = sorted({1, usable_cores()})
    if len(counts) == 1:
        return counts[0]
    seconds: dict[int, float] = {}
    for count in counts:
        torch.set_num_threads(count)
        seconds[count] = trial()
    return min(counts, key=lambda count: seconds[count])


def choose_precision(trial: Callable[[str], float], device: torch.device) -> str:
    """The fastest precision; single precision where it is hardly slower.

    Args:
        trial: the seconds of a round in a precision.
        device: where it is played.
    """
    known = precisions(device)
    seconds = {name: trial(name) * (1 if name == "float32" else _WORTH_IT) for name in known}
    return min(known, key=lambda name: seconds[name])


def time_rounds(engine: Engine, batches: Sequence[Batch], lazy: int) -> float:
    """Seconds of a round, where every ``lazy``-th one is played with penalties."""

    def seconds(number: int) -> float:
        began = time.perf_counter()
        engine.play(batches, number, 0)
        if batches[0].samples.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - began

    for number in range(_WARM_UP):
        seconds(number)
    penalised = min(seconds(0) for _ in range(_COUNTED))
    plain = min(seconds(1) for _ in range(_COUNTED)) if lazy > 1 else 0.0
    return penalised / lazy + plain * (lazy - 1) / lazy
