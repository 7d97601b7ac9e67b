"""The members of a population: each is a run of its own, whose settings follow from the population's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from saddle.config.schema import Config


def varied(config: Config) -> dict[str, tuple[float, ...]]:
    """The numbers of the settings that differ from member to member, by dotted key."""
    return {} if config.vary is None else dict(_leaves(config.vary.model_dump(exclude_none=True)))


def member_config(config: Config, number: int) -> Config:
    """The settings of the run that is member ``number`` of a population, counted from 0.

    Its seed is the population's and ``number``. Whether the settings go together, ``saddle.config.consistent`` asks.
    """
    own = {key: values[number] for key, values in varied(config).items()}
    return _with(config, {**own, "seed": config.seed + number, "members": 1, "vary": None})


def shared_config(config: Config) -> Config:
    """The settings that all members are computed with; of what differs, the largest number, to which factors belong."""
    return _with(config, {key: max(values) for key, values in varied(config).items()}) if config.vary else config


def factors(config: Config) -> dict[str, tuple[float, ...]]:
    """By what the numbers of ``shared_config`` are multiplied for each member: in [0, 1], by dotted key."""
    return {key: tuple(value / (max(values) or 1.0) for value in values) for key, values in varied(config).items()}


def _with(config: Config, changes: Mapping[str, Any]) -> Config:
    tables = config.model_dump(mode="json")
    for key, value in changes.items():
        *above, last = key.split(".")
        table = tables
        for name in above:
            table = table[name]
        table[last] = value
    return Config.model_validate(tables)


def _leaves(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, tuple[float, ...]]]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
