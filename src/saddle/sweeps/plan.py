"""What all trials of a sweep share, and whether it is what the folder's sweep was begun with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from saddle.base.progress import Progress
from saddle.config import Config, Recipe, difference
from saddle.config.keys import role
from saddle.config.resolve import merge_settings, nest
from saddle.config.section import Role
from saddle.data.splits import open_held_out, open_validation
from saddle.data.store import Store
from saddle.errors import ConfigError, RunError
from saddle.features.extractors import find_extractor
from saddle.runs.folder import RunFolder
from saddle.scoring.sides import RealData
from saddle.sweeps.space import Choices, Range
from saddle.training.scorer import deciding

if TYPE_CHECKING:
    from saddle.sweeps.study import Search

_SCORES = 10  # in a trial, unless the user gives the interval
# What may differ from one call of a sweep to the next: another machine, another place of the same data.
_MAY_DIFFER = ("device", "data.source")


@dataclass(frozen=True)
class Plan:
    """What all trials share.

    Args:
        name: of the recipe, as the user gave it; ``recipe``: itself.
        layers: of settings on top of it; ``config``: what comes of both, with the interval of scores.
        space: what is varied.
        count: how many trials there shall be.
        out: the folder of the sweep.
        store: the data; ``given``: whether they are an object of the user's.
        better: which scores are better.
        progress: who watches.
    """

    name: str
    recipe: Recipe
    layers: Sequence[Mapping[str, Any]]
    config: Config
    space: Mapping[str, Range | Choices]
    count: int
    out: Path
    store: Store
    given: bool
    better: Literal["lower", "higher"]
    progress: Progress

    def run(self, number: int) -> RunFolder:
        return RunFolder(self.out / f"trial-{number:04}")

    @property
    def total(self) -> int:
        return self.config.total_images(len(self.store))

    def step(self, images: int) -> int:
        """Which score of a trial this is, from 1: equal for trials of different batch sizes."""
        every = self.config.evaluate.every
        return -(-self.total // every) if images >= self.total else images // every


def layers_of(
    settings: Mapping[str, Any], data: object, seed: int | None, device: str, threads: int | str | None
) -> list[Mapping[str, Any]]:
    """What the user set for all trials, as layers on top of the recipe."""
    named = {"seed": seed, "threads": threads, "device": None if device == "auto" else device}
    layers: list[Mapping[str, Any]] = [
        merge_settings(nest(key.split("."), value) for key, value in settings.items()),
        {key: value for key, value in named.items() if value is not None},
    ]
    if data is not None:
        layers.append({"data": {"source": str(data) if isinstance(data, str | Path) else type(data).__name__}})
    return layers


def check_folder(folder: Path) -> None:
    """Find out early whether a sweep can live here; makes nothing.

    Raises:
        RunError: the path is a file, or a folder of something else.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file", expected="a folder for the sweep", remedy="give another --out")
    ours = (".", "sweep.", "trial-", "best")
    foreign = [path.name for path in folder.iterdir() if not path.name.startswith(ours)] if folder.exists() else []
    if foreign:
        raise RunError(
            f"{folder} is not empty and holds no sweep",
            expected="a new or empty folder, or the folder of a sweep to resume",
            got=sorted(foreign)[0],
            remedy="give another --out",
        )


def with_scores(config: Config, settings: Mapping[str, Any], store: Store) -> Config:
    """The config with the interval of scores that the user set, or one that gives about ten."""
    if "every" not in settings.get("evaluate", {}):
        every = max(1, -(-config.total_images(len(store)) // _SCORES))
        return config.model_copy(update={"evaluate": config.evaluate.model_copy(update={"every": every})})
    if not config.evaluate.every:
        raise ConfigError("a sweep compares scores", expected="evaluate.every above 0", got=0)
    return config


def better_of(config: Config, store: Store, progress: Progress) -> Literal["lower", "higher"]:
    """Which scores are better.

    Raises:
        ConfigError: the metric does not fit the data.
    """
    extractor = find_extractor(config.evaluate.extractor, store)
    held_out, validation = open_held_out(config.data, store), open_validation(config.data, store)
    return deciding(config, RealData(store, held_out, validation, extractor, progress))[1]


def check_same(plan: Plan, search: Search) -> None:
    """Compare the plan with what the sweep was begun with, and note it down where it begins now.

    Raises:
        RunError: the folder or the storage holds another search.
    """
    config = plan.config.model_copy(
        update={"data": plan.config.data.model_copy(update={"fingerprint": plan.store.fingerprint})}
    )
    over = {key: str(values) for key, values in plan.space.items()}
    begun = search.definition({"over": over, "config": config.model_dump(mode="json")})
    try:
        recorded = Config.model_validate(begun["config"])
    except (ValidationError, KeyError):
        raise RunError(f"the sweep in {plan.out} was begun by another version of saddle") from None
    changes: list[tuple[Any, ...]] = [
        change
        for change in difference(recorded, config)
        if role(change[0]) not in (Role.THREADS, Role.WATCH, Role.EVENTS) and change[0] not in _MAY_DIFFER
    ]
    keys = dict.fromkeys((*begun["over"], *over))
    changes += [(f"over {key}", begun["over"].get(key, "–"), over.get(key, "–")) for key in keys]
    details = [f"{key}: {before} → {after}" for key, before, after in changes if before != after]
    if details:
        raise RunError(
            f"{plan.out} holds another sweep",
            details=details,
            remedy="give --out another folder, or what the sweep was begun with",
        )
