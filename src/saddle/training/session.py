"""From a config and data to a finished run: opens or continues the run folder, trains, and leaves everything saved."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import nn

from saddle.base import processes
from saddle.base.files import write_text
from saddle.base.machine import bound_spinning, find_device, keep_freed_memory, stop_signals
from saddle.base.progress import Progress
from saddle.config import Config, decides, difference, load_config, to_toml
from saddle.config.keys import identity_of
from saddle.config.networks import UNetConfig
from saddle.config.resolve import merge_settings, settle
from saddle.config.schedules import lengths_in
from saddle.data.scaling import Scaling
from saddle.data.splits import open_held_out
from saddle.data.store import Store
from saddle.errors import ConfigError, DataError, Diverged, Interrupted, ProcessLost, RunError
from saddle.networks.unet import noise_of
from saddle.runs.folder import RunFolder
from saddle.runs.lock import held
from saddle.runs.status import RECORDED
from saddle.show.grid import save_picture
from saddle.show.preview import draw_preview
from saddle.trained.files import NetworkHeader
from saddle.training import plan
from saddle.training.assemble import Networks, make_feed, make_learner, try_out
from saddle.training.begin import begin_from, check_source, open_source
from saddle.training.checkpoint import Checkpoints
from saddle.training.engine import Engine, flush_denormals, recorder_for
from saddle.training.environment import environment
from saddle.training.gan import GAN
from saddle.training.headers import classifier_header, generator_header
from saddle.training.likelihood import Likelihood, settled_latent
from saddle.training.loop import train
from saddle.training.population import Members, PopulationCheckpoints, PopulationRecord, PopulationScorer
from saddle.training.record import Record, check_tensorboard
from saddle.training.scorer import GoOn, Scorer

_Lost = TypeVar("_Lost", Diverged, ProcessLost)


def run_session(
    config: Config, store: Store, run: RunFolder, networks: Networks, progress: Progress, go_on: GoOn | None = None
) -> bool:
    """Train to the config's length; a run that ``run`` holds is resumed from its newest good checkpoint.

    Where ``go_on``, asked after each score, says no, the run ends there, as if a signal had come: all is saved.

    Returns:
        False when the run was finished before and nothing was left to do.

    Raises:
        RunError: the folder cannot be used, or holds a run with other settings.
        Diverged: see ``saddle.training.health``; the last good checkpoint stays.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; the state is saved.
        ProcessLost: of several processes that train together, another one has died.
    """
    processes.check_shares(config.batch_size, "a batch", multiple=config.game.packing)
    if processes.count() > 1 and config.members > 1:
        raise ConfigError(
            "a population is trained by one process", got=f"{processes.count()}", remedy="start it without torchrun"
        )
    flush_denormals()
    keep_freed_memory()
    if store.inputs is not None:  # pictures and scores show what becomes of inputs that no training sees
        store = replace(store, held_out=open_held_out(config.data, store, progress=progress))
    if config.log.tensorboard:
        check_tensorboard()
    with ExitStack() as stack:
        # First of all: what the folder holds must not change once it was compared.
        processes.first(lambda: stack.enter_context(held(run)))
        asked, given = config.device, config
        tables, known = processes.first(lambda: _settled(given, store, run, progress))
        config = settle(config, tables, total=_length(tables, store))
        if store.fingerprint != config.data.fingerprint:
            raise DataError(
                f"{store.name} is not the same for all processes", got=f"other data in number {processes.number()}"
            )
        if config.begin.source and not run.all_checkpoints():
            check_source(open_source(config.begin.source), config, store.shape, store.input_channels)
        device = find_device(asked if ":" in asked else config.device)
        scaling = Scaling.fit(store, config.generator.network.output).to(device)
        found = try_out(config, store, scaling, networks, device)
        config = settle(config, found.settings, total=_length(tables, store))
        if known is not None and found.speed is not None:
            seconds, score = processes.first(lambda speed=found.speed: speed)
            chosen = plan.from_speed(config, store, seconds, score)
            length = chosen.get("images", config.total_images(len(store)))
            config = settle(given, merge_settings([known, found.settings, chosen]), total=length)
            progress.say(plan.in_words(config, store, seconds))
        torch.set_num_threads(int(config.threads))
        if int(config.threads) > 1 and not bound_spinning():
            progress.say(
                "torch was imported before saddle, so its threads wait for each other without a bound, which makes "
                "them slow where other work runs too: import saddle first, or set GOMP_SPINCOUNT=1000"
            )
        learner = make_learner(config, store, scaling, networks, device)
        scorer = processes.together(lambda: Scorer(config, run, store, learner, scaling, progress, go_on))
        with _stop_signals() as stop:
            return _train(config, store, run, learner, scorer, scaling, progress, stop)


def _length(tables: Mapping[str, Any], store: Store) -> int:
    """In images seen, of a config's tables."""
    return Config.model_validate(tables).total_images(len(store))


def _train(
    config: Config,
    store: Store,
    run: RunFolder,
    learner: GAN | Likelihood,
    scorer: Scorer,
    scaling: Scaling,
    progress: Progress,
    stop: _Stop,
) -> bool:
    """Train in the folder that is held now; as ``run_session``."""
    total = config.total_images(len(store))
    processes.first(lambda: _complete_folder(run, config, store, learner.device))
    record, scorer, checkpoints = _writers(config, store, run, learner, scorer, scaling, progress)
    position = checkpoints.restore(progress.say)
    if position >= total:
        if processes.is_first():
            run.diverged.unlink(missing_ok=True)
            checkpoints.regain(position, progress.say)
        return False
    if processes.is_first() and run.config.read_text(encoding="utf-8") != to_toml(config):
        write_text(run.config, to_toml(config))  # a new length or interval
    if position:
        progress.say(f"resuming at {position:,} of {total:,} images seen")
    if position == 0 and config.begin.source:
        assert isinstance(learner, GAN)
        _begin(config, store, learner, progress)
    record.begin(position, total)
    try:
        if position == 0:
            record.draw_samples(0)
        position = train(
            config,
            total,
            position,
            feed=make_feed(config, store, scaling, learner.device),
            learner=learner,
            engine=Engine(learner, config.precision, recorder_for(learner.device, config.execution), progress.say),
            record=record,
            scorer=scorer,
            checkpoints=checkpoints,
            stopping=lambda: stop.signal is not None or scorer.stopped,
        )
        if position < total:
            checkpoints.save(position)
        if processes.is_first():
            run.diverged.unlink(missing_ok=True)
            if config.auto and position >= total:
                _say_prospect(config, run, total, progress)
    except Diverged as error:
        diverged = _with_last_good(error, run)
        if processes.is_first():
            write_text(run.diverged, f"{diverged.what}\n")
        raise diverged from None
    except ProcessLost as error:
        raise _with_last_good(error, run) from None
    finally:
        record.close()
    (signal_number,) = processes.largest(stop.signal or 0)
    if position < total and signal_number:
        raise Interrupted(
            f"stopped at {position:,} of {total:,} images seen; everything is saved in {run.path}",
            signal_number=signal_number,
            remedy="run the same command again to resume",
        )
    return True


def _begin(config: Config, store: Store, learner: GAN, progress: Progress) -> None:
    """Give the learner the networks of ``begin.source``.

    Raises:
        RunError: the source is another one than the run was set up with.
    """
    source = open_source(config.begin.source)
    if source.digest != config.begin.digest:
        raise RunError(
            f"{source.path} has changed since this run was set up", expected=f"SHA-256 {config.begin.digest}",
            got=source.digest, remedy="give another --out",
        )  # fmt: skip
    for sentence in begin_from(source, learner, store.class_names if config.conditional else ()):
        progress.say(sentence)


def _writers(
    config: Config,
    store: Store,
    run: RunFolder,
    learner: GAN | Likelihood,
    scorer: Scorer,
    scaling: Scaling,
    progress: Progress,
) -> tuple[Record, Scorer, Checkpoints]:
    """What writes the run down: for a population, of each member."""
    further: list[tuple[Path, nn.Module, NetworkHeader]] = []
    if isinstance(learner, GAN) and config.game.rule == "semi_supervised":
        further = [(run.classifier, learner.averaged_discriminator, classifier_header(config, store))]
    whose = run, identity_of(config), config.checkpoint.keep, learner
    how = scaling, generator_header(config, store), further
    if config.members == 1 or isinstance(learner, Likelihood):
        sight = learner.sights[0] if isinstance(learner, GAN) else None
        record = Record(config, run, store, learner, scaling, progress, sight)
        return record, scorer, Checkpoints(*whose, record, scorer, *how)
    members = Members(config, run, learner, progress)
    members.complete_folders()
    record, scorer = PopulationRecord(config, run, store, scaling, progress, members), PopulationScorer(scorer, members)
    return record, scorer, PopulationCheckpoints(*whose, record, scorer, *how, members=members)


def _settled(
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
    if config.begin.source and recorded is None:
        source = open_source(config.begin.source)
        known["begin"] = {"digest": source.digest}
    elif config.begin.source and recorded is not None:
        known["begin"] = {"digest": recorded.begin.digest}
    if config.learner == "likelihood":
        known["latent"] = settled_latent(config, store)
    if isinstance(config.generator.network, UNetConfig):
        known["latent"] = noise_of(config.generator.network, store.shape).model_dump()
    if recorded is not None:
        known = merge_settings([known, plan.from_record(config, recorded)])
    else:
        chosen = plan.from_data(config, store, find_device(known["device"]), source)
        known = merge_settings([known, chosen])
    total = known.get("images") or config.total_images(len(store))
    if total < 1:
        raise ConfigError(
            "this length is less than one image", got=f"epochs = {config.epochs} of {len(store):,} images"
        )
    config = settle(config, known, total=total, recorded=recorded)
    if recorded is not None:
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


def _check_same(recorded: Config, config: Config, run: RunFolder) -> None:
    """Refuse to resume a run with settings that decide its result and are not those it began with."""
    changes = [change for change in difference(recorded, config) if decides(change[0])]
    if recorded.data.fingerprint == config.data.fingerprint:
        places = ("data.source", "data.inputs")  # the same data at another place
        changes = [change for change in changes if change[0] not in places]
    if recorded.begin.source and config.begin.source:  # it has begun, and does not need the source again
        changes = [change for change in changes if change[0] != "begin.source"]
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


def _say_prospect(config: Config, run: RunFolder, total: int, progress: Progress) -> None:
    seconds = float((run.read_log() or [{}])[-1].get("seconds", 0.0))
    if words := plan.prospect(run.read_scores(), config.evaluate.metric, total, seconds):
        progress.say(words)


def _complete_folder(run: RunFolder, config: Config, store: Store, device: torch.device) -> None:
    """Make what is missing in the folder; a kill may have come at any moment."""
    if not run.exists():
        write_text(run.config, to_toml(config))  # first of all: a folder without it is no run
    run.samples.mkdir(exist_ok=True)
    run.checkpoints.mkdir(exist_ok=True)
    if not run.environment.is_file():
        write_text(run.environment, json.dumps(environment(config, device), indent=2) + "\n")
    if not run.data_preview.is_file():
        save_picture(draw_preview(store), run.data_preview)


def _with_last_good(error: _Lost, run: RunFolder) -> _Lost:
    saved = run.all_checkpoints()
    if saved:
        where = f"the last good state, at {saved[-1][0]:,} images seen, is kept in {run.path}"
    else:
        where = "it happened before the first checkpoint, so nothing was saved"
    return type(error)(f"{error.what}; {where}", got=error.got, remedy=error.remedy)


@dataclass
class _Stop:
    signal: int | None = None


@contextmanager
def _stop_signals() -> Generator[_Stop]:
    """Note the first of ``stop_signals`` instead of dying of it; a second one acts as usual."""
    stop = _Stop()

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        for each, handler in earlier.items():
            signal.signal(each, handler)

    earlier: dict[int, Any] = {}
    try:
        for each in stop_signals():
            earlier[each] = signal.signal(each, note)
    except ValueError:  # not the main thread: the program around us handles signals
        pass
    try:
        yield stop
    finally:
        for each, handler in earlier.items():
            signal.signal(each, handler)
