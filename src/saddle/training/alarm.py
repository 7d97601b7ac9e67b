"""The alarm of a run: reads each line of its log as it is written, and tells what the rules say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from saddle.base.files import write_text
from saddle.health.rules import Verdict, Watch
from saddle.runs.folder import RunFolder

Say = Callable[[str], None]


class Alarm:
    """Tells verdicts when they change, through ``say`` and in ``alarms.jsonl``.

    Both follow from the log alone, so that a resumed run tells the same.

    Args:
        run: where the log is.
        total: the run's length in images seen.
        say: who is told.
    """

    stopped: str | None = None  # why the run has to end
    act: Callable[[Verdict], None] | None = None  # called with a verdict that something is wrong, when it is told

    def __init__(self, run: RunFolder, total: int, say: Say) -> None:
        self._run = run
        self._total = total
        self._say = say
        self.watch = Watch(total)

    def begin(self, log: Iterable[Mapping[str, Any]]) -> None:
        """The run goes on after these lines: what they say was told before."""
        self.watch = Watch(self._total)
        lines = [self._read(entry)[1] for entry in log]
        told = [line for line in lines if line is not None]
        if told or self._run.alarms.exists():
            write_text(self._run.alarms, "".join(f"{json.dumps(line)}\n" for line in told))
        if lines and lines[-1] is not None:  # the run may have been ended before it could act on it
            self._answer(self.watch.verdict)

    def add(self, entry: Mapping[str, Any]) -> Verdict:
        """The verdict after another line, which is told if it is new."""
        verdict, line = self._read(entry)
        if line is not None:
            self._run.append_alarm(line)
            self._say(f"after {verdict.images:,} images: {' '.join(filter(None, (line['words'], verdict.advice)))}")
            self._answer(verdict)
        return verdict

    def _answer(self, verdict: Verdict) -> None:
        if self.act is not None and verdict.is_alarm:
            self.act(verdict)

    def _read(self, entry: Mapping[str, Any]) -> tuple[Verdict, dict[str, Any] | None]:
        """The verdict after an entry, and what has to be told of it, if anything."""
        before, verdict = self.watch.verdict, self.watch.add(entry)
        told = verdict.kind != before.kind and (verdict.is_alarm or before.is_alarm or verdict.kind == "past its best")
        if not told:
            return verdict, None
        words = verdict.words if verdict.kind != "learning" else f"It is learning again, no longer {before.kind}."
        evidence = {name: round(value, 6) for name, value in verdict.evidence.items()}
        return verdict, {"images": verdict.images, "verdict": verdict.kind, "words": words} | evidence
