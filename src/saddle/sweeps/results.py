"""What came of a sweep: its trials, the best first, and how to train the best settings longer."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from saddle.api import Run
from saddle.config import Config, Recipe, difference, resolve
from saddle.config.resolve import inline_toml
from saddle.errors import RunError
from saddle.sweeps.space import as_layer

_LONGER = 4  # times the length of a trial, where the recipe itself is no longer than that
_ORDER = ("finished", "pruned", "failed", "unfinished")
_NAMED = {"data.source": "--data", "seed": "--seed"}  # settings with an option of their own


class Trial(NamedTuple):
    """One run of a sweep.

    Args:
        number: from 0.
        state: finished; pruned: given up, since it was behind the others; failed: it diverged, or its settings cannot
            be trained; unfinished: it is being trained, or was interrupted.
        settings: the values of what is varied, by dotted key.
        score: of the best generator of the run; None where there is none.
        images: that this generator had seen.
        reason: why it failed.
        path: of the run folder. It may lie on another machine.
    """

    number: int
    state: Literal["finished", "pruned", "failed", "unfinished"]
    settings: Mapping[str, Any]
    score: float | None
    images: int | None
    reason: str
    path: Path


class Sweep(NamedTuple):
    """A sweep as far as it has come.

    Args:
        trials: finished ones first, the best of them first; then those that were given up, that failed, that go on.
        metric: the score.
        better: which way the score is better.
        page: where it is described, as HTML.
        command: that trains the best settings longer; None while there is no score, or for data given as an object.
    """

    trials: list[Trial]
    metric: str
    better: Literal["lower", "higher"]
    page: Path
    command: str | None

    @property
    def best(self) -> Trial:
        """The finished trial with the best score.

        Raises:
            RunError: there is none.
        """
        if not self.trials or self.trials[0].state != "finished":
            raise RunError("no trial of the sweep is finished", remedy=f"{self.page} says what became of them")
        return self.trials[0]

    @property
    def run(self) -> Run:
        """The run of the best trial; raises as ``best``."""
        return Run(self.best.path)

    @property
    def counts(self) -> str:
        """Such as ``12 finished, 6 pruned, 2 failed``."""
        counts = Counter(trial.state for trial in self.trials)
        return ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state]) or "no trials"


def ranked(trials: Sequence[Trial], *, higher: bool) -> list[Trial]:
    """Those with the best score first, within each state."""

    def place(trial: Trial) -> tuple[int, bool, float, int]:
        score = 0.0 if trial.score is None else trial.score
        return _ORDER.index(trial.state), trial.score is None, -score if higher else score, trial.number

    return sorted(trials, key=place)


def rows(trials: Sequence[Trial], keys: Collection[str], metric: str) -> list[tuple[str, ...]]:
    """Trials for people, a line of names first; ``keys`` are what is varied."""
    table = [("trial", metric, "after images", "state", *keys)]
    for trial in trials:
        score = "–" if trial.score is None else f"{trial.score:.4g}"
        images = "–" if trial.images is None else f"{trial.images:,}"
        state = trial.state + (f": {trial.reason}" if trial.reason else "")
        table.append((str(trial.number), score, images, state, *(shown(trial.settings.get(key)) for key in keys)))
    return table


def shown(value: Any) -> str:
    """A setting's value for people."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e9 else f"{value:.4g}"
    return value if isinstance(value, str) else inline_toml(value)


def longer(
    name: str, recipe: Recipe, layers: Sequence[Mapping[str, Any]], best: Mapping[str, Any], size: int, out: Path
) -> str:
    """The command that trains the settings ``best`` to the recipe's own length, or to several times the trials'.

    Args:
        name: of the recipe, as the user gave it.
        recipe: itself; ``layers``: what was set for all trials.
        best: values by dotted key.
        size: how many samples the data have.
        out: the folder of the run.
    """
    own, config = resolve(recipe), resolve(recipe, *layers, as_layer(best))
    if own.total_images(size) > config.total_images(size):
        length = {"images": own.images} if own.images else {"epochs": own.epochs}
    elif config.images:
        length = {"images": _LONGER * config.images}
    else:
        length = {"epochs": _LONGER * (config.epochs or 0)}
    chosen: list[Mapping[str, Any]] = [*layers, as_layer(best), length]
    if not config.evaluate.every:  # the sweep chose it for the trials; the best generator shall be kept here too
        chosen.append({"evaluate": {"every": -(-resolve(recipe, *chosen).total_images(size) // 10)}})
    return shlex.join(["saddle", "train", name, *_options(own, resolve(recipe, *chosen)), "--out", str(out)])


def _options(own: Config, config: Config) -> list[str]:
    named: list[str] = []
    others: list[str] = []
    for key, _, value in difference(own, config):
        text = value if isinstance(value, str) else inline_toml(value)
        if key in _NAMED:
            named += [_NAMED[key], text]
        elif value is not None:
            others += ["--set", f"{key}={text}"]
    return [*named, *others]
