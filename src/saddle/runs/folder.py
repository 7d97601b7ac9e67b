"""The run folder: the only place that knows its file names."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saddle.base.files import atomic_path, unwritable
from saddle.base.text import one_line
from saddle.errors import RunError
from saddle.runs.reading import LOG_SIZE, NOT_FINITE, Say, read_entries, read_object, read_text, say_left_out, unsaid

_TEXT_SIZE = 2**20  # bytes of an environment, or of the reason why a run diverged


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run folder, and its log.

    Args:
        path: the folder; it need not exist yet.
    """

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def scores(self) -> Path:
        return self.path / "scores.jsonl"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def alarms(self) -> Path:
        """What the alarm told, and when; see ``saddle.training.alarm``."""
        return self.path / "alarms.jsonl"

    @property
    def diverged(self) -> Path:
        """Why the run stopped, if it diverged and was not trained on since."""
        return self.path / "diverged.txt"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def generator(self) -> Path:
        return self.path / "generator.safetensors"

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    @property
    def classifier(self) -> Path:
        return self.path / "classifier.safetensors"

    @property
    def data_preview(self) -> Path:
        return self.path / "data.png"

    @property
    def augmented(self) -> Path:
        return self.path / "augmented.png"

    @property
    def interpolation(self) -> Path:
        return self.path / "interpolation.png"

    @property
    def animation(self) -> Path:
        return self.path / "samples.webp"

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def edits(self) -> Path:
        return self.path / "edits.jsonl"

    @property
    def parent(self) -> Path:
        """Of a run that was forked: from where."""
        return self.path / "parent.json"

    @property
    def control(self) -> Path:
        """What is asked of the run while it is trained."""
        return self.path / "control"

    @property
    def paused(self) -> Path:
        """There while a process that trains the run waits to be told to go on."""
        return self.control / "paused"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def members(self) -> Path:
        return self.path / "members"

    @property
    def population(self) -> RunFolder | None:
        """The run whose member this one is, if it is one."""
        path = self.path.absolute()
        whole = RunFolder(path.parent.parent)
        return whole if path.parent == whole.members and path.name.isdecimal() and whole.exists() else None

    @property
    def lock(self) -> Path:
        """Held while the run is trained; a member of a population is trained with all of it."""
        return (self.population or self).path / ".lock"

    @property
    def evaluation_lock(self) -> Path:
        return self.path / ".evaluation.lock"

    def sample_grid(self, images_seen: int) -> Path:
        """The grid of fixed latents after ``images_seen`` images."""
        return self.samples / f"{images_seen:012d}.png"

    def checkpoint(self, images_seen: int) -> Path:
        """The checkpoint after ``images_seen`` images."""
        return self.checkpoints / f"{images_seen:012d}.safetensors"

    def member(self, number: int) -> RunFolder:
        """The folder of one member of a population: a run folder without checkpoints."""
        return RunFolder(self.members / f"{number:02}")

    def all_members(self) -> list[RunFolder]:
        """The folders of a population's members, by number; empty for a single run."""
        if self.members.is_symlink() or not self.members.is_dir():
            return []
        named = (path for path in self.members.iterdir() if path.name.isdecimal() and path.name.isascii())
        return [RunFolder(path) for path in sorted(named, key=lambda path: (int(path.name), path.name))]

    def sample_grids(self) -> list[tuple[int, Path]]:
        """All sample grids as (images seen, path), oldest first."""
        return _numbered(self.samples, "png")

    def all_checkpoints(self) -> list[tuple[int, Path]]:
        """All checkpoints as (images seen, path), oldest first."""
        return _numbered(self.checkpoints, "safetensors")

    def exists(self) -> bool:
        """Whether a run was started here; its config may be damaged."""
        return os.path.lexists(self.config)

    def check(self) -> None:
        """Find out early whether a run can live here; makes nothing.

        Raises:
            RunError: the path is a file, a folder of something else, or one that saddle cannot keep a run in.
        """
        try:
            os.fspath(self.path.absolute()).encode()
        except UnicodeEncodeError:
            raise RunError(
                f"the path {os.fspath(self.path)!r} is not text in UTF-8",
                expected="a path whose folders have names in UTF-8",
                remedy="give another --out",
            ) from None
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file", expected="a folder for the run", remedy="give another --out")
        if (
            self.path.is_dir()
            and not self.exists()
            and any(not entry.name.startswith(".") and entry != self.edits for entry in self.path.iterdir())
        ):
            raise RunError(
                f"{self.path} is not empty and holds no run",
                expected="a new or empty folder, or the folder of a run to resume",
                remedy="give another --out",
            )
        if self.population is not None:
            raise RunError(
                f"{self.path} is a member of a population, which is trained as a whole",
                remedy=f"saddle fork {self.population.path} --member {int(self.path.name)} --out FOLDER takes it out",
            )
        self._check_entries()
        for member in self.all_members():
            if member.path.is_symlink():
                raise RunError(
                    f"{member.path} is a link", expected="a folder", remedy="remove it, or give another --out"
                )
            member._check_entries()

    def _check_entries(self) -> None:
        """A run folder may come from a stranger: nothing in it may lead out of it, or be of another kind."""
        folders = (self.samples, self.checkpoints, self.tensorboard, self.members, self.control)
        for path in self.path.iterdir() if self.path.is_dir() else ():
            mode = path.lstat().st_mode
            wanted = "a folder" if path in folders else "a regular file"
            fits = stat.S_ISDIR(mode) if path in folders else stat.S_ISREG(mode) or path not in self._files
            if stat.S_ISLNK(mode) or not fits:
                raise RunError(
                    f"{path} is {'a link' if stat.S_ISLNK(mode) else f'not {wanted}'}",
                    expected=f"{wanted}, or nothing",
                    remedy="remove it, or give another --out",
                )

    @property
    def _files(self) -> tuple[Path, ...]:
        return (
            *(self.config, self.environment, self.log, self.scores, self.evaluation, self.diverged),
            *(self.generator, self.best, self.classifier),
            *(self.data_preview, self.augmented, self.interpolation, self.animation, self.curves, self.report),
            *(self.edits, self.parent, self.alarms),
        )

    def create(self) -> None:
        """Make the folder. What a killed process left half-written has a name with a leading dot and does not count.

        Raises:
            RunError: as ``check``, or it cannot be written.
        """
        self.check()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"the run folder {self.path} cannot be written",
                got=error.strerror or error,
                remedy="give an --out that you may write to",
            ) from error

    def append_log(self, entry: Mapping[str, Any]) -> None:
        """Add a line to ``log.jsonl``.

        Raises:
            SaddleError: the line cannot be written.
        """
        _append(self.log, entry)

    def append_scores(self, entry: Mapping[str, Any]) -> None:
        """Add a line to ``scores.jsonl``; as ``append_log``."""
        _append(self.scores, entry)

    def append_alarm(self, entry: Mapping[str, Any]) -> None:
        """Add a line to ``alarms.jsonl``; as ``append_log``."""
        _append(self.alarms, entry)

    def read_log(self, say: Say = unsaid) -> list[dict[str, Any]]:
        """What ``append_log`` was given, oldest first: images seen, and figures that are numbers.

        A line that makes no sense is left out, and named through ``say``; but for a last one that a kill cut short.
        """
        return [entry for _, entry in read_entries(self.log, say, most=LOG_SIZE)]

    def read_scores(self, say: Say = unsaid) -> list[dict[str, Any]]:
        """What ``append_scores`` was given; as ``read_log``."""
        return [entry for _, entry in read_entries(self.scores, say, most=LOG_SIZE)]

    def read_environment(self, say: Say = unsaid) -> dict[str, str]:
        """Where the run was trained, by name; nothing where the file is missing or damaged: no training needs it."""
        known: dict[str, str] = {}
        wrong: list[str] = []
        for name, value in read_object(self.environment, _TEXT_SIZE, say).items():
            if isinstance(value, str | int | float):
                known[_encodable(name)] = _encodable(str(value))
            elif value is not None:
                wrong.append(f"{one_line(name, 100)} is neither text nor a number and is left out")
        say_left_out(self.environment, wrong, say)
        return known

    def read_diverged(self, say: Say = unsaid) -> str | None:
        """Why the run stopped, if it diverged and was not trained on since."""
        text = read_text(self.diverged, _TEXT_SIZE, say)
        return None if text is None else text.strip()

    def rewind(self, images_seen: int, say: Say, *, unfinished: bool = False) -> None:
        """Forget log lines, scores and grids made after ``images_seen``, which come anew, and half-written files.

        Damaged lines are left out and named through ``say``, but for a last one, which a kill may have cut short.

        Args:
            images_seen: where the run goes on.
            say: told of damage.
            unfinished: whether there are rounds before ``images_seen`` that no log line told of when that was saved; a
                line of this position then came later, for an edit.

        Raises:
            SaddleError: the log cannot be read or written.
        """
        own = {file.stem for file in self._files} - {self.evaluation.stem}  # other commands may be at work on theirs
        for folder in (self.path, self.samples, self.checkpoints):
            for leftover in folder.glob(".*.partial*"):
                if folder != self.path or leftover.name[1:].partition(".")[0] in own:
                    leftover.unlink(missing_ok=True)
        for file in (self.log, self.scores):
            if file != self.log and not os.path.lexists(file):  # the log is there from the beginning, to be watched
                continue
            unread: list[OSError] = []
            with atomic_path(file) as temporary, temporary.open("wb") as kept:
                for line, entry in read_entries(file, say, unread=unread.append):
                    if entry["images"] < images_seen + (file != self.log or not unfinished):
                        kept.write(line + b"\n")
                if unread:  # nothing is replaced by what could be read until then
                    reason = unread[0].strerror or unread[0]
                    raise RunError(f"{file} cannot be read", got=reason, remedy="repair that, and resume")
        for position, path in self.sample_grids():
            if position > images_seen:
                path.unlink()


def find_member(path: Path, number: int | None) -> Path:
    """The folder of member ``number`` of the population in ``path``; None: ``path`` itself.

    Raises:
        RunError: there is no such member.
    """
    if number is None:
        return path
    known = RunFolder(path).all_members()
    if not known:
        raise RunError(f"{path} is no population", expected="a run with members > 1", remedy="leave out --member")
    found = RunFolder(path).member(number)
    if found not in known:
        raise RunError(f"{path} has no member {number}", expected=f"a number from 0 to {len(known) - 1}")
    return found.path


def _append(file: Path, entry: Mapping[str, Any]) -> None:
    # JSON has no NaN: as text, it leaves the line readable by every parser.
    line = {key: str(value) if str(value) in NOT_FINITE else value for key, value in entry.items()}
    try:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
    except OSError as error:
        raise unwritable(file, error) from error


def _encodable(text: str) -> str:
    """JSON can name halves of characters, which no file can hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def _numbered(folder: Path, suffix: str) -> list[tuple[int, Path]]:
    pattern = re.compile(rf"([0-9]{{12}})\.{suffix}")
    if folder.is_symlink() or not folder.is_dir():
        return []
    found = ((pattern.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)
