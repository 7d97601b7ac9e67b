"""How long work tells the outside how far it is: a bar in a terminal, plain lines in a file, or nothing."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol, TextIO

from saddle.base.streams import outlet
from saddle.base.text import one_line


class Progress(Protocol):
    """Told about one piece of work after the other: ``start``, any number of ``advance``, ``finish``."""

    def start(self, what: str, total: int | None, unit: str, *, done: int = 0) -> None:
        """Begin ``what``, which is ``total`` units long (None: not known), ``done`` of them earlier."""
        ...

    def advance(self, n: int) -> None:
        """``n`` more units are done."""
        ...

    def status(self, text: str) -> None:
        """Figures of the moment, such as losses."""
        ...

    def say(self, text: str) -> None:
        """A message that must be read."""
        ...

    def finish(self) -> None:
        """The work ended, well or not."""
        ...


class Silent:
    """A ``Progress`` that nobody watches."""

    def start(self, what: str, total: int | None, unit: str, *, done: int = 0) -> None:
        pass

    def advance(self, n: int) -> None:
        pass

    def status(self, text: str) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def finish(self) -> None:
        pass


class Lines:
    """Plain lines: one for each status, and one every ten seconds for work that has none."""

    def __init__(self, out: TextIO | None = None, *, seconds: float = 10.0) -> None:
        self._out = outlet(out or sys.stderr)
        self._seconds = seconds
        self.start("", None, "")

    def start(self, what: str, total: int | None, unit: str, *, done: int = 0) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done = self._first = done
        self._began = self._told = time.monotonic()

    def advance(self, n: int) -> None:
        self._done += n
        if time.monotonic() - self._told > self._seconds:
            self._tell("")

    def status(self, text: str) -> None:
        self._tell(text)

    def say(self, text: str) -> None:
        print(one_line(text), file=self._out, flush=True)

    def finish(self) -> None:
        pass

    def _tell(self, text: str) -> None:
        self._told = time.monotonic()
        rate = (self._done - self._first) / max(self._told - self._began, 1e-9)
        line = f"{self._what}  {self._done:,}"
        if self._total is not None:
            # The last batch may go beyond the end.
            left = max(0, self._total - self._done) / rate if rate > 0 else 0.0
            line += f" of {self._total:,} {self._unit}  {rate:,.0f}/s  {duration(left)} left"
        else:
            line += f" {self._unit}  {rate:,.0f}/s"
        self.say(f"{line}  {text}".rstrip())


class Bar:
    """A live bar on a terminal, drawn by rich."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(file=outlet(sys.stderr, raw=True))
        self._live: Any = None
        self._task: Any = None

    def start(self, what: str, total: int | None, unit: str, *, done: int = 0) -> None:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.finish()
        self._live = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn(
                "{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"
                if total
                else "{task.completed:,.0f} {task.fields[unit]}"
            ),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[status]}", markup=False),
            console=self._console,
            refresh_per_second=4,
            redirect_stdout=False,  # what others print is not the bar's own text, and stays out of its stream
            redirect_stderr=False,
        )
        self._task = self._live.add_task(one_line(what), total=total, completed=done, unit=unit, status="", rate="")
        self._live.start()

    def advance(self, n: int) -> None:
        task = self._live.tasks[0]
        speed = f"{task.speed:,.0f}/s" if task.speed else ""
        self._live.update(self._task, advance=n, rate=speed)

    def status(self, text: str) -> None:
        self._live.update(self._task, status=one_line(text))

    def say(self, text: str) -> None:
        self._console.print(one_line(text), highlight=False, markup=False)

    def finish(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def for_stream(stream: TextIO) -> Progress:
    """A bar when ``stream``, which is standard error, is a terminal; else plain lines."""
    stream = outlet(stream)
    return Bar() if stream.isatty() else Lines(stream)


def duration(seconds: float) -> str:
    """Such as 1:02:03, or 4:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
