"""Settings that change while a run goes on: which ones may, and what the config is then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from saddle.base.text import one_line
from saddle.config.keys import all_keys, editable
from saddle.config.members import varied
from saddle.config.resolve import Recipe, merge_settings, nest, resolve, settle
from saddle.config.schema import Config
from saddle.errors import ConfigError


def edited(config: Config, settings: Mapping[str, Any], total: int | None = None) -> tuple[Config, dict[str, Any]]:
    """A run's config after an edit, validated anew.

    Args:
        config: as it stands.
        settings: what changes, by dotted keys or as nested tables.
        total: the run's length in images seen, which shares of the length in a schedule are shares of; None: it is not
            known here, and they stay as they were written.

    Returns:
        The config, and what was set: whole values by dotted key, as JSON holds them.

    Raises:
        ConfigError: an unknown key, a value that is not valid or makes no sense with the others, or a setting that is
            fixed when a run begins.
    """
    layer = merge_settings(nest(key.split("."), value) for key, value in settings.items())
    keys = list(_keys(layer))
    _check(config, keys)
    changed = resolve(Recipe(config.recipe, "", "", "", config.model_dump(mode="json")), layer)
    if bool(changed.average.half_life) != bool(config.average.half_life):
        raise ConfigError(
            "whether there is an averaged generator is decided when a run begins",
            expected="an average.half_life above 0" if config.average.half_life else "average.half_life = 0, as it is",
            got=settings.get("average.half_life", changed.average.half_life),
        )
    if total is not None:
        changed = settle(changed, {}, total=total)
    tables = changed.model_dump(mode="json")
    return changed, {key: _value(tables, key) for key in keys}


def _check(config: Config, keys: list[str]) -> None:
    """Raises:
    ConfigError: there is nothing to change, or something that must not change.
    """
    if not keys:
        raise ConfigError("there is nothing to change", expected="key=value, such as game.r1=10")
    known = {key.path for key in all_keys()}
    if fixed := [key for key in keys if key in known and not editable(key)]:
        raise ConfigError(
            f"{', '.join(fixed)} cannot change while a run goes on",
            expected="what `saddle settings` says may change while a run goes on, such as learning rates and penalties",
            remedy="train another run with it: saddle train with --set and another --out",
        )
    if own := [key for key in keys if key in varied(config)]:
        raise ConfigError(
            f"the members of this population differ in {', '.join(own)}, and an edit is of all members",
            remedy="take a member out with saddle fork, and edit it then",
        )


def _keys(tables: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys that nested tables give values for: a schedule is one value."""
    known = {key.path for key in all_keys()}
    for name, value in tables.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value and key not in known and len(key) < 200:
            yield from _keys(value, f"{key}.")
        else:
            yield one_line(key, 200)


def _value(tables: Mapping[str, Any], key: str) -> Any:
    value: Any = tables
    for part in key.split("."):
        value = value[part]
    return value
