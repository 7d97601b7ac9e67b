"""How much memory networks need, found before any of it is allocated: from copies that have shapes but no values."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode

from saddle.errors import TooLarge

_META = torch.device("meta")
Arguments = ParamSpec("Arguments")
Network = TypeVar("Network", bound=nn.Module)


def without_values(build: Callable[Arguments, Network], *args: Arguments.args, **named: Arguments.kwargs) -> Network:
    """The network that ``build`` makes of the arguments, on the device ``meta``: all of it but the values.

    Raises:
        TooLarge: a tensor of it has more bytes than can be counted.
    """
    with _META, _Undrawn(), _counted():
        return build(*args, **named)


def size_of(network: nn.Module) -> int:
    """Bytes of the network's parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))


def kept_by(run: Callable[[], object]) -> int:
    """Bytes that autograd keeps for the backward pass of ``run``, parameters too.

    What is kept twice counts once. Within a pass there is more for a moment, so that this is a lower bound.

    Raises:
        TooLarge: a tensor has more bytes than can be counted.
    """
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor  # pyright: ignore[reportPrivateUsage]
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor), _counted():
        run()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def free_on(device: torch.device) -> int | None:
    """Free bytes of a device with memory of its own; None: it has the machine's."""
    if device.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch, for what comes next
    return torch.cuda.mem_get_info(device)[0] + kept


class _Undrawn(TorchFunctionMode):
    """Leaves out normal draws, for which torch imports 800 modules on the device ``meta``, in a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func is nn.init.normal_:  # newer torch asks about this one, and not about what is in it
            return named["tensor"] if "tensor" in named else args[0]
        return args[0] if func is Tensor.normal_ else func(*args, **named)


@contextmanager
def _counted() -> Generator[None]:
    try:
        yield
    except (RuntimeError, TypeError) as error:  # torch's way to say that a size is beyond 64 bits
        if "overflow" not in str(error).lower():
            raise
        raise TooLarge("the networks would not fit in memory", got="more bytes than 64 bits can count") from None
