"""Published tables, run again: what is missing is trained and scored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from saddle.api import fork, train_config
from saddle.base.files import unwritable
from saddle.base.machine import find_device
from saddle.base.progress import Progress, Silent
from saddle.config import Config, load_config, load_recipe, resolve
from saddle.errors import Collapsed, ConfigError, Diverged, RunError, TooLarge
from saddle.reproduction.page import DEFAULT_FOLDER, Line, Place, has_reached, scored_file, write_page
from saddle.reproduction.tables import Row, Table, choose_rows, load_table
from saddle.runs.folder import RunFolder
from saddle.scoring.evaluate import evaluate


class Reproduction(NamedTuple):
    """A table as far as it has been run.

    Args:
        table: the original.
        lines: in its order, of all finished runs in the folder, those of earlier calls among them.
        page: where it was written as Markdown.
    """

    table: Table
    lines: list[Line]
    page: Path


def reproduce(
    name: str,
    out: Path | None = None,
    *,
    rows: Collection[str] = (),
    seeds: int | None = None,
    length: float = 1.0,
    quick: bool = False,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Train and score whatever of a table is not there yet, then write it as Markdown.

    Args:
        name: of the table.
        out: folder for the runs, ``NAME/ROW/seed-N``, and the page, ``NAME.md``; ``reproductions`` if not given. Quick
            ones go into its folder ``quick``.
        rows: that are run, by name, all if not given. The page has what the folder holds of the others, too.
        seeds: runs of each row, instead of the table's; of a quick one 1.
        length: the share of its length at which each run ends, in (0, 1]; a larger one later goes on from there. Where
            the best generator is scored, the one at that end stays among those it is chosen from.
        quick: a smoke run, whose figures mean nothing.
        settings: on top of all others, nested, such as a shorter length.
        progress: who is told.

    Raises:
        ConfigError: no such table or row, no seeds, no length, or a folder holds longer runs.
        SaddleError: see ``saddle.train`` and ``saddle.evaluate``; the same call goes on where it stopped. A run that
            diverges is counted and does not end the others.
    """
    table, progress, settings = load_table(name), progress or Silent(), settings or {}
    chosen = choose_rows(table, rows)
    seeds = seeds if seeds is not None else 1 if quick else table.seeds
    if seeds < 1:
        raise ConfigError("there is nothing to run", expected="at least 1 seed", got=seeds)
    if not 0 < length <= 1:
        raise ConfigError("this is no share of a run's length", expected="above 0, at most 1", got=length)
    if "seed" in settings:
        raise ConfigError("a table has its own seeds, 0 and those that follow", remedy="--seeds N says how many")
    place = Place(name, table, out or DEFAULT_FOLDER, quick)
    # All of them first: a setting that does not fit the last row must not show after hours.
    configs = {
        (row.name, seed): _shortened(
            resolve(load_recipe(row.recipe), *place.layers(row), settings, {"seed": seed}), length
        )
        for row in chosen
        for seed in range(seeds)
    }
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(place.folder, error) from error
    lines: list[Line] = []
    for row in chosen:
        _train_together(place.runs(row), [configs[row.name, seed] for seed in range(seeds)], progress)
        for seed in range(seeds):
            progress.say(f"{name}: {row.name}, seed {seed}")
            _run(row, configs[row.name, seed], place, seed, progress)
            lines = write_page(place)
    return Reproduction(table, lines, place.page)


def _train_together(folder: Path, configs: Sequence[Config], progress: Progress) -> None:
    """On a GPU, which one small run leaves idle, train all seeds as one population; each is then a run of its own.

    What it cannot train so, it leaves to be trained one by one: rows that have begun, and what does not fit together.
    """
    runs = [RunFolder(folder / f"seed-{seed}") for seed in range(len(configs))]
    begun = any(run.exists() for run in runs)
    if begun or len(runs) == 1 or find_device(configs[0].device).type != "cuda":
        return
    together = RunFolder(folder / "together")
    progress.say(f"{together.path}: {len(runs)} seeds are trained side by side")
    try:
        train_config(configs[0].model_copy(update={"members": len(runs)}), out=together.path, progress=progress)
    except (ConfigError, Diverged, TooLarge) as error:
        progress.say(f"{together.path}: {error.what}: the seeds are trained one by one")
        return
    for number, run in enumerate(runs):
        with suppress(RunError):  # a member that diverged is trained alone, and is counted there
            fork(together.path, member=number, out=run.path)


def _run(row: Row, config: Config, place: Place, seed: int, progress: Progress) -> None:
    """Train and score one run, as far as that is not done."""
    run = RunFolder(place.runs(row) / f"seed-{seed}")
    if run.exists():
        old = load_config(run.config)
        if _is_longer(old, config) and has_reached(run, config, beyond=True):
            raise ConfigError(
                f"{run.path} holds a longer run", expected=f"at most {_length(config)}", got=_length(old),
                remedy="give another --out",
            )  # fmt: skip
    try:
        train_config(config, out=run.path, progress=progress)
    except (Diverged, Collapsed) as error:
        progress.say(f"{run.path}: {error.what}")
        return
    if row.generator == "best" and not run.best.is_file():
        raise ConfigError(
            f"{run.path} has no best generator", remedy="let evaluate.every be above 0, as this table has it"
        )
    evaluate(
        scored_file(run, row), metrics=place.figures(row), count=place.count(row), seeds=place.table.draws,
        device=config.device, rescore=False, progress=progress,
    )  # fmt: skip


def _shortened(config: Config, share: float) -> Config:
    images, epochs = config.images, config.epochs
    length = {"images": images and max(1, round(images * share)), "epochs": epochs and epochs * share}
    return config.model_copy(update=length)


def _is_longer(old: Config, new: Config) -> bool:
    return (old.epochs or 0) > (new.epochs or 0) or (old.images or 0) > (new.images or 0)


def _length(config: Config) -> str:
    """In words."""
    return f"{config.images:,} images" if config.images else f"{config.epochs:g} epochs"
