"""How a round is executed: seeded, in which precision, with how many threads, and what becomes of tiny numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from saddle.base import processes
from saddle.base.chance import stream
from saddle.base.machine import allow_tf32, usable_cores
from saddle.errors import ConfigError
from saddle.game.batch import Batch
from saddle.training.learner import Learner, Turning
from saddle.training.replay import WARM_UP, CudaRecorder, Recorder, Replayed

# Rounds played with each setting that is tried: one warms up, or all up to the recording, and the fastest of the others
# counts.
_WARMING, _COUNTED = 1, 3
_LAPS = 2  # through all that is tried
# Half precision is taken where a round is faster by this factor: what is gained by less is not worth the rounding.
_WORTH_IT = 1.1


class Engine:
    """Plays a learner's rounds. The loop calls nothing else to compute.

    Args:
        learner: whose rounds.
        precision: of the products: ``float32``, ``bfloat16`` or ``tf32``. Weights and what the optimizer keeps are
            float32 in any case, and so are losses, by the rule (see ``saddle.game.rules``).
        recorder: rounds are recorded by it and replayed (see ``saddle.training.replay``); None: each is played.
        say: told why rounds are played after all.

    Raises:
        ConfigError: the device lacks this precision.
    """

    def __init__(
        self,
        learner: Learner,
        precision: str = "float32",
        recorder: Recorder | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._learner = learner
        self._precision = precision
        self._replayed = None if recorder is None else Replayed(learner, recorder)
        self._say = say
        check_precision(precision, learner.device)
        self._player = self._choose_player()

    @property
    def replays(self) -> bool:
        """Whether rounds are recorded, and replayed from then on."""
        return self._player is self._replayed

    def forget(self) -> None:
        """The learner has other numbers, or its state was loaded: what was recorded of its rounds holds no more."""
        if self._replayed is not None:
            self._replayed.forget()
        self._player = self._choose_player()

    def _choose_player(self) -> Learner | Replayed:
        if self._replayed is None:
            return self._learner
        if (obstacle := self._learner.obstacle) is None:
            return self._replayed
        self._say(f"rounds are played one operation after the other, and not replayed as a whole: {obstacle}")
        return self._learner

    def play(self, batches: Sequence[Batch], number: int, seed: int) -> dict[str, Tensor]:
        """One round, in which everything random follows from ``seed``; see ``Learner.play``.

        The figures may be overwritten by the next round.
        """
        seed_round(seed, self._learner.device)
        with products_in(self._precision, self._learner.device):
            return self._player.play(batches, number)

    def turn(self, player: str, real: Batch, number: int, seed: int) -> None:
        """One turn of a player alone, played as it is, in which everything random follows from ``seed``."""
        assert isinstance(self._learner, Turning)
        seed_round(seed, self._learner.device)
        with products_in(self._precision, self._learner.device):
            self._learner.turn(player, real, number)


def are_replayed(device: torch.device, execution: str) -> bool:
    """Whether rounds are recorded and replayed on this device, by the setting ``execution``."""
    return device.type == "cuda" and execution != "eager"


def recorder_for(device: torch.device, execution: str) -> Recorder | None:
    """What records rounds on this device; None where they are played."""
    return CudaRecorder(device) if are_replayed(device, execution) else None


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
    if precision != "tf32":
        yield
        return
    allow_tf32(allowed=True)
    try:
        yield
    finally:
        allow_tf32(allowed=False)  # as ``find_device`` has left it


def seed_round(seed: int, device: torch.device) -> None:
    """Seed what a round draws from. Of several processes, each makes noise of its own inside layers."""
    if processes.count() > 1:
        processes.seed_common(seed, device)  # latents, labels and places, of which each takes its part
        seed = stream(seed, "process", processes.number())
    seed_everything(seed, device)


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


def thread_counts() -> list[int]:
    """The numbers of threads that are worth a trial: one, and one for each core that this process may use."""
    return sorted({1, processes.first(lambda: max(1, usable_cores() // processes.count_here()))})


def choose_execution(trial: Callable[[str], float], threads: Sequence[int], known: Sequence[str]) -> tuple[int, str]:
    """The number of threads and the precision of the fastest rounds; float32 unless another one is worth its rounding.

    Each pair is tried: products in half precision are so short that a second thread may not pay for them. OpenMP's
    threads spin while they wait, so on a machine with other work many can be slower than one. What else the machine
    does comes and goes, so the trials alternate, and the fastest of each pair counts.

    Args:
        trial: the seconds of a round in a precision, with the threads that are set then.
        threads: numbers of threads to choose from; the chosen one is set.
        known: precisions to choose from.
    """
    pairs = [(count, precision) for count in threads for precision in known]
    seconds = dict.fromkeys(pairs, math.inf)
    for count, precision in pairs * _LAPS if len(pairs) > 1 else ():
        torch.set_num_threads(count)
        needed = trial(precision) * (1 if precision == "float32" else _WORTH_IT)
        seconds[count, precision] = min(seconds[count, precision], needed)
    count, precision = processes.first(lambda: min(pairs, key=lambda pair: seconds[pair]))
    torch.set_num_threads(count)
    return count, precision


def time_rounds(engine: Engine, batches: Sequence[Batch], lazy: int) -> float:
    """Seconds of a round, where every ``lazy``-th one is played with penalties."""

    def seconds(number: int) -> float:
        began = time.perf_counter()
        engine.play(batches, number, 0)
        if batches[0].samples.is_cuda:
            torch.cuda.synchronize(batches[0].samples.device)
        return time.perf_counter() - began

    warming = WARM_UP + 1 if engine.replays else _WARMING

    def fastest(number: int) -> float:
        return min([seconds(number) for _ in range(warming + _COUNTED)][warming:])

    return fastest(0) / lazy + (fastest(1) * (lazy - 1) / lazy if lazy > 1 else 0.0)
