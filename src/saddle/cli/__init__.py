"""The command line: one small module a command; each parses, calls and prints."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line; the process belongs to it, with its streams and signals."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is a better answer, none rather than a traceback
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
    sys.exit(boundary.end(code))
