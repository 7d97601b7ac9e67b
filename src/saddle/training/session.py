"""From a config and data to a finished run: opens or continues the run folder, trains, and leaves everything saved."""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import IO, Any

import torch

from saddle.base.files import write_text
from saddle.base.machine import find_device
from saddle.base.progress import Progress
from saddle.config import Config, difference, load_config, to_toml
from saddle.data.scaling import Scaling
from saddle.data.store import Store
from saddle.errors import ConfigError, Diverged, Interrupted, RunError
from saddle.game.rules import make_rule
from saddle.runs.folder import RunFolder
from saddle.show.grid import save_picture
from saddle.show.preview import draw_preview
from saddle.trained.classifier_file import ClassifierHeader
from saddle.trained.generator_file import GeneratorHeader
from saddle.training.assemble import Networks, make_feed, make_players, probe_threads
from saddle.training.checkpoint import Checkpoints
from saddle.training.engine import flush_denormals
from saddle.training.loop import train
from saddle.training.players import Players
from saddle.training.record import Record, check_tensorboard
from saddle.training.scorer import Scorer

# What may change when a run goes on: its length and its intervals. Everything else decides the result.
_MAY_CHANGE = {
    "epochs",
    "images",
    "checkpoint.every",
    "checkpoint.keep",
    "samples.every",
    "evaluate.every",
    "evaluate.metric",
    "evaluate.count",
    "evaluate.extractor",
    "log.every",
    "log.tensorboard",
}


def run_session(config: Config, store: Store, run: RunFolder, networks: Networks, progress: Progress) -> bool:
    """Train to the config's length, going on from the newest good checkpoint when ``run`` holds one.

    Returns:
        False when the run was finished before and nothing was left to do.

    Raises:
        RunError: the folder cannot be used, or holds a run with other settings.
        Diverged: see ``saddle.training.health``; the last good checkpoint stays.
        Interrupted: SIGINT or SIGTERM came; the state is saved.
    """
    flush_denormals()
    if config.log.tensorboard:
        check_tensorboard()
    config = config.model_copy(update={"data": config.data.model_copy(update={"fingerprint": store.fingerprint})})
    config = _recorded(run, config)
    device = find_device(config.device)
    config = config.model_copy(update={"device": str(device), "conditional": _conditional(config, store)})
    total = config.total_images(len(store))
    if total < 1:
        raise ConfigError(
            "this length is less than one image", got=f"epochs = {config.epochs} of {len(store):,} images"
        )
    scaling = Scaling.fit(store, config.generator.network.output)

    def players() -> Players:
        return make_players(config, store, scaling, networks, device)

    if config.threads == "auto":
        config = config.model_copy(update={"threads": probe_threads(config, store, scaling, players(), device)})
    torch.set_num_threads(int(config.threads))

    team = players()  # before the folder is made: what cannot be built leaves nothing behind
    scorer = Scorer(config, run, store, team, scaling, progress)
    run.create()
    with _lock(run), _stop_signals() as stop:
        if not run.exists():
            write_text(run.config, to_toml(config))  # first of all: a folder without it is no run
        _furnish(run, config, store, device)
        record = Record(config, run, store, team, scaling, progress)
        headers = _generator_header(config, store), _classifier_header(config, store)
        checkpoints = Checkpoints(run, config.checkpoint.keep, team, record, scorer, scaling, *headers)
        position = checkpoints.restore(progress.say)
        if position >= total:
            run.diverged.unlink(missing_ok=True)
            return False
        if run.config.read_text(encoding="utf-8") != to_toml(config):
            write_text(run.config, to_toml(config))  # a new length or interval
        if position:
            progress.say(f"going on from {position:,} of {total:,} images seen")
        record.begin(position, total)
        try:
            if position == 0:
                record.draw_samples(0)
            position = train(
                config,
                total,
                position,
                feed=make_feed(config, store, scaling, device),
                rule=make_rule(config.game, team.discriminator.network),
                players=team,
                record=record,
                scorer=scorer,
                checkpoints=checkpoints,
                stopping=lambda: stop.signal is not None,
            )
            if position < total:
                checkpoints.save(position)
            run.diverged.unlink(missing_ok=True)
        except Diverged as error:
            told = _with_last_good(error, run)
            write_text(run.diverged, f"{told.what}\n")
            raise told from None
        finally:
            record.close()
        if position < total and stop.signal is not None:
            raise Interrupted(
                f"stopped at {position:,} of {total:,} images seen; everything is saved in {run.path}",
                signal_number=stop.signal,
                remedy="run the same command again to go on",
            )
    return True


def _recorded(run: RunFolder, config: Config) -> Config:
    """``config`` as the run folder knows it: what ``auto`` chose belongs to the run; other differences are refused."""
    if not run.exists():
        return config
    old = load_config(run.config)
    chosen = {key: getattr(old, key) for key in ("device", "threads", "conditional") if getattr(config, key) == "auto"}
    config = config.model_copy(update=chosen)
    changes = [change for change in difference(old, config) if change[0] not in _MAY_CHANGE]
    if old.data.fingerprint == config.data.fingerprint:
        changes = [change for change in changes if change[0] != "data.source"]  # the same data at another place
    if changes:
        shown = "\n".join(f"    {key}: {before} → {after}" for key, before, after in changes)
        raise RunError(
            f"{run.path} holds a run with other settings; only the length and the intervals may change\n{shown}",
            remedy="give --out another folder, or the settings that the run was started with",
        )
    return config


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


def _generator_header(config: Config, store: Store) -> GeneratorHeader:
    return GeneratorHeader(
        recipe=config.recipe,
        images_seen=0,
        kind=store.kind,
        shape=store.shape,
        class_names=store.class_names if config.conditional else (),
        data=store.name,
        latent=config.latent,
        network=config.generator.network,
        condition=config.generator.condition,
    )


def _classifier_header(config: Config, store: Store) -> ClassifierHeader | None:
    if config.game.rule != "semi_supervised":
        return None
    return ClassifierHeader(
        recipe=config.recipe,
        images_seen=0,
        shape=store.shape,
        class_names=store.class_names,
        labelled=config.data.labelled or 0,
        discriminator=config.discriminator,
    )


def _furnish(run: RunFolder, config: Config, store: Store, device: torch.device) -> None:
    """Make what is missing in the folder; a kill may have come at any moment."""
    run.samples.mkdir(exist_ok=True)
    run.checkpoints.mkdir(exist_ok=True)
    if not run.environment.is_file():
        write_text(run.environment, json.dumps(_environment(config, device), indent=2) + "\n")
    if not run.data_preview.is_file():
        save_picture(draw_preview(store), run.data_preview)


def _environment(config: Config, device: torch.device) -> dict[str, Any]:
    packages = {name: version(name) for name in ("torch", "numpy", "safetensors", "pillow")}
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "saddle": version("saddle"),
        "python": platform.python_version(),
        **packages,
        "platform": platform.platform(),
        "device": str(device),
        "processor": accelerator or platform.machine(),
        "cores": os.cpu_count(),
        "threads": config.threads,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "git_commit": _git_commit(),
    }


def _git_commit() -> str | None:
    """The commit of the working directory, for users who keep their experiments in git."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def _with_last_good(error: Diverged, run: RunFolder) -> Diverged:
    saved = run.all_checkpoints()
    if saved:
        where = f"the last good state, at {saved[-1][0]:,} images seen, is kept in {run.path}"
    else:
        where = "it happened before the first checkpoint, so nothing was saved"
    return Diverged(f"{error.what}; {where}", remedy=error.remedy)


@dataclass
class _Stop:
    signal: int | None = None


@contextmanager
def _stop_signals() -> Generator[_Stop]:
    """Note the first SIGINT or SIGTERM instead of dying of it; a second one acts as usual."""
    stop = _Stop()

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        for each, handler in earlier.items():
            signal.signal(each, handler)

    earlier: dict[int, Any] = {}
    try:
        for each in (signal.SIGINT, signal.SIGTERM):
            earlier[each] = signal.signal(each, note)
    except ValueError:  # not the main thread: the program around us handles signals
        pass
    try:
        yield stop
    finally:
        for each, handler in earlier.items():
            signal.signal(each, handler)


@contextmanager
def _lock(run: RunFolder) -> Generator[None]:
    """Hold the run folder; the lock vanishes with the process, however it dies."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    with run.lock.open("w") as file:
        _take(file, fcntl, run)
        yield


def _take(file: IO[str], fcntl: Any, run: RunFolder) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(
            f"{run.path} is being trained by another process", remedy="wait for it, or give another --out"
        ) from None
