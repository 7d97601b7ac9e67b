"""A process that decodes images. It reads a plan and then jobs as lines of JSON, and answers on standard output.

It ends when its input ends, so that it cannot live longer than the process that started it.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from pathlib import Path
from typing import Any

from saddle.data.formats.decoding import Plan, Reader, decode_rows, open_values


def main() -> None:
    # Ctrl-C reaches all processes of a terminal. The process that started this one decides what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    settings["shape"] = tuple(settings["shape"])
    plan = Plan(**settings)
    values = open_values(plan)
    with Reader(Path(plan.root)) as reader:
        for line in sys.stdin.buffer:
            start, names = json.loads(line)
            outcomes = decode_rows(plan, values, reader, start, names)
            answers = [item if isinstance(item, str) else dataclasses.asdict(item) for item in outcomes]
            sys.stdout.buffer.write(json.dumps(answers).encode() + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
