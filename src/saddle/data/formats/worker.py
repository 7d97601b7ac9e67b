"""A process that decodes images: a plan, then jobs, as lines of JSON on standard input; answers on standard output.

It ends with its input, so it cannot outlive the process that started it.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from saddle.data.formats.decoding import Plan, Reader, decode_rows


def main() -> None:
    # Ctrl-C reaches all processes of a terminal; the one that started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    settings["shape"] = tuple(settings["shape"])
    plan = Plan(**settings)
    values = np.memmap(plan.values, np.uint8, "r+", shape=plan.shape)
    with Reader(Path(plan.root)) as reader:
        for line in sys.stdin.buffer:
            start, names = json.loads(line)
            outcomes = decode_rows(plan, values, reader, start, names)
            answers = [item if isinstance(item, str) else dataclasses.asdict(item) for item in outcomes]
            sys.stdout.buffer.write(json.dumps(answers).encode() + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
