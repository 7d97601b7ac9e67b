"""The runs below a folder: found by name, listed, and followed while they grow."""

from __future__ import annotations

import io
import json
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from saddle.base.text import one_line
from saddle.config import Config, load_config
from saddle.errors import SaddleError
from saddle.health.rules import FAILED, Verdict, Watch, is_look
from saddle.pages.pictures import read_picture
from saddle.runs.folder import RunFolder
from saddle.runs.following import Follower, Part, read_end
from saddle.runs.reading import read_file, unsaid
from saddle.runs.scores import read_evaluations
from saddle.runs.status import Status, find_runs, is_locked, read_status
from saddle.studio.answers import Refused

_SIDE = 144  # pixels of a thumbnail
_THUMBNAILS = 400  # that are kept
_FOLLOWED = 20  # logs of which a picture is kept
_READING = 0.3  # seconds of a log at once
_MOST_BETWEEN = 10_000  # entries between two looks
_LONGEST_NAME = 500
_TEXT = 2**22  # bytes of the lines of a file of alarms


class _Kept(NamedTuple):
    """What is known of a run as long as its files stay as they are."""

    stamp: tuple[Any, ...]
    config: Config
    status: Status
    told: Mapping[str, Any]


class Followed:
    """A run's log, and what it says of health.

    Args:
        run: its folder.
        total: its length in images seen.
    """

    def __init__(self, run: RunFolder, total: int) -> None:
        self.total = total
        self.lock = threading.Lock()
        self._watch = Watch(total)
        self._told: list[Verdict] = []
        self._since = 0
        self.log = Follower(run.log, self._add, self._begin)
        self.scores = Follower(run.scores)

    def _begin(self) -> None:
        self._watch, self._told = Watch(self.total), []
        self._since = 0

    def _add(self, entry: Mapping[str, Any]) -> None:
        # It keeps what lies between two looks at samples, and a log need not hold any.
        self._since = 0 if is_look(entry) else self._since + 1
        if self._since > _MOST_BETWEEN:
            return
        before = self._watch.verdict.kind
        if self._watch.add(entry).kind != before:
            self._told.append(self._watch.verdict)

    @property
    def verdict(self) -> Verdict:
        return self._watch.verdict

    @property
    def told(self) -> tuple[Verdict, ...]:
        return tuple(self._told)


class Library:
    """The runs below a folder.

    Args:
        folder: where they are; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, _Kept] = {}
        self._thumbnails: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._followed: OrderedDict[str, Followed] = OrderedDict()
        self._lock = threading.Lock()

    def place(self, name: str) -> Path:
        """The path of something below the folder, which need not be there.

        Raises:
            Refused: the name leads elsewhere, or through a link.
        """
        parts = name.split("/")
        odd = not name.isprintable() or len(name) > _LONGEST_NAME or "\\" in name or Path(name).is_absolute()
        if odd or (name != "." and any(not part or part.startswith(".") for part in parts)):
            raise Refused(404, "this is no name of a run", expected="a path below the folder", got=one_line(name, 100))
        path = self.folder
        for part in parts if name != "." else ():
            path /= part
            if path.is_symlink():
                raise Refused(404, "this name leads through a link", got=one_line(name, 100))
        return path

    def find(self, name: str) -> RunFolder:
        """The run that is called so.

        Raises:
            Refused: there is none.
        """
        run = RunFolder(self.place(name))
        if not run.exists():
            raise Refused(404, "there is no such run", got=one_line(name, 100), remedy="it was renamed or removed")
        return run

    def name_of(self, run: RunFolder) -> str:
        """What a run is called: its path below the folder."""
        return run.path.relative_to(self.folder).as_posix()

    def status(self, run: RunFolder) -> tuple[Config, Status]:
        """A run's settings and how it stands.

        Raises:
            SaddleError, OSError: it is damaged.
        """
        kept = self._know(run)
        return kept.config, kept.status

    def list(self) -> list[dict[str, Any]]:
        """What the list of runs says of each."""
        if not self.folder.is_dir():
            return []
        rows: list[dict[str, Any]] = []
        for run in find_runs(self.folder):
            name = self.name_of(run)
            try:
                kept = self._know(run)
            except (SaddleError, OSError) as error:
                what = error.what if isinstance(error, SaddleError) else error.strerror or str(error)
                rows.append({"name": name, "state": "damaged", "why": one_line(what, 300)})
                continue
            rows.append({"name": name, **kept.told})
        known = {row["name"] for row in rows}
        with self._lock:
            self._kept = {name: kept for name, kept in self._kept.items() if name in known}
        return rows

    def row(self, run: RunFolder) -> dict[str, Any]:
        """What the list says of a run.

        Raises:
            SaddleError, OSError: it is damaged.
        """
        return {"name": self.name_of(run), **self._know(run).told}

    def _know(self, run: RunFolder) -> _Kept:
        name = self.name_of(run)
        files = (run.config, run.log, run.scores, run.diverged, run.evaluation, run.alarms, run.checkpoints,
                 run.samples, run.control, run.data_preview)  # fmt: skip
        stamp = (is_locked(run), *map(_stamp, files))
        kept = self._kept.get(name)
        if kept is not None and kept.stamp == stamp:
            return kept
        # The settings never change while a run stays what it is, and reading them takes longest.
        same = kept is not None and kept.stamp[1] == stamp[1]
        config = kept.config if kept is not None and same else load_config(run.config)
        status = read_status(run, config, quick=True)
        kept = _Kept(stamp, config, status, _told(run, config, status))
        with self._lock:
            self._kept[name] = kept
        return kept

    def thumbnail(self, run: RunFolder) -> bytes | None:
        """The newest grid of samples, or the data before there is one, as a small PNG; None where there is nothing."""
        grids = run.sample_grids()
        path = grids[-1][1] if grids else run.data_preview
        modified, size = _stamp(path)
        key = str(path), modified, size
        with self._lock:
            if key in self._thumbnails:
                self._thumbnails.move_to_end(key)
                return self._thumbnails[key]
        picture = read_picture(path, unsaid)
        if picture is None:
            return None
        small = picture.decode().convert("RGB")
        side = min(small.size)  # the upper left of a long grid shows more than all of it
        small = small.crop((0, 0, side, side))
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "PNG")
        with self._lock:
            self._thumbnails[key] = buffer.getvalue()
            while len(self._thumbnails) > _THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return buffer.getvalue()

    def follow(self, run: RunFolder) -> Followed:
        """The log of a run, read on for a moment."""
        name, status = self.name_of(run), self.status(run)[1]
        total = status.total or max(status.images, 1)
        with self._lock:
            followed = self._followed.get(name)
            if followed is None or (status.total is not None and followed.total != total):
                followed = self._followed[name] = Followed(run, total)
            self._followed.move_to_end(name)
            while len(self._followed) > _FOLLOWED:
                self._followed.popitem(last=False)
        return followed

    def curves(self, run: RunFolder, known: tuple[int, int, int], known_scores: tuple[int, int, int]) -> dict[str, Any]:
        """What is new in the log and the scores; each ``known`` is (life, width, start) of what was told before."""
        followed = self.follow(run)
        with followed.lock:
            log, scores = followed.log, followed.scores
            log.read(_READING)
            scores.read(_READING)
            told = [(log.part(*known), log.places), (scores.part(*known_scores), scores.places)]
        return {"log": _plain(*told[0]), "scores": _plain(*told[1])}

    def window(self, run: RunFolder, first: int, last: int) -> dict[str, Any] | None:
        """The log between two positions in more detail; None where it is too long for that."""
        followed = self.follow(run)
        with followed.lock:
            part = followed.log.window(first, last)
        return None if part is None else _plain(part, 0)


def alarms_of(run: RunFolder) -> list[dict[str, Any]]:
    """What the alarm told, as the run's folder holds it."""
    lines = (read_file(run.alarms, _TEXT) or b"").splitlines()
    found: list[dict[str, Any]] = []
    for line in lines[-1000:]:
        try:
            entry: Any = json_of(line)
            evidence = {name: value for name, value in entry.items() if isinstance(value, int | float)}
            verdict, words = one_line(entry["verdict"], 100), one_line(entry["words"], 500)
            images = int(evidence.pop("images"))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        found.append({"images": images, "verdict": verdict, "words": words, "evidence": finite(evidence)})
    return found


def json_of(line: bytes) -> Any:
    """Raises:
    ValueError: it is not JSON.
    """
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def finite(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that JSON can hold."""
    return {name: value for name, value in figures.items() if not isinstance(value, float) or math.isfinite(value)}


def floors_of(run: RunFolder) -> dict[str, float]:
    """The floors of the scores that were taken of the run's generator, by metric."""
    found = read_evaluations(run).get(run.generator.name)
    return {} if found is None else {score.metric: score.floor for score in found.scores if score.floor is not None}


def _told(run: RunFolder, config: Config, status: Status) -> dict[str, Any]:
    """What the list says of a run; ``state`` is collapsed only where nobody trains it any more."""
    alarms = alarms_of(run)
    last = alarms[-1]["verdict"] if alarms else None
    wrong = last if last is not None and last not in ("learning", "done") else None
    failed = wrong in FAILED and not status.is_held
    speed, seconds = _speed(run), status.seconds
    left = None if status.total is None or not speed else max(0, status.total - status.images) / speed
    metric, score = status.score if status.score is not None else (None, None)
    return {
        "recipe": config.recipe,
        "data": one_line(config.data.source, 100),
        "seed": config.seed,
        "members": config.members,
        "state": "collapsed" if failed and wrong == "collapsed" else status.state,
        "verdict": wrong,
        "images": status.images,
        "total": status.total,
        "seconds": seconds,
        "left": left if status.state in ("running", "paused") else None,
        "metric": metric,
        "score": score if score is not None and math.isfinite(score) else None,
        "floor": floors_of(run).get(metric or ""),
        "written": status.written.timestamp(),
        "picture": "-".join(map(str, _stamp(run.samples))),
    }


def _speed(run: RunFolder) -> float | None:
    last = read_end(run.log)
    return last[0].get("images_per_second") if last else None


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = os.lstat(path)
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _plain(part: Part, places: int) -> dict[str, Any]:
    return {**part._asdict(), "places": places}
