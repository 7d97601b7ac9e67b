"""Opening and reading what others made: regular files only, under names that the system can hold, never without end."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import Literal, Protocol

from saddle.base.sizes import readable_size

PIECE = 2**16  # bytes that are asked for together; the system hands out so many without mapping memory anew
# A FIFO is not waited for, a terminal does not become ours, and no child process inherits the file.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ...


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a regular file for reading, and nothing else: no FIFO, device, socket or folder. It never waits.

    Raises:
        OSError: as ``open``, for a name that the system cannot hold too; ``strerror`` says what is there instead.
    """
    _refuse_odd(_status(path), path)  # to open some devices does something already
    descriptor = os.open(path, _FLAGS)
    try:
        _refuse_odd(os.fstat(descriptor), path)  # another may have taken the place of what was there
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def kind_at(path: str | os.PathLike[str]) -> Literal["file", "folder"] | None:
    """What is at ``path``, links followed; None: nothing.

    Raises:
        OSError: it is neither a file nor a folder, the system cannot hold the name, or refuses to look.
    """
    try:
        status = _status(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(status.st_mode):
        return "folder"
    _refuse_odd(status, path)
    return "file"


def read_up_to(stream: Readable, most: int) -> bytearray:
    """The next ``most`` bytes, or all up to the end. What is not there costs no memory, whatever a header claims."""
    content = bytearray()
    while len(content) < most and (piece := stream.read(min(PIECE, most - len(content)))):
        content += piece
    return content


def read_at_most(stream: Readable, most: int) -> bytearray:
    """The rest of ``stream``, counted while it is read.

    Raises:
        OSError: there are more than ``most`` bytes.
    """
    content = read_up_to(stream, most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than {readable_size(most)}")
    return content


def shown(path: str | os.PathLike[str]) -> str:
    r"""A name as text that can be written: what is not UTF-8 in it becomes ``\udcff`` and the like."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()


def _status(path: str | os.PathLike[str]) -> os.stat_result:
    try:
        return os.stat(path)  # noqa: PTH116  Path would take time that counts with 100,000 images
    except ValueError:  # it has a NUL, or a character that the file system's encoding lacks
        raise OSError(errno.EINVAL, "no file can have this name", str(Path(path))) from None


def _refuse_odd(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", os.fspath(path))
