"""A folder of many small PNGs: seconds to the first and the second start, and memory while batches are drawn.

    python benchmarks/image_folder.py [--count 100000]

The floor is one process that reads and decodes a sample of the files with Pillow and does nothing else, times the
number of processors. Processor time means the same on a machine that is busy with other things. Memory is Linux's:
"own" is what the process itself holds; "file" are pages of the cache file that the kernel lent it and takes back when
anybody needs room.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from saddle.base.progress import Lines
from saddle.config.schema import DataConfig
from saddle.data import Store, open_data

T = TypeVar("T")

SIDE = 32
CLASSES = 10
SAMPLE = 2_000
BATCHES = 2_000
BATCH = 64


def main() -> None:
    """Make the files, measure, print a table, remove everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="images (default: 100,000)")
    count: int = parser.parse_args().count
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["SADDLE_CACHE"] = str(Path(temporary) / "cache")
        folder = Path(temporary) / "images"
        making, making_work, _ = timed(lambda: make(folder, count))
        paths = sorted(folder.glob("*/*.png"))[:SAMPLE]
        bare, bare_work, _ = timed(lambda: decode(paths))
        config = DataConfig(source=str(folder))
        first, first_work, _ = timed(lambda: open_data(config, progress=Lines(seconds=5)))
        second, second_work, store = timed(lambda: open_data(config))
        before, early, late = memory_while_drawing(store)
    processors = len(os.sched_getaffinity(0))
    print(f"\n{count:,} PNGs, {SIDE}x{SIDE} RGB, {CLASSES} class folders, {processors} processors\n")
    print("| step | seconds | images/s | processor time an image, µs |\n|---|---|---|---|")
    for name, seconds, rate, work in (
        ("making the files", making, count / making, making_work / count),
        ("floor: reading and decoding alone", bare, SAMPLE / bare * processors, bare_work / SAMPLE),
        ("first start (decodes)", first, count / first, first_work / count),
        ("second start", second, count / second, second_work / count),
    ):
        print(f"| {name} | {seconds:.2f} | {rate:,.0f} | {1e6 * work:.0f} |")
    print(f"\n| memory while drawing {BATCHES:,} batches of {BATCH} | own, MiB | file, MiB |\n|---|---|---|")
    for name, (own, file) in (("before", before), ("after a tenth", early), ("after all", late)):
        print(f"| {name} | {own:.1f} | {file:.1f} |")


def make(folder: Path, count: int) -> None:
    """Noise over a smooth gradient: neither as small nor as large as a PNG can be."""
    chance = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir(parents=True)
    smooth = np.linspace(0, 200, SIDE)[:, None, None] + np.zeros((SIDE, SIDE, 3))
    for index in range(count):
        pixels = (smooth + chance.integers(0, 55, (SIDE, SIDE, 3))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"class{index % CLASSES}" / f"{index:06}.png", compress_level=1)


def decode(paths: list[Path]) -> None:
    """Read and decode, and nothing else."""
    for path in paths:
        np.asarray(Image.open(io.BytesIO(path.read_bytes())))


def memory_while_drawing(store: Store) -> tuple[tuple[float, float], ...]:
    """Memory before, after a tenth, and after all of the random batches."""
    chance = np.random.default_rng(0)
    readings = [memory()]
    for batch in range(1, BATCHES + 1):
        store.values[chance.integers(0, len(store), BATCH)].astype(np.float32)
        if batch in (BATCHES // 10, BATCHES):
            readings.append(memory())
    return tuple(readings)


def memory() -> tuple[float, float]:
    """(own, file-backed) resident memory in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    return tuple(int(facts[key].split()[0]) / 1024 for key in ("RssAnon", "RssFile"))  # type: ignore[return-value]


def timed(work: Callable[[], T]) -> tuple[float, float, T]:
    """Seconds that ``work`` took, seconds of processor time with its child processes, and what it returned."""
    start, busy = time.perf_counter(), processor_time()
    result = work()
    return time.perf_counter() - start, processor_time() - busy, result


def processor_time() -> float:
    """Of this process and its children that have ended: what it takes on a busy machine as on an idle one."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
