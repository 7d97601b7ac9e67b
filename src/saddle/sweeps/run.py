"""A search over settings: trials are trained until there are enough, side by side with other processes."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from saddle.api import open_store, report, train_config
from saddle.base import processes
from saddle.base.files import unwritable
from saddle.base.progress import Progress, for_stream
from saddle.config import Config, load_config, load_recipe, resolve
from saddle.config.resolve import merge_settings
from saddle.errors import Collapsed, ConfigError, Diverged, NotFinite, SaddleError, TooLarge
from saddle.runs.folder import RunFolder
from saddle.runs.lock import locked
from saddle.runs.log import best_entry
from saddle.runs.status import read_status
from saddle.sweeps.page import write_page
from saddle.sweeps.plan import Plan, better_of, check_folder, check_same, layers_of, with_scores
from saddle.sweeps.results import Sweep, Trial, longer, ranked, shown
from saddle.sweeps.space import as_layer, check_values, own_values, parse_space

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as Asked

    from saddle.sweeps.study import Search

# What tells that the settings of a trial are no good. Everything else ends the sweep, and the trial is resumed later.
_FAILURES = (Diverged, Collapsed, ConfigError, NotFinite, TooLarge, MemoryError, torch.OutOfMemoryError)


class _Busy(Exception):
    """Another process is at work on this trial."""


def sweep(
    recipe: str,
    over: Mapping[str, str | Sequence[Any]],
    *,
    trials: int = 20,
    data: object = None,
    labels: Any = None,
    out: str | Path | None = None,
    seed: int | None = None,
    device: str = "auto",
    threads: int | str | None = None,
    settings: Mapping[str, Any] | None = None,
    storage: str | None = None,
    prune: bool = True,
    progress: Progress | None = None,
) -> Sweep:
    """Look for the settings of a recipe with the best score, ``evaluate.metric``; the same call resumes the search.

    Several processes may make the same call at the same time: each takes trials that no other one has taken.

    Args:
        recipe: a recipe's name, or the path of a ``.toml`` file.
        over: what is varied, by dotted key: a list of choices, or a range as text, ``"0.01..10"`` or
            ``"0.01..10 log"``.
        trials: how many there shall be, those of earlier calls and of other processes among them. The first one has
            the recipe's own values, where these lie in the ranges.
        data, labels, device, threads, settings: as for ``saddle.train``, for all trials. A length for all is a setting.
        out: the folder of the sweep; ``sweeps/RECIPE`` if not given. Each trial is a run folder in it, ``trial-0007``.
        seed: of each trial, and of what is drawn for the trials.
        storage: the URL of a database that Optuna can use, for processes on several machines; a file in ``out`` if
            not given. The study is named like the folder.
        prune: whether a trial is given up as soon as its best score is worse than the median of the others at the
            same point.
        progress: who is told; by default a bar on a terminal, lines elsewhere.

    Raises:
        ConfigError: settings or ranges that make no sense, or Optuna is not installed.
        RunError: the folder cannot be used, holds another search, or the storage does not answer.
        Interrupted: a signal came; the trial is saved, and resumed by the same call.
        SaddleError: see ``saddle.train``. A trial that diverges is counted as failed and ends nothing.
    """
    if find_spec("optuna") is None:
        raise ConfigError("a sweep needs the optuna package", remedy="pip install 'saddle[sweep]'")
    if trials < 1:
        raise ConfigError("there is nothing to train", expected="at least 1 trial", got=trials)
    if processes.count() > 1:
        raise ConfigError(
            "the processes of a sweep train a trial each, and not one together",
            remedy="start the command several times instead of with torchrun",
        )
    progress = progress or for_stream(sys.stderr)
    chosen, layers = load_recipe(recipe), layers_of(settings or {}, data, seed, device, threads)
    if resolve(chosen).precision == "auto":  # what is fastest at the moment must not differ from trial to trial
        layers.insert(0, {"precision": "float32"})
    space = parse_space(over, merge_settings(layers))
    config = check_values(chosen, layers, space)
    if config.members > 1:
        raise ConfigError("a trial is a single run, and no population", got=f"members = {config.members}")
    folder = Path(out) if out is not None else Path("sweeps") / chosen.name
    check_folder(folder)
    store = open_store(config.data, None if isinstance(data, str | Path) else data, labels, progress)
    config = with_scores(config, merge_settings(layers), store)
    plan = Plan(
        name=recipe, recipe=chosen, layers=layers, config=config, space=space, count=trials, out=folder, store=store,
        given=data is not None and not isinstance(data, str | Path), better=better_of(config, store, progress),
        progress=progress,
    )  # fmt: skip

    from saddle.sweeps.study import Search

    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        with _alone(plan):
            search = Search(
                storage or folder / "sweep.journal", folder.resolve().name, space, higher=plan.better == "higher",
                seed=config.seed, first=own_values(config, space), prune=prune,
            )  # fmt: skip
            check_same(plan, search)
    except SaddleError:
        if made:
            with suppress(OSError):  # not if something is in it
                _lock_file(plan).unlink(missing_ok=True)
                for path in made:
                    path.rmdir()
        raise
    if search.most is not None and search.most < trials:
        progress.say(f"there are {search.most} combinations of these choices, so there are no more trials")
        plan = replace(plan, count=search.most)
    while (claimed := _claim(plan, search)) is not None:
        trial, lock = claimed
        with lock:
            _train(plan, search, trial)
        _found(plan, search)
    return _found(plan, search)


def _alone(plan: Plan) -> Any:
    """Hold the sweep's lock; another process that holds it is waited for."""
    return locked(_lock_file(plan), lambda: None)


def _lock_file(plan: Plan) -> Path:
    return plan.out / ".sweep.lock"


def _claim(plan: Plan, search: Search) -> tuple[Asked, ExitStack] | None:
    """A trial to train, with the lock that keeps it from other processes: an interrupted one, or else a new one.

    Returns:
        None if there are enough trials, finished or in the hands of other processes.
    """

    def refuse() -> None:
        raise _Busy

    def take(number: int) -> ExitStack:
        lock, file = ExitStack(), plan.out / f".trial-{number:04}.lock"
        lock.enter_context(locked(file, refuse, patience=0))
        lock.callback(file.unlink, missing_ok=True)  # before it is let go
        return lock

    with _alone(plan):
        trials = search.trials()
        for number in (trial.number for trial in trials if not trial.state.is_finished()):
            # What was begun in another folder is left to those who work there.
            if search.is_own or plan.run(number).exists():
                with suppress(_Busy):
                    lock = take(number)
                    if search.is_unfinished(number):  # still, after it was let go
                        return search.again(number), lock
                    lock.close()
        if len(trials) >= plan.count:
            return None
        trial = search.next()
        return trial, take(trial.number)


def _train(plan: Plan, search: Search, trial: Asked) -> None:
    """Train a trial to its end, or until it is given up."""
    values, run, metric = search.values(trial), plan.run(trial.number), plan.config.evaluate.metric
    plan.progress.say(f"trial {trial.number}: " + ", ".join(f"{key} {shown(value)}" for key, value in values.items()))

    def go_on(entry: Mapping[str, Any]) -> bool:
        score = entry[metric]
        if not math.isfinite(score):
            return True
        behind = search.report(trial, plan.step(entry["images"]), score)
        return not behind or entry["images"] >= plan.total

    failure = ""
    try:
        config = resolve(
            plan.recipe, *plan.layers, as_layer(values), {"evaluate": {"every": plan.config.evaluate.every}}
        )
        if run.exists() and _kind(load_config(run.config).device) != _kind(config.device):
            config = config.model_copy(update={"device": "auto"})  # it goes on where it was begun
        if not _was_given_up(plan, search, trial, run, config):
            train_config(config, data=plan.store, out=run.path, progress=plan.progress, go_on=go_on)
    except _FAILURES as error:
        failure = (error.what if isinstance(error, SaddleError) else str(error)).partition("\n")[
            0
        ] or "too little memory"
        if isinstance(error, ConfigError) and error.details:
            failure += f": {'; '.join(error.details)}"
    scores = run.read_scores() if run.exists() else []
    best = None if failure else best_entry(scores, metric)
    if not failure and best is None:
        failure = f"no {metric} of it is finite"
    pruned = not failure and (not scores or scores[-1]["images"] < plan.total)
    notes: dict[str, Any] = {"failed": failure} if failure else {}
    if best is not None:
        notes = {"score": best[metric], "images": best["images"]}
    if run.exists():
        with suppress(SaddleError):  # a trial without its report is a trial all the same
            report(run.path)
    search.finish(trial, None if best is None else best[metric], pruned=pruned, notes=notes)
    plan.progress.say(f"trial {trial.number}: {_outcome(metric, best, pruned=pruned, failure=failure)}")


def _was_given_up(plan: Plan, search: Search, trial: Asked, run: RunFolder, config: Config) -> bool:
    """Whether a process ended between giving a trial up and noting it."""
    scores = run.read_scores() if run.exists() else []
    if not scores or not scores[-1]["images"] <= read_status(run, config).saved < plan.total:
        return False
    return search.last_step(trial) == plan.step(scores[-1]["images"]) and search.is_behind(trial)


def _kind(device: str) -> str:
    """Such as cuda of cuda:1."""
    return device.partition(":")[0]


def _outcome(metric: str, best: Mapping[str, Any] | None, *, pruned: bool, failure: str) -> str:
    if best is None:
        return f"failed: {failure}"
    score = f"{metric} {best[metric]:.4g} after {best['images']:,} images"
    return f"given up at {score}, behind the median of the others" if pruned else score


def _found(plan: Plan, search: Search) -> Sweep:
    """Everything that is known now, written as a page."""
    with _alone(plan):
        trials = ranked([_read(plan, search, frozen) for frozen in search.trials()], higher=plan.better == "higher")
        best = trials[0].settings if trials and trials[0].state == "finished" else None
        command = None
        if best is not None and not plan.given:
            command = longer(plan.name, plan.recipe, plan.layers, best, len(plan.store), plan.out / "best")
        found = Sweep(trials, plan.config.evaluate.metric, plan.better, plan.out / "sweep.html", command)
        own = own_values(plan.config, plan.space)
        write_page(found, plan.out.resolve().name, plan.recipe.name, plan.space, own)
    return found


def _read(plan: Plan, search: Search, frozen: FrozenTrial) -> Trial:
    notes = frozen.user_attrs
    finished = "finished" if frozen.state.name == "COMPLETE" else "pruned" if "score" in notes else "failed"
    return Trial(
        number=frozen.number,
        state=finished if frozen.state.is_finished() else "unfinished",
        settings=search.values(frozen),
        score=notes.get("score"),
        images=notes.get("images"),
        reason=notes.get("failed", ""),
        path=plan.run(frozen.number).path,
    )
