"""A fuzz of every reader of files: each damaged file is read, or refused by a ``SaddleError``; nothing else may happen.

    python benchmarks/fuzz.py --minutes 10 --seed 0 [--reader NAME]
    python benchmarks/fuzz.py --replay fuzz-findings/NAME-SEED-NUMBER

Whole files of each kind (``fuzzing/``) are damaged in places of every sort and read in a process of their own,
whose memory is bounded. A finding is any other exception, a crash, more than ``--patience`` seconds, or more than
``--memory`` MiB above what the process had before. The files of a finding are kept, one folder for each place in the
code, with the traceback. An input depends on reader, seed and number alone. The exit code is 1 if there are findings.
Linux alone has what this needs.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.damage import damaged
from fuzzing.files import Files, files_in, write_files
from fuzzing.readers import READERS, Reader
from saddle.errors import SaddleError
from summary import machine, machine_line, table

TOLD = "finding.txt"  # in the folder of a finding, beside the files
HUNG = "Timeout ("  # how faulthandler begins
MIB = 2**20


# --- one input ------------------------------------------------------------------------------------------------------


def seeds_of(name: str, work: Path) -> list[Files]:
    """Whole files; made once in ``work``."""
    place = work / "seeds" / name
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=work) as folder:
            for number, files in enumerate(READERS[name].seeds(work)):
                write_files(Path(folder) / "made" / f"{number:03}", files)
            place.parent.mkdir(exist_ok=True)
            (Path(folder) / "made").rename(place)
    return [files_in(folder) for folder in sorted(place.iterdir())]


def make_input(name: str, seeds: list[Files], seed: int, number: int) -> Files:
    """The input with this number."""
    chance = Random(f"{name} {seed} {number}")
    return damaged(chance.choice(seeds), chance, READERS[name].wanted)


def attempt(reader: Reader, files: Files, work: Path, memory: int) -> dict[str, str]:
    """Read ``files``: what came of it, and of a finding where it happened and how."""
    folder = Path(tempfile.mkdtemp(dir=work))
    try:
        write_files(folder, files)
        os.environ["SADDLE_CACHE"] = str(folder / "cache")
        before = _memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here on
        try:
            reader.read(folder)
            found = {"came": "result"}
        except SaddleError as error:
            found = {"came": "refusal", "how": str(error)}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  that is what is looked for
            found = {"came": "finding", "where": _where(error), "how": traceback.format_exc()}
        grown = (_memory("VmHWM") - before) // MIB
        if grown > memory and found["came"] != "finding":
            found = {"came": "finding", "where": "memory", "how": f"it took {grown:,} MiB more; {found}"}
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory(key: str) -> int:
    """Bytes, by a line of Linux's own account of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def _where(error: BaseException) -> str:
    """The kind of error and the last place in saddle that it passed: equal for what is one fault."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/saddle/" in frame.filename]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "fuzz"
    return f"{type(error).__name__} at {place}"


# --- the process that reads -----------------------------------------------------------------------------------------


def child(arguments: argparse.Namespace) -> None:
    """Read one input after the other, and tell: the number before, and a line of JSON after."""
    # What libraries print must not come between; what they print in C goes to standard error.
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    reader = READERS[arguments.child]
    if arguments.replay is None:
        seeds = seeds_of(arguments.child, arguments.work)
    import torch  # before the limit, as it needs much address space

    torch.set_num_threads(1)
    limit = _memory("VmSize") + (arguments.memory + 1024) * MIB  # threads reserve more than they take
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    number, last = arguments.first, False
    while not last:
        if arguments.replay is None:
            files = make_input(arguments.child, seeds, arguments.seed, number)
        else:
            files = files_in(arguments.replay)
            del files[TOLD]
        last = arguments.replay is not None or time.monotonic() > arguments.until
        print(number, file=told)
        faulthandler.dump_traceback_later(arguments.patience, exit=True)
        found = attempt(reader, files, arguments.work, arguments.memory)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(found), file=told)
        number += 1


def answers(
    name: str, arguments: argparse.Namespace, minutes: float, work: Path
) -> Iterator[tuple[int, dict[str, str]]]:
    """The numbers of inputs and what came of them, from as many processes as it takes."""
    number, end = arguments.first, time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        words = ["--child", name, "--first", number, "--until", end, "--work", work, "--seed", arguments.seed]
        words += ["--patience", arguments.patience, "--memory", arguments.memory]
        words += [] if arguments.replay is None else ["--replay", arguments.replay]
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            process = subprocess.Popen(
                [sys.executable, sys.argv[0], *map(str, words)], stdout=subprocess.PIPE, stderr=errors, text=True
            )
            begun = False
            assert process.stdout is not None
            for line in process.stdout:
                if begun := not line.startswith("{"):
                    number = int(line)
                else:
                    yield number, json.loads(line)
            code = process.wait()
            if not code:
                return
            errors.seek(0)
            said = errors.read()
        if not begun:
            raise SystemExit(f"the process that reads {name} ended with {code}:\n{said}")
        hung = HUNG in said
        how = f"more than {arguments.patience:g} seconds" if hung else f"exit {code}"
        yield (
            number,
            {"came": "finding", "where": "hang" if hung else f"crash, {code}", "how": f"{how}\n{said[-8000:]}"},
        )
        if arguments.replay is not None:
            return
        number += 1


# --- all of them ----------------------------------------------------------------------------------------------------


def keep(name: str, number: int, found: dict[str, str], arguments: argparse.Namespace, work: Path) -> None:
    """Write the files of a finding, and print how it is replayed."""
    folder = arguments.keep / f"{name}-{arguments.seed}-{number}"
    files = make_input(name, seeds_of(name, work), arguments.seed, number)
    head = {"reader": name, "seed": arguments.seed, "number": number, "where": found["where"]}
    write_files(folder, {**files, TOLD: f"{json.dumps(head)}\n{found['how']}".encode("utf-8", "backslashreplace")})
    print(f"FINDING: {name}: {found['where']}\n  python benchmarks/fuzz.py --replay {folder}", flush=True)


def replay(arguments: argparse.Namespace, work: Path) -> bool:
    """Read the files of a finding again, and print what comes of it; whether it is a finding still."""
    name = json.loads((arguments.replay / TOLD).read_text(encoding="utf-8").splitlines()[0])["reader"]
    ((_, found),) = answers(name, arguments, 60, work)
    print(f"{name}: {found['came']} {found.get('where', '')}\n{found.get('how', '')}")
    return found["came"] == "finding"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="for all readers together (default: 10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", choices=READERS, help="only this one; repeatable")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each reader")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="where findings go")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="of a finding: read it once more")
    parser.add_argument("--patience", type=float, default=20, help="seconds for an input (default: 20)")
    parser.add_argument("--memory", type=int, default=1024, help="MiB that an input may take (default: 1024)")
    parser.add_argument("--json", type=Path, help="write the summary to this file too")
    parser.add_argument("--child", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)  # the clock is the same in all processes
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
        return
    with tempfile.TemporaryDirectory() as text:
        work = Path(text)
        if arguments.replay is not None:
            sys.exit(replay(arguments, work))
        sys.exit(fuzz(arguments, work))


def fuzz(arguments: argparse.Namespace, work: Path) -> bool:
    """All readers one after the other; whether anything was found."""
    names = arguments.reader or list(READERS)
    shares = sum(READERS[name].share for name in names)
    rows: list[dict[str, Any]] = []
    for name in names:
        tally, places, began = Counter[str](), Counter[str](), time.monotonic()
        for number, found in answers(name, arguments, arguments.minutes * READERS[name].share / shares, work):
            tally[found["came"]] += 1
            if where := found.get("where"):
                places[where] += 1
                if places[where] == 1:
                    keep(name, number, found, arguments, work)
        row = {"reader": name, "tried": tally.total(), "results": tally["result"], "refusals": tally["refusal"]}
        rows.append(
            row | {"findings": tally["finding"], "places": places, "seconds": round(time.monotonic() - began, 1)}
        )
        print(rows[-1], file=sys.stderr, flush=True)
    head = ("reader", "tried", "results", "refusals", "findings", "places", "seconds")
    print(f"\n{arguments.minutes:g} minutes, seed {arguments.seed}. {machine_line()}\n")
    print(table(head, [[len(row[key]) if key == "places" else row[key] for key in head] for row in rows]))
    if arguments.json is not None:
        content = {"minutes": arguments.minutes, "seed": arguments.seed, "machine": machine(), "readers": rows}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return any(row["findings"] for row in rows)


if __name__ == "__main__":
    main()
