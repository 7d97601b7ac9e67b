"""One array in numpy's own format. Its header is compared with what is there before anything is allocated."""

from __future__ import annotations

import io
import math
import os
import warnings
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saddle.base.opening import read_up_to
from saddle.base.sizes import check_memory
from saddle.errors import DataError

_HEADER = 2**16  # bytes; numpy itself takes no header of more than 10,000

_VERSIONS = ((1, 0), (2, 0), (3, 0))  # the last two differ in the names of columns only, which are of no use here


class _Header(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int  # of the values in the file

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize


def map_npy(file: BinaryIO, name: str) -> NDArray[Any]:
    """The array in an ``.npy`` file, memory-mapped.

    Raises:
        DataError: its header claims more or less than there is, or Python objects.
        Exception: whatever numpy raises on a broken header.
    """
    header = _read_header(file, name)
    _compare(name, header, os.fstat(file.fileno()).st_size - header.start)
    if not header.size:
        return np.empty(header.shape, header.dtype)
    order = "F" if header.fortran else "C"
    return np.memmap(file, header.dtype, "r", header.start, header.shape, order)


def read_npy(stream: BinaryIO, name: str) -> NDArray[Any]:
    """The array in a stream, such as a part of an archive, in memory.

    Raises:
        DataError: as ``map_npy``.
        TooLarge: it would not fit in memory.
        Exception: as ``map_npy``.
    """
    header = _read_header(stream, name)
    check_memory(header.size, f"the array in {name}")
    stream.seek(header.start)
    content = read_up_to(stream, header.size + 1)
    _compare(name, header, len(content))
    if not header.size:
        return np.empty(header.shape, header.dtype)
    return np.frombuffer(content, header.dtype).reshape(header.shape, order="F" if header.fortran else "C")


def _read_header(stream: BinaryIO, name: str) -> _Header:
    head = io.BytesIO(stream.read(_HEADER))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers that numpy can read all the same
        version = np.lib.format.read_magic(head)
        if version not in _VERSIONS:
            raise ValueError(f"version {version[0]}.{version[1]} of the format, which nobody knows")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(head)
    if dtype.hasobject:
        raise DataError(
            f"{name} holds Python objects",
            expected="an array of numbers, as numpy.save or numpy.savez writes it",
            remedy="convert the values to one array of numbers, and save that",
        )
    if any(length < 0 for length in shape):
        raise ValueError(f"its header gives the shape {shape}")
    return _Header(shape, fortran, dtype, head.tell())


def _compare(name: str, header: _Header, found: int) -> None:
    if found != header.size:
        raise DataError(
            f"{name} does not have the length that its header gives",
            expected=f"{header.size:,} bytes for the shape {header.shape} of {header.dtype}",
            got=f"{found:,} bytes" if found < header.size else "more",
            remedy="write the file again",
        )
