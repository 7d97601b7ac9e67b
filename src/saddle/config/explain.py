"""Pydantic's findings in plain words: the dotted key, what was expected, what was given, the nearest key."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError

from saddle.base.suggest import suggest
from saddle.base.text import one_line
from saddle.config.keys import known_tables
from saddle.config.schedules import NUMBER

_MOST = 20  # findings that are told


def explain(error: ValidationError) -> list[str]:
    """One line for every finding."""
    lines: dict[str, None] = {}  # a dict, since a union reports the same key once for each of its types
    by_key: dict[str, list[Any]] = {}
    for finding in error.errors(include_url=False):
        by_key.setdefault(_dotted(finding["loc"]), []).append(finding)
    for key, findings in islice(by_key.items(), _MOST):
        lines[_explain_key(key, findings)] = None
    return [*lines, *([f"and {len(by_key) - _MOST:,} more"] if len(by_key) > _MOST else [])]


def _explain_key(key: str, findings: list[Any]) -> str:
    first = findings[0]
    if first["type"] == "extra_forbidden" and key in _paths(known_tables()):
        return f"{key}: not a setting of the family or kind chosen here"
    if first["type"] == "extra_forbidden":
        return f"unknown key {_shown(key)}{_suggestion(key)}"
    if first["type"] == "missing":
        return f"{key} is missing"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "union_tag_invalid":
        return f"{key}: expected one of {first['ctx']['expected_tags']}, got {_shown(first['ctx']['tag'])}"
    if first["type"] == "union_tag_not_found":
        return f"{key}: expected a table, got {_shown(first['input'])}"
    # The findings of one key are the alternatives of a union: "an integer, or 'auto'".
    expected = " or ".join(dict.fromkeys(_lower(finding["msg"]) for finding in findings))
    return f"{key}: expected {expected}, got {_shown(first['input'])}"


# What pydantic calls the types, and what a user of TOML calls them.
_WORDS = {
    "a valid integer": "a whole number",
    "a valid tuple": "a list, such as [64, 96]",
    "a valid number": "a number",
    "a valid string": "a text",
    "a valid boolean": "true or false",
}


def _shown(value: Any) -> str:
    return one_line(repr(value), 200)


def _lower(message: str) -> str:
    message = message.removeprefix("Input should be ").partition(", unable to")[0].partition(", got ")[0]
    if "dictionary or instance" in message:
        return "a table"
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return message[0].lower() + message[1:] if message else message


def _dotted(location: tuple[int | str, ...]) -> str:
    """The key as the user wrote it. Pydantic puts union tags and type names into the location: they are not keys."""
    tables: dict[str, Any] | None = known_tables()
    parts: list[str] = []
    for part in location:
        if isinstance(part, int):
            continue
        if tables is None:  # below a leaf there are only the names of the types that were tried
            break
        if part in tables:
            parts.append(part)
            tables = tables[part]
        elif part == location[-1] and part not in (NUMBER, "linear", "exponential"):
            parts.append(part)
    return ".".join(parts)


def suggest_key(key: str) -> str | None:
    """The remedy for a key that is not known: the nearest one; None where nothing is near."""
    every_key = _paths(known_tables())
    parent, _, last = key.rpartition(".")
    siblings = {path.rpartition(".")[2]: path for path in every_key if path.rpartition(".")[0] == parent}
    anywhere = {path.rpartition(".")[2]: path for path in reversed(every_key)}  # of several the first
    return suggest(last, siblings, shown=siblings) or suggest(last, anywhere, shown=anywhere) or suggest(key, every_key)


def _suggestion(key: str) -> str:
    if remedy := suggest_key(key):
        return f"; {remedy}"
    parent = key.rpartition(".")[0]
    siblings = [path.rpartition(".")[2] for path in _paths(known_tables()) if path.rpartition(".")[0] == parent]
    return f"; known here: {', '.join(sorted(siblings))}" if siblings else ""


def _paths(tables: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, below in tables.items():
        found.append(prefix + key)
        if below is not None:
            found += _paths(below, f"{prefix}{key}.")
    return found
