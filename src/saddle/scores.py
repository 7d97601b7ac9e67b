"""Scores as they are kept in a run folder and shown to people."""

from __future__ import annotations

import json
import math
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from saddle.errors import MetricError
from saddle.files import write_text
from saddle.runs import RunFolder


class Score(BaseModel):
    """One figure of a generator.

    Args:
        metric: its short name; ``title``: in words; ``better``: which way.
        value: mean over the sampling seeds.
        spread: standard deviation over them; None for a single one.
        floor: what real samples score in the place of generated ones, and ``floor_of``: which; None where there are
            none.
        count: samples drawn with each of so many ``seeds``.
        protocol: names everything that decides the value, such as ``fd-mnist-cnn-v1-10k``.
        seconds: to compute it, with the figures that come with it, over all seeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    title: str
    better: Literal["lower", "higher"]
    value: float
    spread: float | None
    floor: float | None
    floor_of: str | None
    count: int
    seeds: int
    protocol: str
    seconds: float

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
        data: what it is held against.
        scores: in the order of ``saddle.metrics.measures.MEASURES``.
        notes: warnings, such as too few samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: str
    images_seen: int
    data: str
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
        new = {(score.metric, score.protocol) for score in found.scores}
        old = tuple(score for score in earlier.scores if (score.metric, score.protocol) not in new)
        kept[name] = found.model_copy(update={"scores": (*old, *found.scores)})
    else:
        kept[name] = found
    text = json.dumps({key: value.model_dump(mode="json") for key, value in kept.items()}, indent=1)
    write_text(run.evaluation, text + "\n")
    return found


def is_stale(run: RunFolder, name: str, found: Evaluation) -> bool:
    """Whether the generator file called ``name`` is no longer the one that was scored."""
    file = run.path / name
    return not file.is_file() or sha256(file.read_bytes()).hexdigest() != found.generator


def table(found: Evaluation) -> list[tuple[str, str, str, str, str, str]]:
    """Rows for people: metric, value with spread, floor, times the floor, samples, protocol."""
    rows = [("metric", "value", "floor", "value/floor", "samples", "protocol")]
    for score in found.scores:
        usable = score.floor is not None and score.floor > 0 and score.better == "lower" and math.isfinite(score.value)
        times = f"{score.value / score.floor:.1f}" if usable and score.floor else ""
        floor = "" if score.floor is None else f"{score.floor:.4g}"
        samples = f"{score.count:,} × {score.seeds}"
        rows.append((score.metric, score.with_spread, floor, times, samples, score.protocol))
    return rows
