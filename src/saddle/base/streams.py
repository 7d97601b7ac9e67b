"""The way out of the process: streams that show only printable text, and that no work fails for."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO, cast

from saddle.base.text import printable


class Outlet(io.TextIOBase):
    """Standard output or standard error, as all that saddle prints goes through it.

    Text becomes ``printable``. Where the stream takes no more, since its reader went away, the disk is full or it was
    closed, text is dropped and the work goes on; ``failure`` is why.

    Args:
        stream: where text goes; None, as Python has it where the stream was closed from the start, is nowhere.
        raw: text is the program's own and holds escapes, as a progress bar does.
    """

    def __init__(self, stream: TextIO | None, *, raw: bool = False) -> None:
        self.stream = stream
        self.raw = raw
        self.failure: Exception | None = None
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")  # an encoding may lack letters

    def write(self, text: str, /) -> int:
        shown = text if self.raw else printable(text, lines=True)
        try:
            if self.stream is not None:
                self.stream.write(shown)
        except (OSError, ValueError) as error:  # ValueError: it was closed meanwhile
            self.failure = error
        return len(text)

    def flush(self) -> None:
        try:
            if self.stream is not None:
                self.stream.flush()
        except (OSError, ValueError) as error:
            self.failure = error

    def isatty(self) -> bool:
        try:
            return self.stream is not None and self.stream.isatty()
        except ValueError:  # it was closed
            return False

    def fileno(self) -> int:
        return super().fileno() if self.stream is None else self.stream.fileno()

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return "utf-8" if self.stream is None else self.stream.encoding

    @property
    def errors(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return "backslashreplace" if self.stream is None else self.stream.errors


def outlet(stream: TextIO | None, *, raw: bool = False) -> TextIO:
    """``stream`` as an ``Outlet``."""
    if isinstance(stream, Outlet):
        if stream.raw == raw:
            return cast(TextIO, stream)
        stream = stream.stream
    return cast(TextIO, Outlet(stream, raw=raw))


def take_over() -> None:
    """Let all that this process prints go through outlets, and open standard streams that were closed.

    Otherwise the next file to be opened would become standard output, with what libraries print in it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # It gets the lowest number that is free, which is this one; processes that are started get it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout, sys.stderr = outlet(sys.stdout), outlet(sys.stderr)


def let_go() -> Exception | None:
    """Flush both outlets at the end of the process; why some of standard output was lost, or None.

    What is stuck in a buffer goes nowhere, so that the interpreter does not fail on it again when it ends.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        if isinstance(stream, Outlet) and stream.failure is not None:
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
    return sys.stdout.failure if isinstance(sys.stdout, Outlet) else None
