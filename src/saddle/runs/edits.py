"""``edits.jsonl``: the settings that were changed while a run went on, each with its position, so that it repeats.

What holds at a position is ``config.toml`` and the edits up to there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saddle.base.files import write_text
from saddle.base.text import one_line
from saddle.config import Config
from saddle.config.editing import edited
from saddle.config.resolve import inline_toml
from saddle.errors import ConfigError, RunError
from saddle.runs.folder import RunFolder
from saddle.runs.reading import Say, read_file, read_object, unsaid

_SIZE, _PARENT_SIZE = 2**24, 2**16  # bytes of edits.jsonl and of parent.json
_KEYS = {"images", "set", "rolled_back_from", "why", "turn"}
_END = 10**12  # images seen, which no run reaches
_REMEDY = "repair that line, or remove the file: the run then goes on without edits, as another run than it was"


@dataclass(frozen=True)
class Edit:
    """A change of settings.

    Args:
        images: seen when it was made; it holds from the first round that begins there or later.
        set: the values by dotted key; empty where the run went back without a change, and of a turn.
        rolled_back_from: where the run was when it went back to ``images`` to be trained from there with this change.
        why: it went back, in words.
        turn: ``D`` or ``G``, which had a turn of its own before the round at ``images``; empty: neither.
    """

    images: int
    set: Mapping[str, Any]
    rolled_back_from: int | None = None
    why: str = ""
    turn: str = ""

    def as_entry(self) -> dict[str, Any]:
        """As a line of the file holds it."""
        entry: dict[str, Any] = {"images": self.images, "set": dict(self.set)}
        if self.rolled_back_from is not None:
            entry["rolled_back_from"] = self.rolled_back_from
        return entry | {name: text for name, text in (("why", self.why), ("turn", self.turn)) if text}


def read_edits(path: Path, say: Say = unsaid) -> list[Edit]:
    """All edits in the order in which they were made; none where there is no file.

    A last line that was cut short belongs to an edit that never came into force; it is left out, and named through
    ``say``.

    Raises:
        RunError: the file cannot be read, or a line in it is not an edit: to leave it out would train another run.
    """
    wrong: list[str] = []
    content = read_file(path, _SIZE + 1, wrong.append)
    if wrong or len(content or b"") > _SIZE:
        raise RunError(f"{path} cannot be read", got=wrong[0] if wrong else "it is too long", remedy=_REMEDY)
    *lines, last = (content or b"").split(b"\n")
    found: list[Edit] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(_edit(line))
        except ValueError as error:
            raise RunError(f"line {number} of {path} is damaged", got=error, remedy=_REMEDY) from None
    if last:
        say(f"the last line of {path} was cut short and is left out; edits before it: {len(found)}")
    return found


def add_edit(path: Path, edit: Edit) -> None:
    """Add an edit to the file, which is on the disk when this returns, and whole at any moment.

    Raises:
        SaddleError: it cannot be written.
    """
    write_edits(path, [*read_edits(path), edit])


def write_edits(path: Path, edits: Iterable[Edit]) -> None:
    """Write the file anew; as ``add_edit``."""
    write_text(path, "".join(f"{json.dumps(edit.as_entry())}\n" for edit in edits))


def in_force(edits: Iterable[Edit]) -> list[Edit]:
    """The edits without those that a rollback has undone, by position."""
    kept: list[Edit] = []
    for edit in edits:
        if (undone := edit.rolled_back_from) is not None:
            kept = [each for each in kept if not edit.images < each.images <= undone]
        kept.append(edit)
    return sorted(kept, key=lambda edit: edit.images)


def config_after(config: Config, edits: Sequence[Edit], images: int = _END, total: int | None = None) -> Config:
    """The config that holds after the edits of the first ``images`` images seen.

    Args:
        config: that the run began with.
        edits: those in force, by position.
        images: the last position whose edits count.
        total: the run's length in images seen, where it is known.

    Raises:
        RunError: an edit makes no sense for this run.
    """
    for edit in edits:
        if edit.images > images:
            break
        try:
            config = config if not edit.set else edited(config, edit.set, total)[0]
        except ConfigError as error:
            raise RunError(
                f"the edit after {edit.images:,} images does not fit this run: {error.what}", expected=error.expected,
                got=error.got, details=error.details, remedy="correct edits.jsonl",
            ) from None  # fmt: skip
    return config


def read_parent(run: RunFolder, say: Say = unsaid) -> str | None:
    """Where a forked run comes from, in words; None of one that was not forked."""
    entry = read_object(run.parent, _PARENT_SIZE, say)
    images, member = entry.get("images"), entry.get("member")
    if not _is_position(images):
        return None
    of = "" if member is None else f"member {member} of "
    digest = str(entry.get("checkpoint"))[:12]
    return f"{of}{entry.get('run')} after {images:,} images, checkpoint {digest}"


def in_words(edit: Edit) -> str:
    """Such as ``game.r1 = 10.0, game.r2 = 10.0``."""
    if edit.turn:
        return f"one turn of {edit.turn} alone"
    words = ", ".join(f"{key} = {inline_toml(value)}" for key, value in edit.set.items()) or "no change"
    why = f" ({edit.why})" if edit.why else ""
    return words if edit.rolled_back_from is None else f"back from {edit.rolled_back_from:,} images{why}: {words}"


def _edit(line: bytes) -> Edit:
    """Raises:
    ValueError: the line is no edit, and why.
    """
    try:
        entry: Any = json.loads(line.decode())
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(entry, dict) or not {"images", "set"} <= entry.keys() <= _KEYS:
        raise ValueError("expected images and set, and perhaps rolled_back_from, why or turn")
    images, settings, undone = entry["images"], entry["set"], entry.get("rolled_back_from")
    if (turn := entry.get("turn", "")) not in ("", "D", "G") or (turn and settings):
        raise ValueError("a turn is of D or G, and sets nothing")
    if not _is_position(images) or not isinstance(settings, dict) or not (settings or turn or undone is not None):
        raise ValueError("expected a number of images seen, and settings by dotted key")
    if undone is not None and not (_is_position(undone) and undone >= images):
        raise ValueError("rolled_back_from is no position after images")
    return Edit(images, settings, undone, one_line(str(entry.get("why", "")), 500), turn)


def _is_position(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _END
