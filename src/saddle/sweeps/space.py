"""The settings that a sweep varies: how they are written, and what is wrong with them before anything is trained."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from saddle.config import Config, Recipe, decides, parse_settings, resolve
from saddle.config.explain import suggest_key
from saddle.config.keys import all_keys, role
from saddle.config.resolve import inline_toml
from saddle.config.section import Role
from saddle.errors import ConfigError

_EXPECTED = "KEY=LOW..HIGH, KEY=LOW..HIGH log or KEY=[A,B,C], such as game.r1=0.01..10 log"
_COMBINATIONS = 2_000  # of ends and choices that are validated together; it takes a fraction of a second
_FEW = 100  # combinations of choices that are gone through, each once
_MOST = 20  # findings that are told


@dataclass(frozen=True)
class Range:
    """All numbers from ``low`` to ``high``, both included, whole ones where both are integers.

    Args:
        low, high: the ends.
        log: whether orders of magnitude are drawn evenly, rather than the numbers themselves.
    """

    low: int | float
    high: int | float
    log: bool = False

    @property
    def corners(self) -> tuple[Any, ...]:
        return self.low, self.high

    def holds(self, value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        ends = (str(end).removesuffix(".0") for end in (self.low, self.high))
        return "..".join(ends) + (" log" if self.log else "")


@dataclass(frozen=True)
class Choices:
    """Two values or more, none of them nearer to the next than to the others."""

    values: tuple[Any, ...]

    @property
    def corners(self) -> tuple[Any, ...]:
        return self.values

    def holds(self, value: Any) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return inline_toml(self.values)


Space = Mapping[str, Range | Choices]  # by dotted key


def parse_over(assignments: Iterable[str]) -> dict[str, str]:
    """Turn ``["game.r1=0.01..10 log", ...]`` into what ``parse_space`` takes.

    Raises:
        ConfigError: one without ``=`` or key, or a key that is given twice.
    """
    found: dict[str, str] = {}
    for assignment in assignments:
        key, equals, text = (part.strip() for part in assignment.partition("="))
        if not equals or not key:
            raise ConfigError(f"cannot read --over {assignment}", expected=_EXPECTED)
        if key in found:
            raise ConfigError(f"--over {key} is given twice")
        found[key] = text
    return found


def parse_space(over: Mapping[str, str | Sequence[Any]], settings: Mapping[str, Any]) -> dict[str, Range | Choices]:
    """The search space, with everything checked that its keys alone tell.

    Args:
        over: by dotted key, a text as on the command line (``"0.01..10 log"``, ``"[a,b]"``), or a list of choices.
        settings: what is fixed for all trials, nested.

    Raises:
        ConfigError: every key and range that makes no sense, at once.
    """
    if not over:
        raise ConfigError("a sweep needs at least one setting to vary", expected=f"--over {_EXPECTED}")
    space: dict[str, Range | Choices] = {}
    findings: list[str] = []
    for key, given in over.items():
        try:
            _check_key(key, settings)
            space[key] = _read(key, given)
        except ValueError as error:
            findings.append(f"{key}: {error}")
    if findings:
        raise _invalid(findings)
    return space


def check_values(recipe: Recipe, layers: Sequence[Mapping[str, Any]], space: Space) -> Config:
    """Validate the ends of ranges and the choices, alone and in combination with each other.

    Returns:
        The config without them, or with the first of them where it makes no sense without.

    Raises:
        ConfigError: values that the settings do not take, and combinations that make no sense.
    """
    findings: dict[str, None] = {}
    for values in _combinations(space):
        try:
            resolve(recipe, *layers, as_layer(values))
        except ConfigError as error:
            findings |= dict.fromkeys(error.details or (error.what,))
    if findings:
        raise _invalid(findings)
    try:
        return resolve(recipe, *layers)
    except ConfigError:
        return resolve(recipe, *layers, as_layer({key: values.corners[0] for key, values in space.items()}))


def all_of(space: Space, seed: int, first: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of a space that has but few, ``first`` first, then in random order; none of other spaces."""
    if not all(isinstance(values, Choices) for values in space.values()):
        return []
    choices = [values.corners for values in space.values()]
    if math.prod(map(len, choices)) > _FEW:
        return []
    combinations = [dict(zip(space, values, strict=True)) for values in product(*choices)]
    random.Random(seed).shuffle(combinations)
    return sorted(combinations, key=lambda values: values != first)


def as_layer(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted key as the nested tables that ``resolve`` takes."""
    tables: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        table = tables
        for part in parents:
            table = table.setdefault(part, {})
        table[last] = value
    return tables


def own_values(config: Config, keys: Iterable[str]) -> dict[str, Any]:
    """What ``config`` itself has for these keys; None where it has no such key."""
    tables = config.model_dump(mode="json")
    return {key: _at(tables, key) for key in keys}


def _check_key(key: str, settings: Mapping[str, Any]) -> None:
    """Raises ValueError: it is no setting that a sweep can vary."""
    paths = dict.fromkeys(each.path for each in all_keys())
    if key not in paths:
        if within := [path for path in paths if path.startswith(f"{key}.")]:
            raise ValueError(f"this is a section; its settings are {', '.join(within)}")
        if schedule := [path for path in paths if key.startswith(f"{path}.")]:
            raise ValueError(f"give whole schedules as choices of {schedule[0]}: [{{ value = 1, to = 0 }}, ...]")
        raise ValueError("there is no such setting; " + (suggest_key(key) or "`saddle settings` lists them"))
    if key.startswith("data.") and key != "data.labelled":
        raise ValueError("a sweep cannot vary the data: scores on different data cannot be compared")
    if role(key) is Role.SEED:
        raise ValueError("the trials of a sweep share one seed, so that they differ in nothing but the settings")
    if role(key) is Role.LENGTH:
        raise ValueError("trials of different length cannot be compared; give one length with --set")
    if key == "members" or key.startswith("vary."):
        raise ValueError("a trial is a single run, and no population")
    if not decides(key) or key == "device":
        raise ValueError("this setting does not decide what is trained; give it with --set")
    if _at(settings, key, missing=_MISSING) is not _MISSING:
        raise ValueError("it is set and varied at the same time")


def _read(key: str, given: str | Sequence[Any]) -> Range | Choices:
    """Raises ValueError: it is neither a range nor choices."""
    if not isinstance(given, str):
        return _choices(given)
    text = given.strip()
    if text.startswith("["):
        try:
            value = _at(parse_settings([f"{key}={text}"]), key)
        except ConfigError as error:
            raise ValueError(f"cannot read {text}: {error.got or error.what}") from None
        if isinstance(value, list):
            return _choices(value)
    low, dots, rest = text.partition("..")
    high, *words = rest.split() or [""]
    if not dots or words not in ([], ["log"]):
        raise ValueError(f"expected LOW..HIGH, LOW..HIGH log or [A,B,C], got {text or 'nothing'}")
    return _range(key, _number(low), _number(high), log=bool(words))


def _choices(values: Sequence[Any]) -> Choices:
    texts = [inline_toml(value) for value in values]
    if len(set(texts)) < max(2, len(texts)):
        raise ValueError(f"expected two choices or more, each once, got [{', '.join(texts)}]")
    return Choices(tuple(values))


def _range(key: str, low: int | float, high: int | float, *, log: bool) -> Range:
    kinds = [kind for each in all_keys() if each.path == key for kind in each.kind.split(" or ")]
    if not any(kind.startswith(("number", "integer")) for kind in kinds):
        raise ValueError(f"a range needs a setting that is a number, and this is {' or '.join(kinds)}: give [A,B,C]")
    if any(kind.startswith("number") for kind in kinds):
        low, high = float(low), float(high)
    elif isinstance(low, float) or isinstance(high, float):
        raise ValueError(f"this setting is an integer, and so must be the ends of its range, got {low}..{high}")
    if not low < high:
        raise ValueError(f"a range goes up, from its low end to its high end, got {low}..{high}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range begins above 0, got {low}..{high} log")
    return Range(low, high, log)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"expected a number at each end of the range, got {text.strip() or 'nothing'!r}") from None
    if not math.isfinite(value):
        raise ValueError(f"the ends of a range are finite, got {text.strip()}")
    return value


def _combinations(space: Space) -> Iterator[dict[str, Any]]:
    """Ends and choices together: all combinations, or many of them, each value among them."""
    corners = [values.corners for values in space.values()]
    if math.prod(map(len, corners)) <= _COMBINATIONS:
        chosen: Iterator[Sequence[Any]] = iter(product(*corners))
    else:
        draws = random.Random(0)
        often = range(max(_COMBINATIONS, *map(len, corners)))
        # Each value of a setting has its turn; which values of the others meet it is left to chance.
        orders = [
            [draws.sample(values, len(values)) for _ in range(len(often) // len(values) + 1)] for values in corners
        ]
        chosen = zip(*([value for order in of_one for value in order] for of_one in orders), strict=False)
        chosen = islice(chosen, len(often))
    yield from (dict(zip(space, values, strict=True)) for values in chosen)


_MISSING = object()


def _at(tables: Mapping[str, Any], key: str, *, missing: Any = None) -> Any:
    value: Any = tables
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return missing
        value = value[part]
    return value


def _invalid(findings: Iterable[str]) -> ConfigError:
    lines = list(findings)
    more = [f"and {len(lines) - _MOST:,} more"] if len(lines) > _MOST else []
    return ConfigError("these settings and ranges are not valid", details=[*lines[:_MOST], *more])
