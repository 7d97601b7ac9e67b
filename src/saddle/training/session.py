"""From a config and data to a finished run: opens or continues the run folder, trains, and leaves everything saved."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator
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
from saddle.base.progress import Progress, Silent
from saddle.config import Config, to_toml
from saddle.config.keys import identity_of
from saddle.config.resolve import merge_settings, settle
from saddle.data.scaling import Scaling
from saddle.data.splits import open_held_out
from saddle.data.store import Store
from saddle.errors import Collapsed, ConfigError, DataError, Diverged, Interrupted, ProcessLost, RunError
from saddle.runs.control import Inbox
from saddle.runs.folder import RunFolder
from saddle.runs.lock import held
from saddle.scoring.look import Real
from saddle.show.grid import save_picture
from saddle.show.preview import draw_preview
from saddle.trained.files import NetworkHeader
from saddle.training import plan
from saddle.training.alarm import Alarm
from saddle.training.assemble import Networks, make_feed, make_learner, try_out
from saddle.training.begin import begin_from, check_source, open_source
from saddle.training.checkpoint import Checkpoints
from saddle.training.engine import Engine, flush_denormals, recorder_for
from saddle.training.environment import environment
from saddle.training.gan import GAN
from saddle.training.headers import classifier_header, generator_header
from saddle.training.likelihood import Likelihood
from saddle.training.loop import train
from saddle.training.population import Members, PopulationCheckpoints, PopulationRecord, PopulationScorer
from saddle.training.record import Record, check_tensorboard
from saddle.training.response import Response
from saddle.training.scorer import GoOn, Scorer
from saddle.training.settled import length_in, settled
from saddle.training.steering import Steering, prepare_edits

_Lost = TypeVar("_Lost", Diverged, ProcessLost)


def run_session(
    config: Config,
    store: Store,
    run: RunFolder,
    networks: Networks,
    progress: Progress,
    go_on: GoOn | None = None,
    edits: Path | None = None,
) -> bool:
    """Train to the config's length; a run that ``run`` holds is resumed from its newest good checkpoint.

    A new run replays the edits in the file ``edits``, beside those that are asked for while it is trained.
    Where ``go_on``, asked after each score, says no, the run ends there, as if a signal had come: all is saved.

    Returns:
        False when the run was finished before and nothing was left to do.

    Raises:
        RunError: the folder cannot be used, or holds a run with other settings.
        Diverged: see ``saddle.training.health``; the last good checkpoint stays.
        Interrupted: SIGINT, SIGTERM or SIGHUP came, or a request to stop; the state is saved.
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
        processes.first(lambda: Inbox(run).open(progress.say))
        asked, given = config.device, config
        tables, known = processes.first(lambda: settled(given, store, run, progress))
        config = settle(config, tables, total=length_in(tables, store))
        if store.fingerprint != config.data.fingerprint:
            raise DataError(
                f"{store.name} is not the same for all processes", got=f"other data in number {processes.number()}"
            )
        if config.begin.source and not run.all_checkpoints():
            check_source(open_source(config.begin.source), config, store.shape, store.input_channels)
        device = find_device(asked if ":" in asked else config.device)
        scaling = Scaling.fit(store, config.generator.network.output).to(device)
        if known is not None and config.auto:
            progress.say("timing a few rounds on this machine: up to a minute where images are large")
        found = try_out(config, store, scaling, networks, device)
        config = settle(config, found.settings, total=length_in(tables, store))
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
        if isinstance(learner, GAN) and not run.exists():  # what does not fit is refused before there is a folder
            _begin(config, store, learner, Silent())
        scorer = processes.together(lambda: Scorer(config, run, store, learner, scaling, progress, go_on))
        with _stop_signals() as stop:
            return _train(config, store, run, learner, scorer, scaling, progress, stop, edits)


def _train(
    config: Config,
    store: Store,
    run: RunFolder,
    learner: GAN | Likelihood,
    scorer: Scorer,
    scaling: Scaling,
    progress: Progress,
    stop: _Stop,
    edits: Path | None,
) -> bool:
    """Train in the folder that is held now; as ``run_session``."""
    total = config.total_images(len(store))
    processes.first(lambda: _prepare_folder(run, edits, config, store, learner.device, progress))
    record, scorer, checkpoints = _writers(config, store, run, learner, scorer, scaling, progress)
    alarm = record.alarm
    recorder = recorder_for(learner.device, config.execution)
    engine, feed = (
        Engine(learner, config.precision, recorder, progress.say),
        make_feed(config, store, scaling, learner.device),
    )
    steering = Steering(
        config, total, run, learner, engine, feed, record, checkpoints, progress,
        lambda: stop.signal is not None or scorer.stopped or (alarm is not None and alarm.stopped is not None),
    )  # fmt: skip
    if alarm is not None:
        checkpoints.sound = Response(run, steering, alarm, progress).sound
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
    if position == 0 and isinstance(learner, GAN):
        _begin(config, store, learner, progress)
    record.begin(position, total)
    try:
        steering.begin(position)
        if position == 0:
            record.draw_samples(0)
            if config.health.on_collapse == "rollback":  # it may have to begin again
                checkpoints.save(0)
        position = train(
            config,
            total,
            position,
            feed=feed,
            learner=learner,
            engine=engine,
            record=record,
            scorer=scorer,
            checkpoints=checkpoints,
            steering=steering,
        )
        if position < total:
            steering.save(position)
        if processes.is_first():
            run.diverged.unlink(missing_ok=True)
            if config.auto and position >= total:
                _say_prospect(config, run, total, progress)
    except Diverged as error:
        diverged = _with_last_good(error, run)
        if processes.is_first():
            checkpoints.save_best()
            write_text(run.diverged, f"{diverged.what}\n")
        raise diverged from None
    except ProcessLost as error:
        raise _with_last_good(error, run) from None
    finally:
        steering.end()
        record.close()
    if position < total:
        _say_why_it_ended(position, total, run, stop, steering, alarm)
    return True


def _say_why_it_ended(
    position: int, total: int, run: RunFolder, stop: _Stop, steering: Steering, alarm: Alarm | None
) -> None:
    """Raises:
    Interrupted: it was asked to.
    Collapsed: its alarm ended it.
    """
    (signal_number,) = processes.largest(stop.signal or 0)
    if signal_number or steering.stopped:
        raise Interrupted(
            f"stopped at {position:,} of {total:,} images seen; everything is saved in {run.path}",
            signal_number=signal_number,
            remedy="run the same command again to resume",
        )
    why = processes.first(lambda: None if alarm is None else alarm.stopped)
    if why is not None:
        raise Collapsed(
            f"stopped at {position:,} of {total:,} images seen: {why}",
            remedy="everything is saved: --set health.on_collapse=warn resumes it; other settings need another --out",
        )


def _begin(config: Config, store: Store, learner: GAN, progress: Progress) -> None:
    """Give the learner the networks of ``begin.source``, if there is one.

    Raises:
        RunError: the source is another one than the run was set up with.
    """
    if not config.begin.source:
        return
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
    # A likelihood model is slow to sample from, and cannot collapse.
    real = Real.of(store, config.data) if isinstance(learner, GAN) else None
    if config.members == 1 or isinstance(learner, Likelihood):
        sight = learner.sights[0] if isinstance(learner, GAN) else None
        alarm = Alarm(run, config.total_images(len(store)), progress.say)
        record = Record(config, run, store, learner, scaling, progress, sight, real, scorer.note, alarm)
        return record, scorer, Checkpoints(*whose, record, scorer, *how)
    members = Members(config, run, learner, progress)
    members.complete_folders()
    scorer = PopulationScorer(scorer, members)
    record = PopulationRecord(config, run, store, scaling, progress, members, scorer, real)
    return record, scorer, PopulationCheckpoints(*whose, record, scorer, *how, members=members)


def _say_prospect(config: Config, run: RunFolder, total: int, progress: Progress) -> None:
    seconds = float((run.read_log() or [{}])[-1].get("seconds", 0.0))
    if words := plan.prospect(run.read_scores(), config.evaluate.metric, total, seconds):
        progress.say(words)


def _prepare_folder(
    run: RunFolder, edits: Path | None, config: Config, store: Store, device: torch.device, progress: Progress
) -> None:
    """Make what is missing in the folder, once its edits are known to fit."""
    prepare_edits(run, edits, config, config.total_images(len(store)), progress.say)
    _complete_folder(run, config, store, device)


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
