"""Reading a log while it grows: a piece at a time, and kept as a picture of it whose size does not grow."""

from __future__ import annotations

import bisect
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from saddle.runs.reading import open_log, read_line

_END = 2**16  # bytes of the end of a log
_BUCKETS = 1024  # at most; from then on, two become one
_LANDMARK = 256  # lines from one known place in the file to the next
_AT_ONCE = 2**16  # lines of a window that are read
_GLANCES = 400  # lines that stand for a long log that was not read yet
_LONG = 2**22  # bytes of a log that is glanced at first
_LINE = 2**16  # bytes
_NOT_DRAWN = frozenset({"images", "epoch", "seconds", "best"})

Entry = Mapping[str, Any]


def read_end(path: Path) -> list[dict[str, Any]]:
    """The last entry of a log, in a list; empty where there is none."""
    try:
        with open_log(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END))
            lines = file.read(_END).split(b"\n")
    except OSError:
        return []
    for line in reversed(lines[1 if size > _END else 0 :]):
        try:
            return [read_line(line, set())]
        except ValueError:
            continue
    return []


class Part(NamedTuple):
    """Figures over images seen, thinned: of many entries in a row, the smallest and the largest value.

    Args:
        life: another number where the log was begun anew, so that nothing known of it holds.
        width: how many entries a place stands for.
        start: the number of its first place; those before are as they were.
        images: images seen at each place; a place of many entries has two.
        figures: values by name, None where there is none; as many as ``images``.
        done: the share of the file that was read.
    """

    life: int
    width: int
    start: int
    images: list[int]
    figures: dict[str, list[float | None]]
    done: float


class _Bucket(NamedTuple):
    first: int
    last: int
    figures: dict[str, tuple[float, float]]  # as they follow each other: (smallest, largest) or the other way


class Follower:
    """Reads a log from where it stopped the last time.

    Args:
        path: the log; it need not be there yet.
        tell: called with every entry, in order.
        begin: called when the log is begun anew, or was replaced.
    """

    def __init__(
        self, path: Path, tell: Callable[[Entry], None] | None = None, begin: Callable[[], None] | None = None
    ) -> None:
        self._path = path
        self._tell = tell
        self._begin = begin
        self.life = 0
        self._start_anew(None)

    def _start_anew(self, identity: tuple[int, int] | None) -> None:
        self.life += 1
        self._identity = identity
        self._offset = 0
        self._size = 0
        self._names: set[str] = set()
        self._buckets: list[_Bucket] = []
        self._open: list[Entry] = []
        self._landmarks: list[tuple[int, int]] = []  # (images seen, place in the file)
        self.count = 0
        self.width = 1
        if self._begin is not None:
            self._begin()

    def read(self, seconds: float) -> bool:
        """Read on for at most about so long; whether the end was reached."""
        try:
            with open_log(self._path) as file:
                status = os.fstat(file.fileno())
                identity = status.st_dev, status.st_ino
                if identity != self._identity or status.st_size < self._offset:
                    self._start_anew(identity)
                self._size = status.st_size
                file.seek(self._offset)
                until = time.monotonic() + seconds
                while line := file.readline(_LINE + 1):
                    if not line.endswith(b"\n") and len(line) <= _LINE:
                        break  # it is being written
                    self._take(line)
                    if self.count % 64 == 0 and time.monotonic() > until:
                        return False
        except OSError:
            if self._identity is not None:
                self._start_anew(None)
        return True

    def _take(self, line: bytes) -> None:
        place, self._offset = self._offset, self._offset + len(line)
        try:
            entry = read_line(line, self._names)
        except ValueError:
            return
        if self.count % _LANDMARK == 0:
            self._landmarks.append((entry["images"], place))
        self.count += 1
        self._open.append(entry)
        if len(self._open) >= self.width:
            self._buckets.append(_bucket(self._open))
            self._open = []
            if len(self._buckets) >= _BUCKETS:
                pairs = zip(self._buckets[::2], self._buckets[1::2], strict=True)
                self._buckets = [_joined(*pair) for pair in pairs]
                self.width *= 2
        if self._tell is not None:
            self._tell(entry)

    def part(self, life: int = 0, width: int = 0, start: int = 0) -> Part:
        """What is new to someone who knows the first ``start`` places of this life and width, or all of it."""
        if self._size - self._offset > _LONG:
            return self._glance()
        known = life == self.life and width == self.width and start <= len(self._buckets)
        begin = start if known else 0
        last = [_bucket(self._open)] if self._open else []
        images, figures = _laid_out(self._buckets[begin:] + last, wide=self.width > 1)
        return Part(self.life, self.width, begin, images, figures, self._offset / max(self._size, 1))

    @property
    def places(self) -> int:
        """How many places of ``part`` are as they will stay, until the width changes."""
        return len(self._buckets)

    def window(self, first: int, last: int) -> Part | None:
        """The entries between two numbers of images seen, read again; None where there are too many."""
        low = max(0, bisect.bisect_left(self._landmarks, (first, 0)) - 1)
        high = bisect.bisect_right(self._landmarks, (last, self._size))
        if not self._landmarks or (high - low) * _LANDMARK > _AT_ONCE:
            return None
        inner = Follower(self._path)
        try:
            with open_log(self._path) as file:
                file.seek(self._landmarks[low][1])
                for _ in range((high - low) * _LANDMARK):
                    line = file.readline(_LINE + 1)
                    if not line.endswith(b"\n"):
                        break
                    inner._take(line)
        except OSError:
            return None
        return inner.part()._replace(life=0, done=1.0)

    def _glance(self) -> Part:
        """Single lines from all over a long log, until it is read."""
        return Part(-self.life, 1, 0, *_laid_out([_bucket([entry]) for entry in self._glances()], wide=False),
                    self._offset / max(self._size, 1))  # fmt: skip

    def _glances(self) -> Iterator[Entry]:
        reached = -1
        try:
            with open_log(self._path) as file:
                for step in range(_GLANCES):
                    file.seek(max(0, self._size * step // (_GLANCES - 1) - 2 * 2**10))
                    if step:
                        file.readline(_LINE)
                    try:
                        entry = read_line(file.readline(_LINE), set())
                    except ValueError:
                        continue
                    if entry["images"] > reached:
                        reached = entry["images"]
                        yield entry
                yield from (entry for entry in read_end(self._path) if entry["images"] > reached)
        except OSError:
            return


def _bucket(entries: list[Entry]) -> _Bucket:
    figures: dict[str, tuple[float, float]] = {}
    if len(entries) == 1:
        entry = entries[0]
        pairs = ((name, value) for name, value in entry.items() if name not in _NOT_DRAWN and math.isfinite(value))
        return _Bucket(entry["images"], entry["images"], {name: (value, value) for name, value in pairs})
    for name in {name for entry in entries for name in entry} - _NOT_DRAWN:
        values = [value for entry in entries if (value := entry.get(name)) is not None and math.isfinite(value)]
        if values:
            low, high = min(values), max(values)
            figures[name] = (low, high) if values.index(low) <= values.index(high) else (high, low)
    return _Bucket(entries[0]["images"], entries[-1]["images"], figures)


def _joined(one: _Bucket, two: _Bucket) -> _Bucket:
    figures: dict[str, tuple[float, float]] = {}
    for name in one.figures.keys() | two.figures.keys():
        values = (*one.figures.get(name, ()), *two.figures.get(name, ()))
        low, high = min(values), max(values)
        figures[name] = (low, high) if values.index(low) <= values.index(high) else (high, low)
    return _Bucket(one.first, two.last, figures)


def _laid_out(buckets: list[_Bucket], *, wide: bool) -> tuple[list[int], dict[str, list[float | None]]]:
    ends = (0, 1) if wide else (0,)
    images = [(bucket.first, bucket.last)[end] for bucket in buckets for end in ends]
    names = sorted({name for bucket in buckets for name in bucket.figures})
    figures: dict[str, list[float | None]] = {name: [] for name in names}
    for name, values in figures.items():
        for bucket in buckets:
            pair = bucket.figures.get(name)
            values += [None if pair is None else float(f"{pair[end]:.6g}") for end in ends]
    return images, figures
