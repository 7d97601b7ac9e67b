"""Where the command line meets the system: signals, streams, and errors of every kind, answered in plain words."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from contextlib import suppress
from types import FrameType

from saddle.base import processes
from saddle.base.files import remove_unfinished
from saddle.base.machine import stop_signals
from saddle.base.streams import let_go, take_over
from saddle.base.text import one_line
from saddle.errors import Elsewhere, SaddleError

UNFORESEEN = 70  # the exit code for a fault of saddle's own, as EX_SOFTWARE of sysexits.h
# What the system and torch say where memory, or address space, is not enough; torch raises RuntimeErrors for it.
_NO_MEMORY = re.compile(
    "not enough memory|can't allocate memory|cannot allocate memory|out of memory|bad_alloc|failed to map segment"
    "|can't start new thread|DefaultCPUAllocator",
    re.IGNORECASE,
)
_REMEDIES: dict[int | None, str] = {
    errno.ENOSPC: "make room, and run the same command again",
    errno.EDQUOT: "make room, and run the same command again",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EMFILE: "let the process open more files (ulimit -n)",
    errno.EACCES: "name a place that you may use",
    errno.EPERM: "name a place that you may use",
    errno.EROFS: "name a place that you may use",
}


def begin() -> None:
    """Answer signals from here on, and let no stream fail the work."""
    for number in stop_signals():
        signal.signal(number, _end_at_once)
    take_over()


def end(code: int) -> int:
    """Let go of the streams; the exit code, which says so where a full disk lost a part of the output."""
    failure = let_go()
    if failure is None or isinstance(failure, BrokenPipeError):  # a reader that went away, as `head` does, has enough
        return code
    _print(SaddleError("standard output cannot be written", got=_reason(failure), remedy=_remedy(failure)))
    return code or SaddleError.exit_code


def answer(error: BaseException) -> int:
    """Say what happened, and return the exit code. With ``SADDLE_DEBUG=1``, the traceback is shown too."""
    if os.environ.get("SADDLE_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        print("saddle: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    if isinstance(error, Elsewhere):  # the process where it happened tells why
        return error.exit_code
    if isinstance(error, SaddleError):
        if processes.tells(error.what):
            _print(error)
        return error.exit_code
    if foreseen := _foreseen(error):
        _print(foreseen)
        return foreseen.exit_code
    what = f"an error that nobody foresaw: {type(error).__name__}: {one_line(error)}"
    print(f"saddle: {what}; {_keep_details(error)}", file=sys.stderr)
    return UNFORESEEN


def _foreseen(error: BaseException) -> SaddleError | None:
    """An error of Python's or torch's own as one for the user, where it is clear what it means."""
    if is_memory_error(error):
        return SaddleError(
            "the memory is not enough",
            got=_first_line(error) or None,
            remedy="less at once, such as a smaller batch_size, smaller networks or fewer samples; or more memory",
        )
    if isinstance(error, RecursionError):
        return SaddleError("what was given is nested too deeply", remedy=_keep_details(error))
    if isinstance(error, OSError) and error.errno is not None:
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        what = f"{' and '.join(names)} cannot be used" if names else "the system refuses"
        return SaddleError(what, got=_reason(error), remedy=_remedy(error))
    return None


def is_memory_error(error: BaseException) -> bool:
    """Whether it says that there is not enough memory, in whatever words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the latter is torch's
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError | ImportError) and _NO_MEMORY.search(str(error)) is not None


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """End the process here and now: no exception, which code that is just being imported could swallow or print.

    That is safe, since a kill would be too: whatever is being written has another name until it is whole.
    """
    remove_unfinished()
    what = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
    with suppress(OSError):
        cursor = "\x1b[?25h\n" if os.isatty(2) else ""  # a progress bar hides it
        os.write(2, f"{cursor}saddle: {what}\n".encode())
    os._exit(128 + number)


def _print(error: SaddleError) -> None:
    """Its parts, each on a line of its own whatever is in the names that they hold."""
    lines = [f"saddle: {one_line(error.what)}", *(f"  {one_line(detail)}" for detail in error.details)]
    for name, value in (("expected", error.expected), ("got", error.got), ("remedy", error.remedy)):
        if value is not None:
            text = " ".join(str(value).split()) if isinstance(value, Exception) else value
            lines.append(f"  {name}: {one_line(text)}")
    print("\n".join(lines), file=sys.stderr)


def _keep_details(error: BaseException) -> str:
    """Write the traceback to a file of its own; where it is, in words."""
    import platform
    import tempfile
    import traceback
    from importlib import metadata

    versions = [f"{name} {metadata.version(name)}" for name in ("saddle", "torch", "numpy")]
    try:
        descriptor, name = tempfile.mkstemp(prefix="saddle-error-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123
            print(" ".join(map(one_line, sys.argv)), file=file)
            print(*versions, f"Python {sys.version}", platform.platform(), sep="\n", file=file)
            traceback.print_exception(error, file=file)
    except OSError as refused:
        return f"the details could not be written ({_reason(refused)}); SADDLE_DEBUG=1 shows them"
    return f"please report it with the details in {name}"


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _remedy(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return _REMEDIES.get(number, "SADDLE_DEBUG=1 shows where it happened")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
