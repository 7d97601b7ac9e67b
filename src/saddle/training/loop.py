"""The loop: rounds from a position to the end of the run, and what is written down where an interval ends.

It is the outer loop of Algorithm 1 of Goodfellow et al. 2014. What a round is, the learner knows; how it is executed,
the engine. What differs between systems lives in the rule, the networks and the recipe.
"""

from __future__ import annotations

from typing import NamedTuple

from saddle.base import processes
from saddle.base.chance import stream
from saddle.config.schema import Config
from saddle.game.feed import Feed
from saddle.scoring.look import COUNT
from saddle.training.checkpoint import Checkpoints
from saddle.training.engine import Engine
from saddle.training.health import check_figures
from saddle.training.learner import Learner
from saddle.training.record import Record
from saddle.training.scorer import Scorer
from saddle.training.steering import Steering

# What `auto` means: so many log lines, sample grids and checkpoints in a run. A checkpoint also comes when the last one
# is older than this.
_LINES, _GRIDS, _CHECKPOINTS = 50, 20, 10
_CHECKPOINT_SECONDS = 300.0
# The least images seen from one look to the next, of which its samples are a thirtieth.
LOOK = 30 * COUNT


class Intervals(NamedTuple):
    """After how many images seen each thing is written; 0: never.

    Args:
        log, samples, evaluate, checkpoint: the intervals.
        look: a multiple of ``log``, so that the samples that are looked at are few beside the images seen.
        checkpoint_seconds: a checkpoint also comes when the last one is older than this; infinite: never for that.
    """

    log: int
    look: int
    samples: int
    evaluate: int
    checkpoint: int
    checkpoint_seconds: float

    @classmethod
    def of(cls, config: Config, total: int) -> Intervals:
        """The intervals of a run of ``total`` images."""

        def every(setting: int | str, parts: int) -> int:
            return setting if isinstance(setting, int) else max(1, total // parts)

        log = every(config.log.every, _LINES)
        return cls(
            log=log,
            look=log * -(-LOOK // log),
            samples=every(config.samples.every, _GRIDS),
            evaluate=config.evaluate.every,
            checkpoint=every(config.checkpoint.every, _CHECKPOINTS),
            checkpoint_seconds=_CHECKPOINT_SECONDS if config.checkpoint.every == "auto" else float("inf"),
        )


def train(
    config: Config,
    total: int,
    position: int,
    *,
    feed: Feed,
    learner: Learner,
    engine: Engine,
    record: Record,
    scorer: Scorer,
    checkpoints: Checkpoints,
    steering: Steering,
) -> int:
    """Play rounds from ``position`` until ``total`` images were seen or ``steering`` says so.

    Everything random in a round comes from the stream of (seed, position), so that a run continued at a position
    goes on as if it had never stopped. Nothing in a round waits for the device, except where an interval ends.

    Returns:
        The position reached: at least ``total``, unless stopped.

    Raises:
        Diverged: losses or weights are not finite.
    """
    batch, intervals = config.batch_size, Intervals.of(steering.config, total)
    images = batch * learner.turns  # that a round takes
    while position < total:
        # Whether to stop, whether something is asked, and whether a checkpoint is overdue, several processes must see
        # alike.
        overdue_here = checkpoints.age > intervals.checkpoint_seconds
        stop, asked, overdue = processes.largest(steering.stops(), steering.is_asked(position), overdue_here)
        if stop:
            break
        if asked:
            position = steering.answer(position)
            intervals = Intervals.of(steering.config, total)
            continue
        start = position
        learner.schedule(start)
        batches = [feed.batch(start + turn * batch, batch) for turn in range(learner.turns)]
        figures = engine.play(batches, start // images, stream(config.seed, "round", start))
        position = start + images
        learner.follow(position, images)

        def due(every: int, start: int = start, position: int = position) -> bool:
            return position >= total or crosses(start, position, every)

        record.add(figures, position)
        if due(intervals.log):
            look = crosses(start, position, intervals.look) or (
                position >= total >= LOOK and _is_new(position, intervals)
            )
            check_figures(record.write(position, look=look), position)
        if due(intervals.samples):
            record.draw_samples(position)
        if due(intervals.evaluate):
            with record.paused():
                scorer.score(position)
        if due(intervals.checkpoint) or overdue:
            checkpoints.save(position)
    return position


def _is_new(position: int, intervals: Intervals) -> bool:
    """Whether the last look lies so far back that another one at the end tells something new."""
    return 2 * (position % intervals.look) >= intervals.look


def crosses(before: int, after: int, every: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, after]; never if ``every`` is 0."""
    return every > 0 and after // every > before // every
