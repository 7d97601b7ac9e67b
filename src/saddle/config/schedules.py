"""Numbers that may change over a run, as pure functions of images seen: a continued run needs no memory of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, NonNegativeFloat, Tag, model_validator

from saddle.config.section import Count, Fraction, PositiveFinite, Section

# "50%" is a share of the run's length. When the run begins it becomes "50% of 300000", and stays so however long the
# run is continued: what was decided in the past does not change.
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,12})?)%(?: of (\d{1,12}))?", re.ASCII)


def _check_position(position: int | str) -> int | str:
    fits = 0 <= position < 10**12 if isinstance(position, int) else _SHARE.fullmatch(position) is not None
    if not fits:
        raise ValueError(
            "a schedule starts and ends at a number of images seen, or at a share of the run's length such as "
            f'"50%", got {position!r}'
        )
    return position


Position = Annotated[int | str, AfterValidator(_check_position)]


def images_at(position: int | str) -> int:
    """The images seen that a position stands for: a number, or a share of a length, such as ``"50% of 300000"``."""
    if isinstance(position, int):
        return position
    match = _SHARE.fullmatch(position)
    if match is None or match[2] is None:
        raise AssertionError(f"{position!r} is a share of a length that is not known yet")
    return round(float(match[1]) / 100 * int(match[2]))


class LinearSchedule(Section):
    """``value`` until ``start``, then a straight line to ``to`` at ``end``; constant again after that.

    ``start`` and ``end`` are images seen, or shares of the run's length, such as "50%".
    """

    kind: Literal["linear"] = "linear"
    """the form of the schedule"""
    value: NonNegativeFloat
    """the number at the beginning"""
    to: NonNegativeFloat
    """the number at the end"""
    start: Position = 0
    """images seen when it begins to change, or a share of the run's length, such as '50%'"""
    end: Position = "100%"
    """images seen when it has changed, or a share of the run's length"""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        lengths = _length(self.start), _length(self.end)
        if "" in lengths and lengths != ("", ""):
            return self  # nobody can tell yet which comes first
        if lengths[0] is not None and lengths[0] == lengths[1]:  # shares of one length, which may be a short one
            start, end = (float(str(each).partition("%")[0]) for each in (self.start, self.end))
        else:
            start, end = images_at(self.start), images_at(self.end)
        if start >= end:
            raise ValueError(f"a linear schedule must start before it ends, got {self.start} and {self.end}")
        return self

    def at(self, images_seen: int) -> float:
        """The number after ``images_seen``."""
        return self.value + (self.to - self.value) * self._share(images_seen)

    def _share(self, images_seen: int) -> float:
        """How much of the way from ``start`` to ``end`` is behind us, in [0, 1]."""
        start, end = images_at(self.start), images_at(self.end)
        return min(max((images_seen - start) / max(end - start, 1), 0.0), 1.0)


class CosineSchedule(LinearSchedule):
    """As ``linear``, along half a period of a cosine: slow at both ends (Huang et al. 2024, appendix D)."""

    kind: Literal["cosine"] = "cosine"  # pyright: ignore[reportIncompatibleVariableOverride]
    """the form of the schedule"""

    def at(self, images_seen: int) -> float:
        """The number after ``images_seen``."""
        return self.to + (self.value - self.to) * (1 + math.cos(math.pi * self._share(images_seen))) / 2


class ExponentialSchedule(Section):
    """``value`` divided by ``divisor`` for every ``every`` images seen, down to ``minimum``."""

    kind: Literal["exponential"] = "exponential"
    """the form of the schedule"""
    value: NonNegativeFloat
    """the number at the beginning"""
    divisor: Annotated[float, Field(gt=1)]
    """what the number is divided by while `every` images are seen"""
    every: Count
    """images seen until the number is divided once; in between it falls evenly"""
    minimum: NonNegativeFloat = 0.0
    """it does not fall below this"""

    def at(self, images_seen: int) -> float:
        """The number after ``images_seen``."""
        return max(self.value * (1 / self.divisor) ** (images_seen / self.every), self.minimum)


Schedule = LinearSchedule | CosineSchedule | ExponentialSchedule


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("kind", "linear"))
    return value.kind if isinstance(value, Schedule) else NUMBER


NUMBER = "number"  # the tag of a plain number in the unions below; it is no key
_Linear = Annotated[LinearSchedule, Tag("linear")]
_Cosine = Annotated[CosineSchedule, Tag("cosine")]
_Exponential = Annotated[ExponentialSchedule, Tag("exponential")]
_Schedule = _Linear | _Cosine | _Exponential
# Any number of the config that the game or an optimizer reads in each round may be a schedule.
PositiveNumber = Annotated[Annotated[PositiveFinite, Tag(NUMBER)] | _Schedule, Discriminator(_kind)]
NonNegativeNumber = Annotated[Annotated[NonNegativeFloat, Tag(NUMBER)] | _Schedule, Discriminator(_kind)]
FractionNumber = Annotated[Annotated[Fraction, Tag(NUMBER)] | _Schedule, Discriminator(_kind)]


def value_at(number: float | Schedule, images_seen: int) -> float:
    """A number of the config as it stands after ``images_seen``."""
    return number.at(images_seen) if isinstance(number, Schedule) else number


def stays_below_one(number: float | Schedule) -> bool:
    """Whether neither end of a schedule reaches 1."""
    return _largest(number) < 1


def _largest(number: float | Schedule) -> float:
    """The larger end of a schedule."""
    return max(number.value, number.to) if isinstance(number, LinearSchedule) else value_at(number, 0)


def _check_share(number: float | Schedule) -> float | Schedule:
    if _largest(number) > 1:
        raise ValueError(f"a schedule of a probability must stay within 1, got {_largest(number):g}")
    return number


_Share = Annotated[float, Field(gt=0, le=1)]
ShareNumber = Annotated[Annotated[_Share, Tag(NUMBER)] | _Schedule, Discriminator(_kind), AfterValidator(_check_share)]


def fix_shares(tables: Mapping[str, Any], total: int, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which every share of the length is one of ``total`` images seen, or of what was ``recorded``.

    Args:
        tables: the dumped config, nested.
        total: the run's length in images seen.
        recorded: the dumped config that the run began with; empty for a new run.
    """
    fixed: dict[str, Any] = {}
    for key, value in tables.items():
        known = recorded.get(key)
        if isinstance(value, Mapping):
            fixed[key] = fix_shares(value, total, known if isinstance(known, Mapping) else {})
        elif isinstance(value, list):
            pairs = zip(value, known if isinstance(known, list) and len(known) == len(value) else value, strict=True)
            fixed[key] = [
                fix_shares(new, total, old if isinstance(old, Mapping) else {}) if isinstance(new, Mapping) else new
                for new, old in pairs
            ]
        elif "to" in tables and isinstance(value, str) and (match := _SHARE.fullmatch(value)) and match[2] is None:
            same = isinstance(known, str) and known.startswith(f"{value} of ")
            fixed[key] = known if same else f"{value} of {total}"
        else:
            fixed[key] = value
    return fixed


def lengths_in(tables: Mapping[str, Any]) -> set[int]:
    """The lengths that the schedules of a recorded config are shares of; empty without such schedules."""
    found: set[int] = set()
    for value in tables.values():
        if isinstance(value, Mapping):
            found |= lengths_in(value)
        elif isinstance(value, list):
            found |= lengths_in({str(number): each for number, each in enumerate(value) if isinstance(each, Mapping)})
        elif "to" in tables and isinstance(value, str) and (match := _SHARE.fullmatch(value)) and match[2]:
            found.add(int(match[2]))
    return found


def _length(position: int | str) -> str | None:
    """What length a position is a share of: a number, "" while it is not known; None of a number of images."""
    if isinstance(position, int):
        return None
    match = _SHARE.fullmatch(position)
    assert match is not None
    return match[2] or ""
