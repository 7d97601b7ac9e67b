"""How long commands take to start and to answer, and how quick a training is; of two states of the project, by turns.

    python benchmarks/start_up.py [--against COMMIT] [--laps 5] [--json FILE]

Each lap takes every measurement of this working tree, and then, with ``--against``, every measurement of that commit,
which is checked out into a temporary folder. Each command is a process of its own. Everything that a first run leaves
behind, such as compiled modules and matplotlib's list of fonts, is there already: a lap that does not count goes first.
Images a second are those of the run's own log, so that the start does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from summary import machine, machine_line, table

ROOT = Path(__file__).parents[1]
OURS = "this tree"
SHORT = ("train", "digits", "--threads", "1", "--device", "cpu", "--out", "run", "--set", "images=1000")
LONG = (*SHORT[:-1], "images=30000")
COMMANDS = {  # what is measured, in seconds
    "saddle --help": ("--help",),
    "saddle recipes": ("recipes",),
    "saddle list, of an empty folder": ("list", "."),
    "saddle train digits, 1,000 images": SHORT,
}
SPEED = "images/s of digits, 30,000 images, 1 thread"
Laps = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="COMMIT", help="measure this commit too, by turns")
    parser.add_argument("--laps", type=int, default=5, help="that count, of each state (default: 5)")
    parser.add_argument("--json", type=Path, help="write every lap to this file too")
    arguments = parser.parse_args()
    if arguments.laps < 1:
        parser.error("at least one lap is needed")
    with tempfile.TemporaryDirectory() as text, checked_out(arguments.against, Path(text) / "tree") as other:
        cache = Path(text) / "cache"
        trees = {OURS: ROOT} | ({} if other is None else {arguments.against: other})
        for tree in trees.values():
            check(tree)
            lap(tree, cache)
        laps: dict[str, Laps] = {name: {} for name in trees}
        for number in range(arguments.laps):
            for name, tree in trees.items():
                for what, value in lap(tree, cache).items():
                    laps[name].setdefault(what, []).append(value)
                print(f"lap {number + 1} of {name}", file=sys.stderr, flush=True)
    print(f"\n{arguments.laps} laps, by turns. {machine_line()}\n")
    print(
        table(
            (
                "measurement",
                *(f"{name}: median (min to max)" for name in laps),
                *(f"{name} over ours" for name in [*laps][1:]),
            ),
            rows(laps),
        )
    )
    if arguments.json is not None:
        content = {"laps": laps, "against": arguments.against, "machine": machine()}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@contextmanager
def checked_out(commit: str | None, place: Path) -> Iterator[Path | None]:
    """The project at ``commit``, in ``place`` as long as the body lasts."""
    if commit is None:
        yield None
        return
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
    try:
        yield place
    finally:
        subprocess.run([*git, "remove", "--force", str(place)], check=True)


def environment(tree: Path, cache: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree / "src"), "SADDLE_CACHE": str(cache)}


def check(tree: Path) -> None:
    """Make sure that the package of ``tree`` is what is measured."""
    words = [sys.executable, "-c", "import saddle; print(saddle.__file__)"]
    found = subprocess.run(words, check=True, env=environment(tree, tree), cwd="/", capture_output=True, text=True)
    if not Path(found.stdout.strip()).is_relative_to(tree):
        raise SystemExit(f"{found.stdout.strip()} would be measured, and not {tree}")


def lap(tree: Path, cache: Path) -> dict[str, float]:
    """Every measurement once."""
    found = {what: run(tree, cache, *words)[0] for what, words in COMMANDS.items()}
    return found | {SPEED: run(tree, cache, *LONG)[1]}


def run(tree: Path, cache: Path, *words: str) -> tuple[float, float]:
    """Seconds that a command took in a fresh folder, and images a second if it trained."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "saddle", *words],
            check=True, cwd=folder, env=environment(tree, cache), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        log = Path(folder) / "run" / "log.jsonl"
        if not log.exists():
            return seconds, 0.0
        last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
        return seconds, last["images"] / last["seconds"]


def rows(laps: dict[str, Laps]) -> Iterator[list[str]]:
    """A row for each measurement: of each state the median and the range, and then the medians over ours."""
    for what in laps[OURS]:
        places = 0 if what == SPEED else 2
        found = [each[what] for each in laps.values()]
        medians = [statistics.median(values) for values in found]
        cells = (
            f"{median:,.{places}f} ({min(values):,.{places}f} to {max(values):,.{places}f})"
            for median, values in zip(medians, found, strict=True)
        )
        yield [what if what == SPEED else f"{what}, s", *cells, *(f"{other / medians[0]:.3f}" for other in medians[1:])]


if __name__ == "__main__":
    main()
