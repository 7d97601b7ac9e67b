"""Named tensors and a header in one safetensors file, whole or not there, and checked when read.

The format holds no code. The header is one JSON text under the metadata key ``saddle``: safetensors does not keep the
order of several keys, and equal content must give equal bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from saddle.base.files import atomic_path
from saddle.base.opening import open_regular
from saddle.base.sizes import check_memory
from saddle.errors import CheckpointError, DamagedFile, SaddleError

_KEY = "saddle"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write ``tensors`` and ``header`` (anything JSON can hold) to ``path``, atomically.

    Raises:
        CheckpointError: the file system refused, for instance because the disk is full; an older file is untouched.
    """
    # Tied tensors share memory, which the format refuses, and the checksum wants rows in order.
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(header, sort_keys=True)
    metadata = {_KEY: json.dumps({"header": header, "sha256": _checksum(whole, text)}, sort_keys=True)}
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(save(whole, metadata))
    except SaddleError as error:
        raise CheckpointError(
            error.what, got=error.got, remedy=f"{error.remedy}; what was saved before is untouched"
        ) from None


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the header of a file that ``save_tensors`` wrote.

    Raises:
        CheckpointError: it is missing, foreign, cut short, or a bit of it changed.
        TooLarge: it would not fit in memory.
    """
    try:
        with open_regular(path) as file:  # safetensors would wait for a FIFO
            size = os.fstat(file.fileno()).st_size
        check_memory(size, f"the tensors in {path}")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            try:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            except (TypeError, ValueError, OverflowError) as error:  # shapes beyond all numbers, of no values at all
                raise DamagedFile(f"{path} is damaged or no safetensors file", got=error) from None
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except SafetensorError as error:
        raise DamagedFile(f"{path} is damaged or no safetensors file", got=error) from None
    except OSError as error:
        if path.is_file() and path.stat().st_size == 0:
            raise DamagedFile(f"{path} is damaged or no safetensors file", got="an empty file") from None
        raise CheckpointError(f"{path} cannot be read", got=error.strerror or error) from None
    try:
        outer = json.loads(metadata[_KEY])
        header, checksum = outer["header"], outer["sha256"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise DamagedFile(f"{path} was not written by saddle", expected=f"a header under {_KEY!r}") from None
    if _checksum(tensors, json.dumps(header, sort_keys=True)) != checksum:
        raise DamagedFile(f"{path} is damaged", expected=f"content with checksum {checksum}")
    return tensors, header


def _checksum(tensors: Mapping[str, Tensor], header: str) -> str:
    digest = sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
