"""The command line: one small module a command; each parses, calls and prints."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line; the process belongs to it, with its streams and signals."""
    # Until there is a better answer, none rather than a traceback. Scripts start background jobs with SIGINT ignored;
    # who sends one to a training wants it saved and stopped.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from saddle.base import processes
    from saddle.cli import boundary

    boundary.begin()
    try:
        from saddle.cli.commands import app  # which takes its time, while a signal may come

        app()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  there is nobody else who could answer
        code = boundary.answer(error)
    code = boundary.end(code)
    if processes.count() > 1:
        os._exit(code)  # torch's threads between processes may still be at work, and abort an interpreter that ends
    sys.exit(code)
