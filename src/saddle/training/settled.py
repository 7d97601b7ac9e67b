"""What is decided before a run begins or goes on: by the data, the machine, and an earlier part of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saddle.base import processes
from saddle.base.machine import find_device
from saddle.base.progress import Progress
from saddle.config import Config, decides, difference, load_config
from saddle.config.networks import UNetConfig
from saddle.config.resolve import merge_settings, settle
from saddle.config.schedules import lengths_in
from saddle.data.store import Store
from saddle.errors import ConfigError, RunError
from saddle.networks.unet import noise_of
from saddle.runs.folder import RunFolder
from saddle.runs.status import RECORDED
from saddle.training import plan
from saddle.training.begin import open_source
from saddle.training.likelihood import settled_latent

_REPEATED = 10  # times that a batch may hold each sample: what is larger is a mistake


def length_in(tables: Mapping[str, Any], store: Store) -> int:
    """In images seen, of a config's tables."""
    return Config.model_validate(tables).total_images(len(store))


def settled(
    config: Config, store: Store, run: RunFolder, progress: Progress
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """``config`` with everything that data, machine and an earlier part of the run decide, but for the threads.

    The index of a GPU is no part of it, so that a run can go on on another one.

    Returns:
        Its tables, and of a new run what was found, which they have on top of what was given.

    Raises:
        RunError: the folder holds a run with other settings.
        ConfigError: the settings do not fit the data.
    """
    recorded = load_config(run.config) if run.exists() else None
    known: dict[str, Any] = {"data": {"fingerprint": store.fingerprint}}
    for key in RECORDED if recorded is not None else ():
        if getattr(config, key) == "auto":
            known[key] = getattr(recorded, key)
    known["device"] = find_device(known.get("device", config.device)).type
    if "conditional" not in known:
        known["conditional"] = _conditional(config, store)
    source = None
    if config.begin.source:
        source = open_source(config.begin.source) if recorded is None else None
        found = source.digest if source is not None else recorded and recorded.begin.digest
        if config.begin.digest not in (None, found):
            raise RunError(
                f"{config.begin.source} is not the file that begin.digest names",
                expected=f"SHA-256 {config.begin.digest}",
                got=found,
                remedy="leave begin.digest out, or give that file",
            )
        known["begin"] = {"digest": found}
    if config.learner == "likelihood":
        known["latent"] = settled_latent(config, store)
    if isinstance(config.generator.network, UNetConfig):
        known["latent"] = noise_of(config.generator.network, store.shape).model_dump()
    if recorded is not None:
        known = merge_settings([known, plan.from_record(config, recorded)])
    else:
        decided = config.model_copy(update={"conditional": known["conditional"]})
        chosen = plan.from_data(decided, store, find_device(known["device"]), source)
        known = merge_settings([known, chosen])
    total = known.get("images") or config.total_images(len(store))
    if total < 1:
        raise ConfigError(
            "this length is less than one image", got=f"epochs = {config.epochs} of {len(store):,} images"
        )
    config = settle(config, known, total=total, recorded=recorded)
    if recorded is None:
        _check_count(config, store, progress)
    else:
        _check_same(recorded, config, run)
        if recorded.threads != config.threads != "auto":
            progress.say(
                f"{config.threads} threads instead of {recorded.threads}: from here on, the bytes may differ from "
                "those of a run that kept them"
            )
        ends = lengths_in(config.model_dump())
        if ends and max(ends) < total:
            progress.say(
                f"the schedules of this run were made for {max(ends):,} images: after these, their numbers stay as "
                "they are then"
            )
    return config.model_dump(mode="json"), known if recorded is None else None


def _check_count(config: Config, store: Store, progress: Progress) -> None:
    """Say that a batch holds samples more than once, and refuse one that is far larger than the data.

    Raises:
        ConfigError: with the batch size that the data allow.
    """
    if store.draw is not None or config.batch_size <= len(store):
        return
    part = config.game.packing * processes.count()
    fitting = len(store) // part * part
    remedy = "add some" + (f", or --set batch_size={fitting}" if fitting > 1 else "")
    if config.batch_size > _REPEATED * len(store):
        raise ConfigError(
            f"{store.name} has too few samples for its batches",
            expected=f"at least a tenth of batch_size = {config.batch_size:,}",
            got=len(store),
            remedy=remedy,
        )
    progress.say(
        f"batches of {config.batch_size:,} hold some of the {len(store):,} samples of {store.name} more than once: "
        f"{remedy}"
    )


def _check_same(recorded: Config, config: Config, run: RunFolder) -> None:
    """Refuse to resume a run with settings that decide its result and are not those it began with."""
    changes = [change for change in difference(recorded, config) if decides(change[0])]
    if recorded.data.fingerprint == config.data.fingerprint:
        places = ("data.source", "data.inputs")  # the same data at another place
        changes = [change for change in changes if change[0] not in places]
    if recorded.begin.source and config.begin.source:  # it has begun, and does not need the source again
        changes = [change for change in changes if change[0] != "begin.source"]
    if [change[0] for change in changes] == ["data.fingerprint"]:
        raise RunError(
            f"{run.path} holds a run on other data: those at {config.data.source} have changed since",
            expected=f"fingerprint {recorded.data.fingerprint}",
            got=config.data.fingerprint,
            remedy="give --out another folder, or bring the data back",
        )
    if changes:
        raise RunError(
            f"{run.path} holds a run with other settings; only the length, the intervals, the threads and how it is "
            "scored may change",
            details=(f"  {key}: {before} → {after}" for key, before, after in changes),
            remedy="give --out another folder, or the settings that the run was started with",
        )


def _conditional(config: Config, store: Store) -> bool:
    """Whether labels go to G and D.

    Raises:
        ConfigError: they should, and the data have none.
    """
    if config.conditional == "auto":
        return len(store.class_names) > 1
    if config.conditional and store.labels is None:
        raise ConfigError(
            f"{store.name} has no labels, and this recipe is conditional",
            expected="data with labels: class folders, idx files with labels, or an .npz with `labels`",
            remedy="--set conditional=false trains without",
        )
    return config.conditional
