"""Every key of the config: its type in words, its default, what it does, and whether it decides the result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from saddle.config.schedules import CosineSchedule, ExponentialSchedule, LinearSchedule, Schedule
from saddle.config.schema import Config
from saddle.config.section import Role, Section

_FREE = (Role.LENGTH, Role.CHOOSER, Role.THREADS, Role.WATCH, Role.EVENTS, Role.BEST, Role.SCORES)
_EDITABLE = (Role.STEERED, Role.WATCH)
_TAGS = ("family", "kind")  # keys that choose what a section is
_FAR = 1_000  # bounds from here on only keep arithmetic from overflowing, and are not worth telling
_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@dataclass(frozen=True)
class Key:
    """A setting.

    Args:
        path: the dotted key.
        of: the section that it belongs to, such as ``generator.network`` or, of several kinds of one section,
            ``generator.network with family = mlp``; empty for a key at the top.
        about: what that section is.
        kind: its type in words.
        required: whether it has no ``default``.
        help: what it does.
        role: None for a setting that makes a run what it is once and for all.
    """

    path: str
    of: str
    about: str
    kind: str
    required: bool
    default: Any
    help: str
    role: Role | None


@cache
def all_keys() -> tuple[Key, ...]:
    """Every key, section by section. A number that may be a schedule is one key; see ``schedule_keys``."""
    keys = tuple(_keys(Config, "", ""))
    return tuple(sorted(keys, key=lambda key: key.of != ""))  # those at the top first


@cache
def schedule_keys() -> tuple[Key, ...]:
    """The keys of a table that stands in place of a number."""
    kinds = (LinearSchedule, CosineSchedule, ExponentialSchedule)
    return tuple(key for kind in kinds for key in _keys(kind, "", f"schedule with {_tag(kind)}"))


@cache
def _roles() -> dict[str, Role | None]:
    return {key.path: key.role for key in all_keys()}


def role(path: str) -> Role | None:
    """What the setting with this dotted key is for; None where a run is what it makes it, and of unknown keys."""
    return _roles().get(path)


def decides(path: str) -> bool:
    """Whether a setting decides what is trained: a resumed run may not change it."""
    return role(path) not in _FREE


def editable(path: str) -> bool:
    """Whether a setting may change while a run goes on; see ``saddle.config.editing``."""
    return role(path) in _EDITABLE


def identity_of(config: Config) -> str:
    """SHA-256 of the settings that decide a run's result: equal for every part of one run, whatever its length.

    Settings at their defaults are left out, so that a run outlives settings that are new in a later version.
    """
    chosen = dict(_chosen(config))
    for place in ("data.source", "data.inputs", "begin.source"):  # the same may lie at another place
        chosen.pop(place, None)
    return sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def _chosen(section: Section, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a section that decide a result and are not at their defaults, and the kinds of its sections.

    A section whose kind is none, such as one that is new in a later version, is left out.
    """
    tables = section.model_dump(mode="json")
    for name, value in section:
        key, field = f"{prefix}{name}", type(section).model_fields.get(name)
        if isinstance(value, Section):
            yield from _chosen(value, f"{key}.")
        elif decides(key) and ((name in _TAGS and value != "none") or field is None or value != field.default):
            yield key, tables[name]


@cache
def known_tables(model: type[BaseModel] = Config) -> dict[str, Any]:
    """The tree of keys below ``model``: a table for a section (all variants of a union together), None for a leaf."""
    return {
        name: {key: below for section in _sections(field.annotation) for key, below in known_tables(section).items()}
        or None
        for name, field in model.model_fields.items()
    }


def _keys(model: type[BaseModel], prefix: str, of: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        sections = [section for section in _sections(field.annotation) if not issubclass(section, Schedule)]
        for section in sections:
            below = prefix + name
            variant = f"{below} with {_tag(section)}" if len(sections) > 1 else below
            yield from _keys(section, f"{below}.", variant)
        if not sections:
            roles = [mark for mark in field.metadata if isinstance(mark, Role)]
            yield Key(
                path=prefix + name,
                of=of,
                about=(model.__doc__ or "").partition("\n")[0].replace("``", "'"),
                kind=_words(field.annotation, field.metadata),
                required=field.is_required(),
                default=None if field.is_required() else field.default,
                help=" ".join((field.description or "").split()),
                role=roles[0] if roles else None,
            )


def _tag(section: type[BaseModel]) -> str:
    """What chooses a section among its kinds, such as ``family = mlp``."""
    name = next(name for name in _TAGS if name in section.model_fields)
    field = section.model_fields[name]
    return f"{name} = {'one that you registered' if field.is_required() else field.default}"


def _sections(annotation: Any) -> list[type[BaseModel]]:
    leaves = [annotation] if isinstance(annotation, type) else []
    found = [leaf for leaf in leaves if issubclass(leaf, BaseModel)]
    return found + [section for argument in get_args(annotation) for section in _sections(argument)]


def _words(annotation: Any, marks: Any = ()) -> str:
    """A type for people, such as ``integer > 0`` or ``[number, number]``; ``marks`` hold its bounds."""
    arguments = get_args(annotation)
    match get_origin(annotation):
        case origin if origin is Annotated:
            return _words(arguments[0], arguments[1:])
        case origin if origin in (Union, UnionType):
            return " or ".join(dict.fromkeys(map(_words, arguments)))
        case origin if origin is Literal:
            return "|".join(map(str, arguments))
        case origin if origin is tuple:
            if arguments[-1] is Ellipsis:
                return f"list of {_words(arguments[0])}"
            return f"[{', '.join(map(_words, arguments))}]"
        case _:
            names = {int: "integer", float: "number", str: "text", bool: "true or false", NoneType: "none"}
            name = "schedule" if issubclass(annotation, Schedule) else names[annotation]
            return name + ",".join(f" {sign} {bound:g}" for sign, bound in _bounds(marks) if bound < _FAR)


def _bounds(marks: Any) -> Iterator[tuple[str, float]]:
    for mark in marks:
        if isinstance(mark, FieldInfo):
            yield from _bounds(mark.metadata)
        for name, sign in _BOUNDS.items():
            bound = getattr(mark, name, None)
            if isinstance(bound, int | float):
                yield sign, bound
