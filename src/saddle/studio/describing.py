"""What the page of one run says, apart from its curves and pictures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saddle.base.text import one_line
from saddle.config import Config, recipe_names, to_toml
from saddle.config.keys import Key, all_keys, editable
from saddle.config.members import varied
from saddle.config.resolve import inline_toml
from saddle.data.named.points import is_points
from saddle.runs.edits import config_after, in_force, in_words, read_edits, read_parent
from saddle.runs.folder import RunFolder
from saddle.runs.reading import read_text
from saddle.runs.status import resume_command
from saddle.studio.library import Followed, Library, alarms_of, finite, floors_of

_OUTPUT = 2**22  # bytes of what a run has printed
_LINES = 40  # of it, and of the log
_ENTRY = 2**12
OUTPUT = ".output.txt"  # what a run that the studio started prints; other commands overlook hidden files


def describe(library: Library, run: RunFolder) -> dict[str, Any]:
    """Everything about a run.

    Raises:
        SaddleError: its settings or edits are damaged.
    """
    config, status = library.status(run)
    edits = read_edits(run.edits)
    now = config_after(config, in_force(edits))
    path, tables = str(run.path), now.model_dump(mode="json")
    changing = [
        key for key in all_keys() if editable(key.path) and belongs(key, tables) and key.path not in varied(now)
    ]
    return {
        "name": library.name_of(run),
        "path": path,
        "row": library.row(run),
        "config": to_toml(config),
        "environment": {name: one_line(value, 500) for name, value in run.read_environment().items()},
        "parent": read_parent(run),
        "population": library.name_of(run).rpartition("/members/")[0] or None,
        "members": [library.name_of(member) for member in run.all_members()],
        "grids": [position for position, _ in run.sample_grids()],
        "checkpoints": [position for position, _ in run.all_checkpoints()],
        "saved": status.saved,
        "plane": _is_plane(run, config),
        "data_picture": run.data_preview.is_file(),
        "generators": [file.name for file in (run.generator, run.best) if file.is_file()],
        "edits": [{"images": edit.images, "words": in_words(edit), "back": edit.rolled_back_from} for edit in edits],
        "alarms": alarms_of(run),
        "floors": floors_of(run),
        "metric": config.evaluate.metric,
        "editable": [shown(key, tables) for key in changing],
        "resume": resume_command(run, config),
        "can_start": start_words(run, config) is not None,
        "output": ends_of(run.path / OUTPUT),
        "log": ends_of(run.log),
        "diverged": run.read_diverged(),
    }


def health_of(followed: Followed) -> dict[str, Any]:
    """The verdict on a run, and those before."""
    told = [_verdict(verdict) for verdict in (*followed.told[-50:], followed.verdict)]
    return {"now": told[-1], "told": told[:-1]}


def start_words(run: RunFolder, config: Config) -> list[str] | None:
    """The words after ``saddle`` that resume a run; None where only its user can do that.

    A run folder may come from a stranger, and its command might write elsewhere: only what names this folder, a recipe
    of saddle's and settings is taken.
    """
    command = resume_command(run, config)
    words = shlex.split(command)[1:] if command else []
    if words[:1] != ["train"] or len(words) % 2 or words[1] not in recipe_names():
        return None
    options = list(zip(words[2::2], words[3::2], strict=True))
    allowed = {"--out", "--data", "--seed", "--members", "--set"}
    places = [value for name, value in options if name == "--out"]
    if {name for name, _ in options} - allowed or len(places) != 1 or Path(places[0]) != run.path:
        return None
    return words


def ends_of(file: Path) -> list[str]:
    """The last lines of a file."""
    if not file.is_file() or file.is_symlink():
        return []
    size = file.stat().st_size
    if size > _OUTPUT:
        with file.open("rb") as opened:
            opened.seek(size - _LINES * _ENTRY)
            text = opened.read(_LINES * _ENTRY).decode(errors="replace")
    else:
        text = read_text(file, _OUTPUT) or ""
    return [one_line(line, 1000) for line in text.splitlines()[-_LINES:]]


def as_text(value: Any) -> str:
    """A value as it is typed behind ``key=``."""
    return value if isinstance(value, str) else inline_toml(value)


def value_at(tables: Mapping[str, Any], path: str) -> Any:
    """The value of a dotted key.

    Raises:
        KeyError: there is none.
    """
    value: Any = tables
    for part in path.split("."):
        if not isinstance(value, Mapping):
            raise KeyError(path)
        value = value[part]
    return value


def belongs(key: Key, tables: Mapping[str, Any]) -> bool:
    """Whether a setting is one of the kinds of sections that a config, as nested tables, has."""
    section, _, tag = key.of.partition(" with ")
    name, _, kind = tag.partition(" = ")
    try:
        value_at(tables, key.path)
        return not tag or value_at(tables, f"{section}.{name}") == kind
    except KeyError:
        return False


def shown(key: Key, tables: Mapping[str, Any]) -> dict[str, Any]:
    """A setting with its value as it is typed, and what may be chosen where there are only a few values."""
    value = value_at(tables, key.path)
    choices = key.kind.split("|") if "|" in key.kind and " or " not in key.kind else []
    return {
        "key": key.path,
        "section": key.of.partition(" with ")[0],
        "about": key.about,
        "kind": key.kind,
        "help": key.help,
        "value": "" if value is None else as_text(value),
        "choices": ["true", "false"] if key.kind == "true or false" else choices,
    }


def _is_plane(run: RunFolder, config: Config) -> bool:
    """Whether these are points in two dimensions of which D judges one at a time; it costs no opening of files."""
    plain = config.members == 1 and config.game.packing == 1 and config.learner == "gan" and not config.conditional
    return plain and is_points(config.data.source) and bool(run.all_checkpoints()) and run.generator.is_file()


def _verdict(verdict: Any) -> dict[str, Any]:
    return {
        "kind": verdict.kind,
        "images": verdict.images,
        "since": verdict.since,
        "evidence": finite(verdict.evidence),
        "words": verdict.words,
        "advice": verdict.advice,
    }
