"""From a recipe's name and some settings to one validated config, and back to TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from saddle.base.opening import open_regular, read_at_most
from saddle.base.suggest import suggest
from saddle.base.text import one_line
from saddle.config.consistent import contradictions
from saddle.config.explain import explain
from saddle.config.schedules import fix_shares
from saddle.config.schema import Config, DataConfig
from saddle.config.section import Section
from saddle.errors import ConfigError

# A later layer that gives one way to write the length replaces the other; a later choice of a tagged section's
# kind starts that section afresh, since the keys of the former kind need not exist in the new one.
_EITHER = ("epochs", "images")
_TAGS = ("family", "kind")
_DEFAULT_TAGS = ("mlp", "adam", "linear")  # what a section is that does not say
_DEEPEST = 16  # tables and lists in each other; no setting needs half of it
_LONGEST = 2**20  # bytes of a file with settings
_DEEP = "it is nested too deeply"
_LARGE_NUMBER = "a number in it needs more than 64 bits"


@dataclass(frozen=True)
class Recipe:
    """A named config. As text it is its name.

    Args:
        name: what it is called on the command line.
        summary: one line on what it is.
        source: the paper, tutorial or measurement that it comes from.
        expected: what a run gives, and how long it takes.
        settings: what the recipe sets, as nested tables.
        url: addresses of the source, as far as they are known.
        published: whether it is a published setting as it stands, with its faults, rather than one of ours.
    """

    name: str
    summary: str
    source: str
    expected: str
    settings: Mapping[str, Any] = field(repr=False)
    url: tuple[str, ...] = ()
    published: bool = False

    def __str__(self) -> str:
        return self.name


def recipe_names() -> list[str]:
    """Names of the recipes that come with saddle, sorted."""
    folder = resources.files("saddle.config") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name: str) -> Recipe:
    """The recipe called ``name``, or the user's own when ``name`` ends in ``.toml``.

    Raises:
        ConfigError: there is no such recipe or file, or it is not TOML.
    """
    if name.endswith(".toml"):
        return _read_recipe(Path(name).stem, _read_toml(Path(name)))
    names = recipe_names()
    if name not in names:
        raise ConfigError(
            f"there is no recipe called {name!r}",
            expected="one of " + ", ".join(names) + ", or the path of a .toml file",
            remedy=suggest(name, names) or "`saddle recipes` lists them",
        )
    text = (resources.files("saddle.config") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    return _read_recipe(name, tomllib.loads(text))


def all_recipes() -> list[Recipe]:
    """The recipes that come with saddle, sorted by name."""
    return [load_recipe(name) for name in recipe_names()]


class _About(BaseModel):
    """The table ``[about]`` of a recipe's file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    summary: str = ""
    source: str = ""
    url: str | list[str] = []
    expected: str = ""
    published: bool = False


def _read_recipe(name: str, table: dict[str, Any]) -> Recipe:
    try:
        about = _About.model_validate(table.pop("about", {}))
    except ValidationError:
        raise ConfigError(
            f"[about] of recipe {name!r} is not valid",
            expected="the texts summary, source and expected; url, a text or a list; published, true or false",
        ) from None
    url = (about.url,) if isinstance(about.url, str) else tuple(about.url)
    return Recipe(name, about.summary, about.source, about.expected, table, url, about.published)


def parse_settings(assignments: Iterable[str]) -> dict[str, Any]:
    """Turn ``["data.size=64", ...]`` into nested tables.

    Values are read as TOML, or as text where they are not TOML; in ``[x,y]`` this goes for each part.

    Raises:
        ConfigError: an assignment without ``=`` or key, nested too deeply, or a number that needs more than 64 bits.
    """
    tables: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts) or len(parts) > _DEEPEST:
            raise ConfigError(
                f"cannot read the setting {one_line(assignment, 200)}", expected="key=value, such as game.r1=10"
            )
        try:
            value = _parse_value(text.strip())
        except ValueError as error:
            raise ConfigError(f"cannot read the setting {one_line(assignment, 200)}", got=error) from None
        tables = _merge(tables, nest(parts, value), afresh=False)
    return tables


def _parse_value(text: str) -> Any:
    try:
        tables = _parse_toml(f"value = {text}")
        return tables["value"] if len(tables) == 1 else text
    except tomllib.TOMLDecodeError:
        inside = text[1:-1]
        if text[:1] + text[-1:] == "[]" and not set(inside) & set("[]{}\"'"):
            return [_parse_value(part.strip()) for part in inside.removesuffix(",").split(",")]
        return text


def _parse_toml(text: str) -> dict[str, Any]:
    """The tables that a text holds.

    Raises:
        TOMLDecodeError: it is no TOML.
        ValueError: it is nested too deeply, or a number in it needs more than TOML's 64 bits.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # of int(), for thousands of digits
        raise ValueError(_LARGE_NUMBER) from None
    except RecursionError:
        raise ValueError(_DEEP) from None
    for value in _values(tables):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(_LARGE_NUMBER)
    return tables


def _values(tables: Mapping[str, Any]) -> Iterator[Any]:
    """Every value at any depth.

    Raises:
        ValueError: they are nested too deeply.
    """
    left: list[tuple[Any, int]] = [(tables, 0)]
    while left:
        value, depth = left.pop()
        if depth > _DEEPEST:
            raise ValueError(_DEEP)
        inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        left += [(each, depth + 1) for each in inside]
        yield value


def nest(parts: list[str], value: Any) -> dict[str, Any]:
    for part in reversed(parts):
        value = {part: value}
    return value


def merge_settings(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Nested tables of one and the same layer, joined; of two values for one key the later wins."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer, afresh=False)
    return merged


def _merge(base: Mapping[str, Any], layer: Mapping[str, Any], *, afresh: bool = True) -> dict[str, Any]:
    """``layer`` over ``base``; ``afresh``: a section whose kind the layer changes keeps nothing of the base."""
    changed = any(
        tag in layer and layer[tag] != base.get(tag) and not (tag not in base and layer[tag] in _DEFAULT_TAGS)
        for tag in _TAGS
    )
    merged = {} if afresh and changed else dict(base)
    for key, value in layer.items():
        known = merged.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(known, value, afresh=afresh)
        else:
            merged[key] = value
    return merged


def resolve(recipe: Recipe, *layers: Mapping[str, Any]) -> Config:
    """Lay ``layers`` over the recipe, later ones winning, and validate.

    Raises:
        ConfigError: every unknown key, wrong type and bad value at once, with the nearest key suggested.
    """
    tables: dict[str, Any] = {**recipe.settings, "recipe": recipe.name}
    for layer in layers:
        if any(key in layer for key in _EITHER):
            tables = {key: value for key, value in tables.items() if key not in _EITHER}
        tables = _merge(tables, layer)
        if "auto" not in layer:
            tables["auto"] = [key for key in tables.get("auto", ()) if not _gives(layer, key)]
    return _validate(tables, f"the settings of recipe {recipe.name!r} are not valid")


def _gives(layer: Mapping[str, Any], key: str) -> bool:
    """Whether a layer has a value for a dotted key, or chooses another kind of a section that the key is in."""
    if key in _EITHER:
        return any(each in layer for each in _EITHER)
    first, _, rest = key.partition(".")
    inside = layer.get(first)
    if not rest or not isinstance(inside, Mapping):
        return first in layer
    return any(tag in inside for tag in _TAGS) or _gives(inside, rest)


def data_config(source: str, settings: Mapping[str, Any]) -> DataConfig:
    """The data section alone, for ``source`` and settings such as ``{"data": {"size": 64}}``.

    Raises:
        ConfigError: as ``resolve``.
    """
    layer = {"recipe": "", "images": 1, "data": {"source": source}}
    return _validate(_merge(layer, settings), "the settings are not valid").data


def load_config(path: Path) -> Config:
    """The config that a run folder recorded in ``path``.

    Raises:
        ConfigError: it is missing, not TOML, or holds settings that this version does not know.
    """
    try:
        tables = _read_toml(path)
        data = tables.get("data")
        if isinstance(data, dict):
            data.setdefault("held_out", 0.0)  # runs from before this setting learned from all of their data
        return _validate(tables, f"{path} is not a config that this version of saddle can read")
    except ConfigError as error:
        raise ConfigError(
            error.what, expected=error.expected, got=error.got, details=error.details,
            remedy="the command that started the run, with another --out, writes this file anew: copy it from there; "
            "or use the version of saddle that made the run",
        ) from None  # fmt: skip


def _validate(tables: Mapping[str, Any], what: str) -> Config:
    try:
        for value in _values(tables):
            if isinstance(value, str):
                value.encode()  # config.toml must be able to hold it
        config = Config.model_validate(tables)
    except ValidationError as error:
        raise _invalid(what, explain(error)) from None
    except UnicodeEncodeError as error:
        raise _invalid(what, [f"expected text in UTF-8, got {error.object!r}"]) from None
    except ValueError as error:
        raise _invalid(what, [str(error)]) from None
    if found := list(contradictions(config)):
        raise _invalid(what, found)
    return config


def _invalid(what: str, findings: Iterable[str]) -> ConfigError:
    return ConfigError(what, details=findings)


def settle(config: Config, changes: Mapping[str, Any], *, total: int, recorded: Config | None = None) -> Config:
    """``config`` with what is known only once the data and the machine are, validated anew.

    Args:
        config: of the run.
        changes: nested tables of what ``auto`` means here, such as ``{"conditional": True}``.
        total: the run's length in images seen; what is written as a share of it becomes a share of this number.
        recorded: the config that the run began with, which such shares are kept from; None for a new run.

    Raises:
        ConfigError: settings that make no sense together now.
    """
    tables = _merge(config.model_dump(mode="json"), changes, afresh=False)
    tables = fix_shares(tables, total, {} if recorded is None else recorded.model_dump(mode="json"))
    return _validate(tables, f"the settings of recipe {config.recipe!r} do not fit these data")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as file:
            return _parse_toml(read_at_most(file, _LONGEST).decode())
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path} cannot be read as TOML", got=reason) from None


def to_toml(config: Config) -> str:
    """``config`` as TOML text, defaults included; settings that are not set, or of no learner here, are left out."""
    unused = {"discriminator", "game"} if config.learner == "likelihood" else set[str]()
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True, exclude=unused))


def inline_toml(value: Any) -> str:
    """A value of a config as TOML on one line, as ``--set`` reads it; none for None."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list() | tuple():
            return f"[{', '.join(map(inline_toml, value))}]"
        case Mapping():
            return f"{{ {', '.join(f'{key} = {inline_toml(each)}' for key, each in value.items())} }}"
        case _:
            return str(value)


def own_settings(recipe: Recipe) -> list[tuple[str, Any]]:
    """What a recipe sets that is not the default anyway, as (dotted key, value).

    Raises:
        ConfigError: the recipe is not valid.
    """
    whole = resolve(recipe)

    def matters(parts: list[str]) -> bool:
        try:
            return resolve(replace(recipe, settings=_without(recipe.settings, parts))) != whole
        except ConfigError:  # it does not do without
            return True

    return [(".".join(parts), value) for parts, value in _leaves(recipe.settings) if matters(parts)]


def _leaves(tables: Mapping[str, Any]) -> Iterator[tuple[list[str], Any]]:
    for key, value in tables.items():
        if isinstance(value, Mapping) and "value" not in value:  # a table with a value is a schedule
            yield from (([key, *parts], leaf) for parts, leaf in _leaves(value))
        else:
            yield [key], value


def _without(tables: Mapping[str, Any], parts: list[str]) -> dict[str, Any]:
    first, *rest = parts
    if rest:
        return {**tables, first: _without(tables[first], rest)}
    return {key: value for key, value in tables.items() if key != first}


def difference(*configs: Section) -> list[tuple[Any, ...]]:
    """Where configs, or sections of one kind, differ, as (dotted key, its value in each).

    None stands where one of them does not have the key.
    """
    tables = [_flatten(config.model_dump(mode="json")) for config in configs]
    keys = dict.fromkeys(key for table in tables for key in table)
    rows = [(key, *(table.get(key) for table in tables)) for key in keys]
    return [row for row in rows if any(value != row[1] for value in row[2:])]


def _flatten(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
