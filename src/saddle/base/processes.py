"""Several processes that do one piece of work together, as torchrun starts them; without torchrun there is one.

All of them hold the same weights and draw the same order and the same latents, of which each keeps its part. The first
one alone writes files, scores and prints. Where they meet, each must come by: none may leave the work on its own.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from saddle.errors import ConfigError, Elsewhere, ProcessLost

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_T = TypeVar("_T")
# How long a process waits for the others: the first one may be scoring for hours. One that has died is noticed by its
# closed connection, at once.
_PATIENCE = timedelta(days=7)
_TO_MEET = timedelta(minutes=1)  # at the start
# How long a GPU waits for the others' gradients. NCCL notices a lost process by this alone, and then ends this one. All
# longer waits, such as for scores, are gloo's.
_WITHIN_A_ROUND = timedelta(minutes=5)
_UNFORESEEN = 70  # the exit code of an error that is none of saddle's

_alone: list[bool] = []
_common: dict[str, torch.Generator] = {}


def count() -> int:
    """How many processes do this work."""
    if _alone or "TORCHELASTIC_RUN_ID" not in os.environ:
        return 1
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def alone() -> Generator[None]:
    """For work that every process does by itself, all of it: there is but one process in here."""
    _alone.append(True)
    try:
        yield
    finally:
        _alone.pop()


def number() -> int:
    """Which of them this one is, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that writes and prints."""
    return number() == 0


def count_here() -> int:
    """How many of them run on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if count() > 1 else 1


def number_here() -> int:
    """Which of those on this machine this one is, from 0: the index of its GPU."""
    return int(os.environ["LOCAL_RANK"]) if count() > 1 else 0


def check_shares(size: int, what: str, *, multiple: int = 1) -> None:
    """Refuse what cannot be shared equally.

    Args:
        size: how much there is to share.
        what: what it is, in words.
        multiple: each part must be a multiple of this.

    Raises:
        ConfigError: the number of processes does not divide it.
    """
    if size % (count() * multiple):
        raise ConfigError(
            f"{what} cannot be shared equally by {count()} processes",
            expected=f"a multiple of {count() * multiple}",
            got=size,
            remedy="start another number of processes (torchrun --nproc_per_node), or train another run with a "
            "batch_size that they divide",
        )


def part(values: Tensor) -> Tensor:
    """Of what belongs to the whole batch (count · n, ...), this process's part (n, ...)."""
    if count() == 1:
        return values
    size = len(values) // count()
    return values[number() * size : (number() + 1) * size]


def whole(size: int) -> int:
    """How large the whole batch is of which each process has ``size``."""
    return size * count()


def seed_common(seed: int, device: torch.device) -> None:
    """Seed ``common``: what is drawn from it is then the same in all processes."""
    import torch

    _common[device.type] = torch.Generator(device).manual_seed(seed)


def common(device: torch.device) -> torch.Generator | None:
    """Where all processes draw the same numbers; None, which is torch's global generator, for a single one."""
    return _common.get(device.type) if count() > 1 else None


def add_up(tensor: Tensor) -> None:
    """Replace a tensor by its sum over all processes, in place; they get the same bytes."""
    _meet(lambda distributed: distributed.all_reduce(tensor))


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in place; they get the same bytes."""
    if count() == 1:
        return
    import torch

    kept = list(tensors)
    if not kept:
        return
    with torch.no_grad():
        flat = torch.cat([tensor.reshape(-1) for tensor in kept])
        add_up(flat)
        flat /= count()
        for tensor, mean in zip(kept, flat.split([tensor.numel() for tensor in kept]), strict=True):
            tensor.copy_(mean.view_as(tensor))


def largest(*numbers: int) -> list[int]:
    """The largest of each number over all processes."""
    if count() == 1:
        return list(numbers)
    import torch

    tensor = torch.tensor(numbers)
    _meet(lambda distributed: distributed.all_reduce(tensor, distributed.ReduceOp.MAX))
    return tensor.tolist()


def together(work: Callable[[], _T]) -> _T:
    """Let every process do ``work``, in which none waits for another; where one of them fails, all do.

    Raises:
        Elsewhere: it failed in another process, which tells why.
    """
    if count() == 1:
        return work()
    try:
        result = work()
    except Exception as error:
        largest(getattr(error, "exit_code", _UNFORESEEN))
        raise
    (code,) = largest(0)
    if code:
        raise Elsewhere("it failed in another process", exit_code=code)
    return result


def first(work: Callable[[], _T]) -> _T:
    """Let the first process alone do ``work``, and tell all of them what it gives: numbers, texts, lists, None.

    Raises:
        Elsewhere: it failed there; the first process raises the error itself.
    """
    if count() == 1:
        return work()
    import torch

    def encoded() -> bytes:
        return json.dumps(work()).encode() if is_first() else b""

    text = together(encoded)
    (size,) = largest(len(text))
    received = torch.frombuffer(bytearray(text) if is_first() else bytearray(size), dtype=torch.uint8)
    _send(received)
    return json.loads(received.numpy().tobytes())


def after_first(work: Callable[[], _T]) -> _T:
    """Let every process do ``work``, the first one before the others, which then find in the cache what it made."""
    if count() == 1:
        return work()
    done = together(lambda: [work()] if is_first() else [])
    others = together(lambda: [] if is_first() else [work()])
    return (done or others)[0]


def shared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the first process, on every one of them, by name, on the CPU."""
    if count() == 1:
        return dict(tensors)
    import torch

    shapes = first(lambda: {name: list(tensor.shape) for name, tensor in tensors.items()})
    kinds = first(lambda: {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()})
    found: dict[str, Tensor] = {}
    for name, kind in kinds.items():
        if is_first():
            found[name] = tensors[name].detach().cpu().contiguous()
        else:
            found[name] = torch.empty(shapes[name], dtype=getattr(torch, kind))
        _send(found[name])
    return found


def tells(text: str) -> bool:
    """Whether this process is the one to print ``text``: the first that asks. All tell of an error that they share."""
    if count() == 1:
        return True
    try:
        return _store().add(f"told/{sha256(text.encode()).hexdigest()}", 1) == 1
    except RuntimeError:  # torchrun, which keeps count, is gone
        return True


def _send(tensor: Tensor) -> None:
    """Overwrite ``tensor`` with that of the first process."""
    _meet(lambda distributed: distributed.broadcast(tensor, 0))


def _meet(collective: Callable[[Any], Any]) -> None:
    """Do something that all processes do at once.

    Raises:
        ProcessLost: one of them is gone.
    """
    import torch
    from torch import distributed

    try:
        _start()
        collective(distributed)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # as torch raises for a connection that was closed
        raise ProcessLost(
            "another process of this work has ended, and without it this one cannot go on",
            got=str(error).strip().partition("\n")[0].partition(". ")[0],
            remedy="see above what it said, if anything; the same command resumes from the last checkpoint",
        ) from None


@cache
def _store() -> Any:
    """Where torchrun lets its processes find each other."""
    from torch.distributed.rendezvous import rendezvous

    return next(iter(rendezvous("env://", timeout=_TO_MEET)))[0]


@cache
def _start() -> None:
    import torch
    from torch import distributed

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, store=_store(), rank=number(), world_size=count(), timeout=_PATIENCE)
    if torch.cuda.is_available():
        group = distributed.distributed_c10d._get_default_group()  # pyright: ignore[reportPrivateUsage]
        group._get_backend(torch.device("cuda"))._set_default_timeout(_WITHIN_A_ROUND)  # pyright: ignore
    atexit.register(distributed.destroy_process_group)
