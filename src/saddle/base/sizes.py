"""Whether there is room in memory or on disk, asked before anything is allocated or written."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from saddle.errors import TooLarge

_CONTAINER = Path("/sys/fs/cgroup")  # as a process in a container sees its own control group, version 2


def readable_size(count: float) -> str:
    """So many bytes for people, such as ``12.3 kB``."""
    if count < 1000:
        return f"{count:,.0f} B"
    if count >= 10**21:  # such a whole number may be beyond the range of floats
        return "more than a million PB"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:,.1f} PB"


def free_memory() -> int:
    """Bytes that this process can still have: by the machine, its container, and the limit on its address space."""
    free = [_available()]
    with suppress(OSError, ValueError, KeyError):  # no container has such files, or its limit is "max"
        limit = int((_CONTAINER / "memory.max").read_text(encoding="ascii"))
        used = int((_CONTAINER / "memory.current").read_text(encoding="ascii"))
        held = _figures(_CONTAINER / "memory.stat")
        free.append(max(0, limit - used + held["active_file"] + held["inactive_file"]))  # files' pages can be freed
    with suppress(ImportError, OSError, ValueError):  # Windows has neither; macOS has no /proc
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            free.append(max(0, limit - pages * resource.getpagesize()))
    return min(free)


def check_memory(count: int, what: str, *, free: int | None = None, remedy: str | None = None) -> None:
    """Refuse what needs more memory than is free.

    Args:
        count: bytes.
        what: they are for, as the subject of a sentence.
        free: bytes of another memory than the machine's own.
        remedy: what the user can do.

    Raises:
        TooLarge: there are not so many.
    """
    free = free_memory() if free is None else free
    if count > free:
        raise TooLarge(
            f"{what} would not fit in memory",
            got=f"this needs {readable_size(count)}, and {readable_size(free)} are free",
            remedy=remedy,
        )


def check_disk(path: Path, count: int, what: str, *, remedy: str | None = None) -> None:
    """Refuse what needs more room than there is where ``path`` is, or will be made.

    Args:
        path: a file or folder; it need not exist.
        count: bytes.
        what: they are for, as the subject of a sentence.
        remedy: what the user can do.

    Raises:
        TooLarge: there are not so many.
        OSError: the file system refuses to tell.
    """
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if count > free:
        raise TooLarge(
            f"{what} would not fit on the disk of {place}",
            got=f"this needs {readable_size(count)}, and {readable_size(free)} are free",
            remedy=remedy,
        )


def _available() -> int:
    """Bytes of memory and swap that are free or can be freed; without Linux's figures, all that the machine has."""
    with suppress(OSError, ValueError, KeyError):
        held = _figures(Path("/proc/meminfo"))
        return 1024 * (held["MemAvailable:"] + held["SwapFree:"])
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2**63 - 1


def _figures(path: Path) -> dict[str, int]:
    """The lines of a file of the kernel: a name, a number, and perhaps a unit."""
    lines = path.read_text(encoding="ascii").splitlines()
    return {words[0]: int(words[1]) for words in map(str.split, lines)}
