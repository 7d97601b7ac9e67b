"""Scores as they are kept in a run folder and shown to people."""

from __future__ import annotations

import json
import math
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from saddle.base.files import write_text
from saddle.errors import MetricError
from saddle.runs.folder import RunFolder


class Score(BaseModel):
    """One figure of a generator.

    Args:
        metric: its short name; ``title``: in words; ``better``: which way.
        value: mean over the sampling seeds.
        spread: standard deviation over them; None for a single one.
        floor: what real samples score in the place of generated ones, and ``floor_of``: which; None where there are
            none.
        count: samples drawn with each of so many ``seeds``.
        protocol: names how it is computed, such as ``fd-mnist-cnn-v1-10k``.
        data: what the samples are held against: a name and the first digits of the content's fingerprint.
        seconds: to compute it, with the figures that come with it, over all seeds.
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
        """Scores with equal keys are the same figure, measured alike."""
        return self.metric, self.protocol, self.data

    @property
    def times_floor(self) -> float | None:
        """The value over its floor, where both are of equally many samples and lower is better."""
        if self.better != "lower" or not self.floor or self.floor <= 0 or self.metric == "kd":  # kd's aim is 0
            return None
        equal = self.floor_of is not None and self.floor_of.startswith(f"{self.count:,} ")
        return self.value / self.floor if equal and math.isfinite(self.value) else None

    @property
    def full_title(self) -> str:
        """In words and by its short name, such as ``Fréchet distance (fd)``."""
        return self.title if self.title == self.metric else f"{self.title} ({self.metric})"

    @property
    def with_spread(self) -> str:
        """The value for people, such as ``0.528 ± 0.012``."""
        return f"{self.value:.4g}" + ("" if self.spread is None else f" ± {self.spread:.2g}")


class Evaluation(BaseModel):
    """All scores of one generator file.

    Args:
        generator: SHA-256 of the file.
        images_seen: by then.
        scores: of one or more protocols.
        notes: warnings, such as too few samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: str
    images_seen: int
    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, metric: str) -> Score:
        """The score of a figure; of several protocols the last."""
        for score in reversed(self.scores):
            if score.metric == metric:
                return score
        raise KeyError(metric)


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
    rows = [("metric", "value", "floor", "value/floor", "samples", "protocol", "seconds")]
    for score in found.scores:
        times = "" if score.times_floor is None else f"{score.times_floor:.1f}"
        floor = "" if score.floor is None else f"{score.floor:.4g} ({score.floor_of})"
        samples = f"{score.count:,} × {score.seeds}"
        seconds = f"{score.seconds:.1f}"
        rows.append((score.metric, score.with_spread, floor, times, samples, score.protocol, seconds))
    return rows
