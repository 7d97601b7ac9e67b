"""The whole game.

Algorithm 1 of Goodfellow et al. 2014: in each round D plays ``discriminator_steps`` turns, then G plays one, then the
averaged G follows. What differs between systems lives in the rule, the networks and the recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from saddle.base.chance import stream
from saddle.config.schema import Config, GameConfig
from saddle.game.batch import Batch
from saddle.game.feed import Feed
from saddle.game.rules import PlainRule
from saddle.training.checkpoint import Checkpoints
from saddle.training.health import check_figures
from saddle.training.players import Players
from saddle.training.record import Record
from saddle.training.scorer import Scorer


def play_round(
    game: GameConfig, rule: PlainRule, players: Players, batches: Sequence[Batch], number: int = 0
) -> dict[str, Tensor]:
    """One round.

    Args:
        game: the order of play.
        rule: what the players are scored on.
        players: G and D, which this moves.
        batches: real samples for each of D's turns.
        number: of the round, counted from 0.

    Returns:
        The figures of D's last turn and of G's: detached scalars on the device.
    """
    generator, discriminator = players.generator, players.discriminator
    *earlier, real = batches
    for batch in earlier:
        with torch.no_grad():
            fake = players.generate(len(batch.samples))
        discriminator.step(rule.discriminator_turn(discriminator.network, batch, fake, number).loss)

    with torch.set_grad_enabled(game.share != "nothing"):
        fake = players.generate(len(real.samples))
    if game.share == "pass":  # one judgement scores both, and both move from where they stood
        d_turn, g_turn = rule.joint_turn(discriminator.network, real, fake, number)
        generator.step(g_turn.loss, retain_graph=True)
        discriminator.step(d_turn.loss)
        return d_turn.figures | g_turn.figures

    d_turn = rule.discriminator_turn(discriminator.network, real, fake, number)
    if game.update == "alternating":
        discriminator.step(d_turn.loss)

    if game.share == "nothing":
        fake = players.generate(len(real.samples))
    g_turn = rule.generator_turn(discriminator.network, real, fake)
    generator.step(g_turn.loss)
    if game.update == "simultaneous":  # G has learnt from D as it was; now D moves too
        discriminator.step(d_turn.loss)
    return d_turn.figures | g_turn.figures


def train(
    config: Config,
    total: int,
    position: int,
    *,
    feed: Feed,
    rule: PlainRule,
    players: Players,
    record: Record,
    scorer: Scorer,
    checkpoints: Checkpoints,
    stopping: Callable[[], bool],
) -> int:
    """Play rounds from ``position`` until ``total`` images were seen or ``stopping()`` says so.

    Everything random in a round comes from the stream of (seed, position), so that a run continued at a position
    goes on as if it had never stopped. Nothing in a round waits for the device, except where an interval ends.

    Returns:
        The position reached: at least ``total``, unless stopped.

    Raises:
        Diverged: losses or weights are not finite.
    """
    game, batch = config.game, config.batch_size
    while position < total and not stopping():
        seed_everything(stream(config.seed, "round", position), players.device)
        players.schedule(position)
        start = position
        batches = [feed.batch(start + turn * batch, batch) for turn in range(game.discriminator_steps)]
        figures = play_round(game, rule, players, batches, start // (batch * game.discriminator_steps))
        position = start + batch * game.discriminator_steps
        players.follow(position, position - start)

        record.add(figures, position)
        last = position >= total
        if last or crosses(start, position, config.log.every):
            check_figures(record.write(position), position)
        if last or crosses(start, position, config.samples.every):
            record.draw_samples(position)
        best = (last or crosses(start, position, config.evaluate.every)) and scorer.is_best(position)
        if best or last or crosses(start, position, config.checkpoint.every):
            checkpoints.save(position)
    return position


def crosses(before: int, after: int, every: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, after]; never if ``every`` is 0."""
    return every > 0 and after // every > before // every


def seed_everything(seed: int, device: torch.device) -> None:
    """Seed the global generators that networks draw from on the CPU and on ``device``."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
