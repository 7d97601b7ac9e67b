"""Scores as they are kept in a run folder and shown to people."""

from __future__ import annotations

import json
import math
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from saddle.base.columns import aligned
from saddle.base.files import write_text
from saddle.errors import MetricError
from saddle.runs.folder import RunFolder

# These come out the same, on average, for any number of samples.
_ANY_COUNT = frozenset({"kd", "agreement", "copies"})


class Score(BaseModel):
    """One score of a generator.

    Args:
        metric: its short name; ``title``: in words; ``better``: which way is better.
        value: the mean over the sampling seeds.
        spread: the standard deviation over them; None for a single one.
        floor: what real samples score in the place of generated ones; None if there are none.
        floor_of: how many real samples these are, and of what kind, such as ``297 held-out samples``.
        count: how many samples were drawn with each of the ``seeds``.
        protocol: names how it is computed, such as ``fd-mnist-cnn-v1-10k``.
        data: what the samples are compared with: a name and the first digits of the content's fingerprint.
        seconds: how long it took, with the scores that are computed together with it, over all seeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    title: str
    better: Literal["lower", "higher"] | None
    value: float
    spread: float | None
    floor: float | None
    floor_of: str | None
    count: int
    seeds: int
    protocol: str
    data: str
    seconds: float

    @property
    def key(self) -> tuple[str, str, str]:
        """Scores with equal keys are the same metric, measured alike."""
        return self.metric, self.protocol, self.data

    @property
    def times_floor(self) -> float | None:
        """The value over its floor, where both are of equally many samples and lower is better."""
        if self.better != "lower" or not self.floor or self.floor <= 0 or self.metric == "kd":  # kd's aim is 0
            return None
        return self.value / self.floor if self._equally_many and math.isfinite(self.value) else None

    @property
    def few_in_floor(self) -> bool:
        """Whether the floor is of too few samples to be compared with the value."""
        return self.floor is not None and not self._equally_many and self.metric not in _ANY_COUNT

    @property
    def _equally_many(self) -> bool:
        return self.floor_of is not None and self.floor_of.startswith(f"{self.count:,} ")

    @property
    def note(self) -> str:
        """How to read the value beside its floor, in few words; empty where ``times_floor`` says it."""
        if self.better is None or self.times_floor is not None:
            return ""
        if self.floor is None:
            return "no floor"
        if self.few_in_floor:
            return f"{self.better} is better; floor of too few samples"
        return "0 is best" if self.metric == "kd" else f"{self.better} is better"

    @property
    def full_title(self) -> str:
        """In words and by its short name, such as ``Fréchet distance (fd)``."""
        return self.title if self.title == self.metric else f"{self.title} ({self.metric})"

    @property
    def with_spread(self) -> str:
        """The value for people, such as ``0.528 ± 0.012``."""
        return f"{self.value:.4g}" + ("" if self.spread is None else f" ± {self.spread:.2g}")


class Evaluation(BaseModel):
    """All scores of one generator file; printed, they are a table.

    Args:
        generator: SHA-256 of the file.
        images_seen: how many images it had learned from.
        scores: of one or more protocols.
        notes: warnings, such as too few samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: str
    images_seen: int
    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, metric: str) -> Score:
        """The score of a metric; of several protocols the last.

        Raises:
            KeyError: there is none.
        """
        for score in reversed(self.scores):
            if score.metric == metric:
                return score
        raise KeyError(metric)

    def __str__(self) -> str:
        return "\n".join([aligned(table(self)), *self.footnotes, *self.notes])

    def rows(self) -> list[dict[str, Any]]:
        """One dict for each score, as ``pandas.DataFrame`` takes them: all of ``Score``, and its ``times_floor``."""
        return [score.model_dump() | {"times_floor": score.times_floor} for score in self.scores]

    @property
    def footnotes(self) -> list[str]:
        """Sentences for below the table: which floors cannot be compared with their values, and what to do."""
        few: dict[tuple[str, int], list[str]] = {}
        for score in self.scores:
            if score.few_in_floor and score.floor_of is not None and score.better is not None:
                few.setdefault((score.floor_of, score.count), []).append(score.metric)
        return [
            f"The floor of {', '.join(metrics)} is of {floor_of}: too few to compare with {count:,}; "
            f"--count {floor_of.partition(' ')[0].replace(',', '')} scores as many."
            for (floor_of, count), metrics in few.items()
        ]


def read_evaluations(run: RunFolder) -> dict[str, Evaluation]:
    """What ``evaluate`` kept in a run folder, by the generator file's name; empty before.

    Raises:
        MetricError: the file is damaged.
    """
    if not run.evaluation.is_file():
        return {}
    try:
        raw: dict[str, Any] = json.loads(run.evaluation.read_text(encoding="utf-8"))
        return {name: Evaluation.model_validate(value) for name, value in raw.items()}
    except (ValidationError, ValueError, AttributeError) as error:
        raise MetricError(f"{run.evaluation} is damaged", got=error, remedy="delete it and evaluate again") from None


def keep_scores(run: RunFolder, name: str, found: Evaluation) -> Evaluation:
    """Add to the scores in the run folder; scores of the same file by other protocols stay."""
    kept = read_evaluations(run)
    earlier = kept.get(name)
    if earlier is not None and earlier.generator == found.generator:
        new = {score.key for score in found.scores}
        old = tuple(score for score in earlier.scores if score.key not in new)
        # What an earlier evaluation had to leave out says nothing about this one.
        lasting = [note for note in earlier.notes if not note.startswith("without ")]
        notes = tuple(dict.fromkeys((*lasting, *found.notes)))
        kept[name] = found.model_copy(update={"scores": (*old, *found.scores), "notes": notes})
    else:
        kept[name] = found
    text = json.dumps({key: value.model_dump(mode="json") for key, value in kept.items()}, indent=1)
    write_text(run.evaluation, text + "\n")
    return found


def is_stale(run: RunFolder, name: str, found: Evaluation) -> bool:
    """Whether the generator file called ``name`` is no longer the one that was scored."""
    file = run.path / name
    return not file.is_file() or sha256(file.read_bytes()).hexdigest() != found.generator


def table(found: Evaluation) -> list[tuple[str, ...]]:
    """Rows for people, a line of names first."""
    rows = [("metric", "value", "floor", "value/floor", "samples", "protocol", "seconds", "note")]
    for score in found.scores:
        times = "" if score.times_floor is None else f"{score.times_floor:.1f}"
        floor = "" if score.floor is None else f"{score.floor:.4g} ({score.floor_of})"
        samples = f"{score.count:,} × {score.seeds}"
        seconds = f"{score.seconds:.1f}"
        rows.append((score.metric, score.with_spread, floor, times, samples, score.protocol, seconds, score.note))
    return rows
