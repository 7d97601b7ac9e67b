"""Scores as they are kept in a run folder and shown to people."""

from __future__ import annotations

import json
import math
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from saddle.base.columns import aligned
from saddle.base.files import write_text
from saddle.base.opening import open_regular
from saddle.base.text import one_line
from saddle.errors import RunError, SaddleError
from saddle.runs.folder import RunFolder
from saddle.runs.lock import locked
from saddle.runs.reading import Say, read_object, say_left_out, unsaid

Count = Annotated[int, Field(ge=0, lt=2**63)]

_FILE_SIZE = 2**22  # bytes of evaluation.json
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
    count: Count
    seeds: Count
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
    images_seen: Count
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


def read_evaluations(run: RunFolder, say: Say = unsaid) -> dict[str, Evaluation]:
    """What ``evaluate`` kept in a run folder, by the generator file's name; empty before.

    What is damaged is left out, and ``say`` is told: scores can be had again.
    """
    found: dict[str, Evaluation] = {}
    wrong: list[str] = []
    for name, raw in read_object(run.evaluation, _FILE_SIZE, say).items():
        try:
            if Path(name).name != name:
                raise ValueError("this is not the name of a file")
            # As JSON, since only there a strict model takes a list for a tuple.
            found[name] = Evaluation.model_validate_json(json.dumps(raw), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            wrong.append(_left_out(name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"))
        except (ValueError, RecursionError) as error:
            wrong.append(_left_out(name, str(error)))
    say_left_out(run.evaluation, wrong, say)
    return found


def _left_out(name: str, why: str) -> str:
    return f"the scores of {one_line(name, 100)} are left out ({one_line(why, 200)})"


def check_keepable(run: RunFolder, say: Say = unsaid) -> None:
    """Find out before the work whether scores can be kept in the run folder.

    Raises:
        RunError: they cannot.
    """
    try:
        with _alone(run, say), open_regular(run.evaluation):
            pass
    except FileNotFoundError:
        return
    except (OSError, SaddleError) as error:
        got = error.got if isinstance(error, SaddleError) else error.strerror
        raise RunError(
            f"scores cannot be kept in {run.path}",
            expected=f"a folder that may be written to, in which {run.evaluation.name} is a regular file or missing",
            got=error.what if isinstance(error, SaddleError) and got is None else got,
            remedy="change that, or copy the run to a place of yours",
        ) from None


def keep_scores(run: RunFolder, name: str, found: Evaluation, say: Say = unsaid) -> Evaluation:
    """Add to the scores in the run folder; scores of the same file by other protocols stay.

    Another process that does the same is waited for. What is damaged is put aside.

    Raises:
        SaddleError: they cannot be written.
    """
    with _alone(run, say):
        for leftover in run.path.glob(f".{run.evaluation.stem}.*.partial.json"):  # of processes that were killed
            leftover.unlink(missing_ok=True)
        damage: list[str] = []
        kept = read_evaluations(run, damage.append)
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
        if damage:
            aside = run.evaluation.with_suffix(".damaged")
            run.evaluation.replace(aside)
            say(f"the damaged {run.evaluation} is put aside as {aside.name}")
        text = json.dumps({key: value.model_dump(mode="json") for key, value in kept.items()}, indent=1)
        write_text(run.evaluation, text + "\n")
    return found


@contextmanager
def _alone(run: RunFolder, say: Say) -> Generator[None]:
    """Hold the lock of the kept scores; another process that holds it is waited for."""
    with locked(run.evaluation_lock, lambda: say(f"waiting for another process that changes {run.evaluation}")):
        try:
            yield
        finally:
            run.evaluation_lock.unlink(missing_ok=True)


def digest_of(file: Path) -> str | None:
    """The SHA-256 of a file; None where there is no such file."""
    try:
        with open_regular(file) as content:
            return file_digest(content, "sha256").hexdigest()
    except OSError:
        return None


def is_stale(run: RunFolder, name: str, found: Evaluation) -> bool:
    """Whether the generator file called ``name`` is no longer the one that was scored."""
    return digest_of(run.path / name) != found.generator


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
