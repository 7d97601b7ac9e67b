"""The form that starts a run, and the processes that train: they belong to nobody and outlive the server."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saddle.base.files import unwritable
from saddle.base.text import one_line
from saddle.config import Config, all_recipes, load_recipe, parse_settings, recipe_names, resolve
from saddle.config.keys import all_keys
from saddle.errors import ConfigError, RunError
from saddle.studio.answers import Refused
from saddle.studio.describing import OUTPUT, belongs, ends_of, shown, start_words
from saddle.studio.library import Library

_PART = re.compile(r"[^\W_][\w .+=,@-]*")  # of a run's name
_DEEPEST = 4
# Settings that --set gives, but that the form has fields of their own for.
_OWN = {"data.source": "--data", "seed": "--seed"}
_NOT_ASKED = ("recipe", "auto", "data.fingerprint")


def recipes() -> list[dict[str, Any]]:
    """The recipes, with what they say of themselves."""
    return [
        {"name": recipe.name, "summary": recipe.summary, "expected": recipe.expected, "source": recipe.source}
        for recipe in all_recipes()
    ]


def form(recipe: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a recipe with what was given, and what is wrong with that, each finding beside its setting.

    Args:
        recipe: its name.
        given: texts by dotted key, as behind ``--set``.

    Raises:
        Refused: there is no such recipe.
    """
    _check_recipe(recipe)
    errors, others = dict[str, str](), list[str]()
    accepted: dict[str, str] = {}
    config = _resolved(recipe, {})
    try:
        config = _resolved(recipe, given)
    except ConfigError as error:
        for finding in error.details or (error.what,):
            _place(finding, given, errors, others)
        for key, text in given.items():  # those that make sense are kept, so that the form shows what belongs to them
            try:
                config = _resolved(recipe, {**accepted, key: text})
                accepted[key] = text
            except ConfigError:
                continue
    return {"recipe": recipe, "settings": _fields(config), "errors": errors, "others": others}


def start(library: Library, recipe: str, out: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Start a run in a process of its own.

    Args:
        library: where it is.
        recipe: a name.
        out: what the run is called: a new folder below the library's.
        given: texts by dotted key.

    Raises:
        ConfigError: the settings are not valid.
        Refused: there is no such recipe, or the name cannot be one, or is in use.
    """
    _check_recipe(recipe)
    _resolved(recipe, given)
    path = new_place(library, out)
    words = ["train", recipe]
    for key, text in given.items():
        words += [f"{_OWN[key]}={text}"] if key in _OWN else ["--set", f"{key}={text}"]
    return _launch(library, path, [*words, "--out", str(path)])


def resume(library: Library, name: str) -> dict[str, Any]:
    """Train a stopped run on, in a process of its own.

    Raises:
        RunError: its command does not tell how, or somebody trains it.
    """
    run = library.find(name)
    config, status = library.status(run)
    words = start_words(run, config)
    if status.is_held:
        raise RunError("this run is being trained already", got=status.state)
    if words is None:
        raise RunError(
            "this run cannot be resumed from here", remedy="use the command that made it, or the Python call"
        )
    return _launch(library, run.path, words)


def new_place(library: Library, name: str) -> Path:
    """The folder of a run that is to be made.

    Raises:
        Refused: the name cannot be one, or is in use.
    """
    parts = name.split("/")
    if not parts or len(parts) > _DEEPEST or not all(_PART.fullmatch(part) and len(part) <= 100 for part in parts):
        raise Refused(
            422,
            "a run cannot be called so",
            expected="letters, digits, spaces and . + = , @ _ -, beginning with a letter or digit; / makes folders",
            got=repr(one_line(name, 100)),
        )
    path = library.place(name)
    if os.path.lexists(path) and not _is_left(path):
        raise Refused(409, "there is something of this name", got=name, remedy="choose another name")
    for parent in path.parents:
        if parent == library.folder:
            break
        if os.path.lexists(parent / "config.toml"):
            raise Refused(422, "a run cannot lie in another one", got=name, remedy="choose another name")
    return path


def started(library: Library, name: str) -> dict[str, Any]:
    """What has become of a run that was started: whether it is there, and what its process has printed."""
    path = library.place(name)
    process = PROCESSES.get(str(path))
    code = None if process is None else process.poll()
    return {"there": os.path.lexists(path / "config.toml"), "ended": code, "output": ends_of(path / OUTPUT)}


def _is_left(path: Path) -> bool:
    """Whether a folder holds nothing but what a training has said that ended before it began."""
    running = (process := PROCESSES.get(str(path))) is not None and process.poll() is None
    return path.is_dir() and not running and {file.name for file in path.iterdir()} <= {OUTPUT}


PROCESSES: dict[str, subprocess.Popen[bytes]] = {}  # those of this server, which learns so how they ended


def _launch(library: Library, path: Path, words: Sequence[str]) -> dict[str, Any]:
    for name, process in list(PROCESSES.items()):
        if process.poll() is not None and name != str(path):
            del PROCESSES[name]
    try:
        path.mkdir(parents=True, exist_ok=True)
        output = path / OUTPUT
        output.unlink(missing_ok=True)  # perhaps it is a link
        with output.open("xb") as file:
            PROCESSES[str(path)] = subprocess.Popen(
                [sys.executable, "-m", "saddle", *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # what ends the server does not end it
            )
    except OSError as error:
        raise unwritable(path, error) from None
    name = path.relative_to(library.folder).as_posix()
    return {"name": name, "command": shlex.join(["saddle", *words])}


def _resolved(recipe: str, given: Mapping[str, str]) -> Config:
    return resolve(load_recipe(recipe), parse_settings(f"{key}={text}" for key, text in given.items()))


def _check_recipe(name: str) -> None:
    if name not in recipe_names():
        raise Refused(404, "there is no such recipe", got=one_line(name, 100))


def _fields(config: Config) -> list[dict[str, Any]]:
    """All settings that a config has, with their values."""
    tables = config.model_dump(mode="json")
    return [shown(key, tables) for key in all_keys() if key.path not in _NOT_ASKED and belongs(key, tables)]


def _place(finding: str, given: Mapping[str, str], errors: dict[str, str], others: list[str]) -> None:
    """Put a finding beside the setting that it is about: one that was given, or any that it names."""
    named = [key for key in sorted(given, key=len, reverse=True) if key in finding]
    if not named:
        named = [key.path for key in all_keys() if finding.startswith(f"{key.path}:")]
    if named:
        errors.setdefault(named[0], finding.removeprefix(f"{named[0]}: "))
    else:
        others.append(finding)
