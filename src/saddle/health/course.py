"""The verdicts over a whole run, from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from saddle.config import Config, load_config
from saddle.errors import RunError
from saddle.health.rules import FIGURES, Verdict, Watch, is_look
from saddle.runs.folder import RunFolder


@dataclass(frozen=True)
class Health:
    """What the log of a run says.

    Args:
        now: the verdict after its last look.
        told: the verdicts that differ from the one before, oldest first.
        notes: what could not be read.
    """

    now: Verdict
    told: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()


def read_health(run: RunFolder) -> Health:
    """The verdicts on a run that goes on or has ended.

    Raises:
        RunError: there is no run, or its log holds no look at samples, and why.
    """
    if not run.exists():
        raise RunError(
            f"{run.path} holds no run", expected="a folder that saddle train made", remedy="see `saddle list`"
        )
    notes: list[str] = []
    log, config = run.read_log(notes.append), load_config(run.config)
    if config.members > 1:
        raise RunError(f"{run.path} is a population", remedy="ask for one of its members: --member 0")
    if (found := health_of(config, log)) is None:
        raise RunError(
            f"the log of {run.path} holds no look at samples, from which health is told",
            expected=f"lines that hold {', '.join(FIGURES)}",
            got=f"{len(log)} lines without" if log else "no lines",
            remedy="a run of fewer than 7,680 images, one of an older version, and a likelihood model have none",
        )
    if (why := run.read_diverged(notes.append)) is not None:
        notes.append(why)
    return replace(found, notes=tuple(notes))


def health_of(config: Config, log: Sequence[Mapping[str, Any]]) -> Health | None:
    """The verdicts on a run with this log; None of a population, and where nobody looked at samples."""
    if config.members > 1 or not any(map(is_look, log)):
        return None
    return judge(log, length(config, log))


def length(config: Config, log: Sequence[Mapping[str, Any]]) -> int:
    """A run's length in images seen; where the config gives it in epochs, as far as its log tells their size."""
    last = log[-1]
    if config.images is not None:
        return config.images
    epoch = last.get("epoch")
    return config.total_images(round(last["images"] / epoch)) if epoch else int(last["images"])


def judge(log: Sequence[Mapping[str, Any]], total: int) -> Health:
    """The verdicts on a run of ``total`` images with this log."""
    watch = Watch(total)
    told: list[Verdict] = []
    for entry in log:
        before = watch.verdict
        if watch.add(entry).kind != before.kind:
            told.append(watch.verdict)
    return Health(watch.verdict, tuple(told))
