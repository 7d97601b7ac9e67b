"""What a run folder tells from outside: whether it is being trained, how far it is, and how to resume it."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from saddle.config import Config, difference, load_recipe, parse_settings, resolve
from saddle.config.resolve import inline_toml, settle
from saddle.errors import RunError, SaddleError
from saddle.runs.folder import RunFolder
from saddle.runs.following import read_end
from saddle.runs.reading import Say, unsaid
from saddle.runs.scores import Evaluation, read_evaluations

# Where these are auto, a resumed run takes what auto chose at first.
RECORDED = ("device", "threads", "conditional", "precision")
# Settings that have an option of their own.
_NAMED = {"data.source": "--data", "seed": "--seed", "members": "--members"}


@dataclass(frozen=True)
class Status:
    """How a run stands.

    Args:
        state: running: a process trains it now; paused: one holds it, and waits; stopped: it can be resumed; finished;
            diverged: its losses or weights were no longer finite.
        images: seen so far.
        saved: images seen at the last checkpoint, from which the run would resume; 0 before the first one.
        total: images seen at the end; None where the length is given in epochs, as long as nothing is logged.
        epochs: the length, where it is given so.
        seconds: of training so far, as far as they are logged.
        score: the last score of training and its metric; None before.
        written: when the run last wrote something, in local time.
    """

    state: Literal["running", "paused", "stopped", "finished", "diverged"]
    images: int
    saved: int
    total: int | None
    epochs: float | None
    seconds: float | None
    score: tuple[str, float] | None
    written: datetime

    @property
    def is_held(self) -> bool:
        """Whether a process has the run in its hands."""
        return self.state in ("running", "paused")

    @property
    def progress(self) -> str:
        """Such as ``27,136 of 300,000 images (9 %)``."""
        if self.total is None:
            return f"{self.images:,} images of {self.epochs:g} epochs"
        share = math.floor(100 * min(self.images / self.total, 1.0))  # 100 % only at the end
        return f"{self.images:,} of {self.total:,} images ({share} %)"


def read_status(run: RunFolder, config: Config, say: Say = unsaid, *, quick: bool = False) -> Status:
    """How the run with this config stands. What is damaged in its folder is left out, and ``say`` is told.

    Args:
        run: its folder.
        config: of the run.
        say: told of damage.
        quick: read of its logs only the last lines, which is enough where nobody wants to know of damage.
    """
    log, scores = (read_end(run.log), read_end(run.scores)) if quick else (run.read_log(say), run.read_scores(say))
    diverged = run.read_diverged(say)
    evaluated = _evaluated(read_evaluations(run, say), run, config.evaluate.metric)
    checkpoints = run.all_checkpoints()
    saved = checkpoints[-1][0] if checkpoints else 0
    logged = int(log[-1]["images"]) if log else 0
    # The last line of the log comes before the last checkpoint: in between there is still something to do.
    reached = _has_ended(config, log, saved) and (not checkpoints or saved >= logged)
    state = "diverged" if diverged is not None else "finished" if reached else "stopped"
    score = _number(scores[-1], config.evaluate.metric) if scores else evaluated
    files = [run.config, run.log, run.scores, run.diverged, run.evaluation, *(path for _, path in checkpoints[-1:])]
    return Status(
        state=state if not is_locked(run) else "paused" if os.path.lexists(_of_whole(run).paused) else "running",
        images=max(logged, saved),
        saved=saved,
        total=config.images or _images_of(config.epochs or 0.0, log),
        epochs=config.epochs,
        seconds=_number(log[-1], "seconds") if log else None,
        score=None if score is None else (config.evaluate.metric, score),
        written=datetime.fromtimestamp(max(map(_written, files))),
    )


def _of_whole(run: RunFolder) -> RunFolder:
    """The run that is trained: of a member, its population."""
    return run.population or run


def _written(file: Path) -> float:
    """Seconds since 1970; 0 where there is no file. File systems hold times that calendars do not."""
    with suppress(OSError):
        return min(max(0.0, file.stat().st_mtime), 2.5e11)
    return 0.0


def _evaluated(found: Mapping[str, Evaluation], run: RunFolder, metric: str) -> float | None:
    """What ``saddle evaluate`` found for the last generator; None before."""
    with suppress(KeyError):
        return found[run.generator.name][metric].value
    return None


def is_locked(run: RunFolder) -> bool:
    """Whether a process trains the run now. Looks only: the lock file is neither made nor changed."""
    try:
        import fcntl

        # The folder may come from a stranger: a link is not followed, and a pipe does not keep us waiting.
        descriptor = os.open(run.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
    except BlockingIOError:
        return True
    except (ImportError, OSError):  # Windows; no lock file, or one that may not be read
        return False
    return False


def find_runs(folder: Path) -> Iterator[RunFolder]:
    """The runs in ``folder`` and below it, in the order of their paths; ``folder`` itself may be one.

    Raises:
        RunError: there is no such folder.
    """
    if not folder.is_dir():
        raise RunError(
            f"there is no folder {folder}",
            expected="a folder with runs",
            remedy="name another one; `saddle train` makes runs",
        )
    for place, below, _ in os.walk(folder):
        run = RunFolder(Path(place))
        # Any program may have a config.toml; ours lies beside an environment, a log or a lock.
        if run.exists() and any(map(os.path.lexists, (run.environment, run.log, run.lock))):
            below.clear()
            yield run
        else:
            below[:] = sorted(name for name in below if not name.startswith("."))


def resume_command(run: RunFolder, config: Config) -> str | None:
    """The command that resumes a run to the length in ``config``; None where only the Python call does that."""
    if "custom" in (config.generator.network.family, config.discriminator.network.family):
        return None
    recorded = _recorded_command(run)
    if recorded is None:
        return None
    try:
        base = load_recipe(config.recipe)
        # What is written as a share of the length stays what it became when the run began.
        words = _options(settle(resolve(base), {}, total=config.images or 1, recorded=config), config)
        rebuilt = settle(resolve(base, parse_settings(words)), {}, total=config.images or 1, recorded=config)
    except SaddleError:  # the recipe is a file of the user's
        return recorded
    if _changes(rebuilt, config):
        return recorded
    named, others = ["--out", str(run.path)], list[str]()
    for word in words:
        key, _, value = word.partition("=")
        if key in _NAMED:
            named += [_NAMED[key], value]
        else:
            others += ["--set", word]
    return shlex.join(["saddle", "train", config.recipe, *named, *others])


def longer_command(run: RunFolder, config: Config) -> str | None:
    """The command that trains a run anew in a folder beside it, to the length in ``config``.

    Schedules that are shares of the length then have that length. None where no `saddle train` began the run.
    """
    recorded = _recorded_command(run)
    if recorded is None or not recorded.startswith("saddle train "):
        return None
    length = f"images={config.images}" if config.images else f"epochs={config.epochs:g}"
    return command_into(run.path.with_name(f"{run.path.name}-longer"), recorded, length)


def command_into(out: Path, command: str, *settings: str) -> str:
    """A command that trains, with another folder and further settings, ``key=value``, in place of what it gave there.

    What cannot be read as a command is left as it is.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    replaced = [f"{setting.partition('=')[0]}=" for setting in settings]
    kept: list[str] = []
    while words:
        option, joined, value = words[0].partition("=")
        taken = 1 if joined or option not in ("--out", "--edits", "--set") else 2
        value = value if joined else "".join(words[1:taken])
        if not (option in ("--out", "--edits") or (option == "--set" and value.startswith(tuple(replaced)))):
            kept += words[:taken]
        words = words[taken:]
    return shlex.join([*kept, "--out", str(out), *(word for setting in settings for word in ("--set", setting))])


def _recorded_command(run: RunFolder) -> str | None:
    """The command that started the run, if it was one of ours."""
    try:
        words = shlex.split(run.read_environment()["command"])
    except (KeyError, ValueError):
        return None
    ours = len(words) > 1 and words[0] in ("saddle", "__main__.py") and words[1] in ("train", "reproduce", "sweep")
    return shlex.join(["saddle", *words[1:]]) if ours else None


def _options(base: Config, config: Config) -> list[str]:
    """What has to be set on top of ``base``, as ``key=value``."""
    return [
        f"{key}={value if isinstance(value, str) else inline_toml(value)}"
        for key, _, value in _changes(base, config)
        if value is not None
    ]


def _changes(base: Config, config: Config) -> list[tuple[Any, ...]]:
    found = {"auto", "data.fingerprint", *(key for key in RECORDED if getattr(base, key) == "auto")}
    changes = [change for change in difference(base, config) if change[0] not in found]
    changes = [change for change in changes if not change[0].startswith(config.auto)]  # chosen anew in the same way
    # Their latents follow from the data.
    if config.learner == "likelihood" or config.generator.network.family == "unet":
        return [change for change in changes if not change[0].startswith("latent.")]
    return changes


def _has_ended(config: Config, log: Sequence[Mapping[str, Any]], saved: int) -> bool:
    if config.images is not None:  # the log's last line may be damaged
        return max(saved, int(log[-1]["images"]) if log else 0) >= config.images
    if not log:
        return False
    return (_number(log[-1], "epoch") or 0.0) >= (config.epochs or 0.0) - 1e-4  # the log has four decimals


def _images_of(epochs: float, log: Sequence[Mapping[str, Any]]) -> int | None:
    """So many epochs in images, by the last line, which has both."""
    epoch = _number(log[-1], "epoch") if log else None
    return round(epochs * log[-1]["images"] / epoch) if epoch and epoch >= 1e-4 else None  # it has four decimals


def _number(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    return value if isinstance(value, int | float) else None
