"""A sweep as a study of Optuna: where its trials are kept, which values come next, and which trial is given up."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from saddle.base.chance import stream
from saddle.config.resolve import inline_toml
from saddle.errors import RunError
from saddle.sweeps.space import Choices, Range, Space, all_of

_DEFINITION = "saddle"  # the study's attribute that says what is searched
# The median says nothing before so many trials are finished, and the first scores of a run say little about its end.
_TRIALS_BEFORE_PRUNING, _SCORES_BEFORE_PRUNING = 4, 2


class Search:
    """A study in its storage.

    Args:
        place: the file of the sweep's own storage, or the URL of another one.
        name: of the study.
        space: what is searched.
        higher: whether higher scores are better.
        seed: with a trial's number it decides what is drawn for the trial.
        first: values of the first trial; where one does not lie in the space, another is drawn.
        prune: whether trials are given up that are behind the others.

    Raises:
        RunError: the storage does not answer, or holds something else.
    """

    def __init__(
        self,
        place: Path | str,
        name: str,
        space: Space,
        *,
        higher: bool,
        seed: int,
        first: Mapping[str, Any],
        prune: bool,
    ) -> None:
        grid = all_of(space, stream(seed, "trials"), first)
        self.most = len(grid) or None  # trials that there can be
        # What people see of the place, which may be a URL with a password.
        self._place = re.sub(r"(//[^/@:]*:)[^/@]*@", r"\1***@", str(place))
        self._space = space
        self.is_own = isinstance(place, Path)
        pruner: BasePruner = NopPruner()
        if prune:  # scores are numbered from 1
            pruner = MedianPruner(_TRIALS_BEFORE_PRUNING, _SCORES_BEFORE_PRUNING + 1)
        shown = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # that a study was made is no news
        try:
            with self._answering():
                self._storage = _open(place)
                self._study = optuna.create_study(
                    storage=self._storage, study_name=name, load_if_exists=True, pruner=pruner,
                    sampler=_Sampler(seed, [_within(space, values) for values in grid or [first]]),
                    direction="maximize" if higher else "minimize",
                )  # fmt: skip
        finally:
            optuna.logging.set_verbosity(shown)

    def definition(self, new: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the study was begun with: ``new`` where it has only just begun."""
        with self._answering():
            if _DEFINITION not in self._study.user_attrs:
                if self._study.get_trials(deepcopy=False):
                    raise RunError(
                        f"the study {self._study.study_name!r} in {self._place} is not one of saddle's",
                        remedy="give --out another name, since the study is called like that folder",
                    )
                self._study.set_user_attr(_DEFINITION, json.dumps(new))
            return json.loads(self._study.user_attrs[_DEFINITION])

    def trials(self) -> list[FrozenTrial]:
        """All trials in their order, those of other processes among them."""
        with self._answering():
            return self._study.get_trials(deepcopy=False)

    def is_unfinished(self, number: int) -> bool:
        return self.trials()[number].state is TrialState.RUNNING

    def next(self) -> Trial:
        """A new trial with its values."""
        with self._answering():
            return self._study.ask(_distributions(self._space))

    def again(self, number: int) -> Trial:
        """A trial that another process began, or this one earlier, with the same values."""
        with self._answering():
            study_id = self._storage.get_study_id_from_name(self._study.study_name)
            trial = Trial(self._study, self._storage.get_trial_id_from_study_id_trial_number(study_id, number))
            for key, values in self._space.items():  # a kill may have come before all of them were drawn
                _suggest(trial, key, values)
            return trial

    def values(self, trial: Trial | FrozenTrial) -> dict[str, Any]:
        """The settings of a trial, as far as they are drawn."""
        return {
            key: _from_optuna(values, trial.params[key]) for key, values in self._space.items() if key in trial.params
        }

    def report(self, trial: Trial, step: int, score: float) -> bool:
        """Note the score after so many intervals; whether the trial shall be given up.

        A trial that was resumed reports what it reported before.
        """
        with self._answering():
            if step not in self.trials()[trial.number].intermediate_values:
                trial.report(score, step)
            return self.is_behind(trial)

    def is_behind(self, trial: Trial) -> bool:
        """Whether the trial shall be given up for its last score."""
        with self._answering():
            return self._study.pruner.prune(self._study, self.trials()[trial.number])

    def last_step(self, trial: Trial) -> int | None:
        """The number of the score that was reported last."""
        return self.trials()[trial.number].last_step

    def finish(self, trial: Trial, score: float | None, *, pruned: bool, notes: Mapping[str, Any]) -> None:
        """Note how a trial ended.

        Args:
            trial: that ended.
            score: of its best generator; None where the trial has none.
            pruned: whether it was given up.
            notes: what the page says about it.
        """
        with self._answering():
            for key, value in notes.items():
                trial.set_user_attr(key, value)
            # Samplers overlook failed trials, and would propose the same again. One that diverged is rather one that
            # was given up: its settings are no good.
            state = TrialState.PRUNED if pruned or score is None else TrialState.COMPLETE
            self._study.tell(trial.number, score if state is TrialState.COMPLETE else None, state=state)

    @contextmanager
    def _answering(self) -> Generator[None]:
        """Raises RunError: the storage fails in one of the many ways in which storages do."""
        try:
            yield
        except ImportError as error:
            raise RunError(
                f"the storage {self._place} needs a package that is not there", got=error, remedy="install it with pip"
            ) from None
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError, RuntimeError) as error:
            raise RunError(
                f"the storage {self._place} does not answer",
                got=str(error.__cause__ or error).partition("\n")[0],
                remedy="run the same command again when it does: finished trials are kept, the others are resumed",
            ) from None
        except (ValueError, KeyError) as error:
            raise RunError(f"{self._place} cannot be used as a storage", got=str(error).partition("\n")[0]) from None


class _Sampler(BaseSampler):
    """TPE, seeded anew for each trial: what is drawn depends on the trials before, not on when a process began.

    Args:
        seed: with a trial's number it decides what is drawn.
        given: values of the first trials, which are not drawn. The first one has the recipe's own, so that there is
            something to compare the others with.
    """

    def __init__(self, seed: int, given: Sequence[Mapping[str, Any]]) -> None:
        self._seed = seed
        self._given = given
        self._of_trial = TPESampler()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._of_trial = TPESampler(seed=stream(self._seed, "trial", trial.number) % 2**32)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if trial.number < len(self._given):
            return {}
        return self._of_trial.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of_trial.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if trial.number < len(self._given) and param_name in self._given[trial.number]:
            return self._given[trial.number][param_name]
        return self._of_trial.sample_independent(study, trial, param_name, param_distribution)


def _open(place: Path | str) -> BaseStorage:
    if isinstance(place, str):
        return get_storage(place)
    # An absolute path, since the lock beside the file is a link to it.
    return JournalStorage(JournalFileBackend(str(place.resolve())))


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {key: _distribution(values) for key, values in space.items()}


def _distribution(values: Range | Choices) -> BaseDistribution:
    if isinstance(values, Choices):
        return CategoricalDistribution([inline_toml(value) for value in values.values])
    if isinstance(values.low, int) and isinstance(values.high, int):
        return IntDistribution(values.low, values.high, log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _suggest(trial: Trial, key: str, values: Range | Choices) -> None:
    if isinstance(values, Choices):
        trial.suggest_categorical(key, [inline_toml(value) for value in values.values])
    elif isinstance(values.low, int) and isinstance(values.high, int):
        trial.suggest_int(key, values.low, values.high, log=values.log)
    else:
        trial.suggest_float(key, values.low, values.high, log=values.log)


def _within(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _to_optuna(space[key], value) for key, value in values.items() if space[key].holds(value)}


def _to_optuna(values: Range | Choices, value: Any) -> Any:
    """Storages get choices as text, since they know no lists."""
    if isinstance(values, Range):
        return value
    return next(inline_toml(each) for each in values.values if each == value)  # 20000 is 20000.0, too


def _from_optuna(values: Range | Choices, value: Any) -> Any:
    if isinstance(values, Range):
        return value
    return next(each for each in values.values if inline_toml(each) == value)
