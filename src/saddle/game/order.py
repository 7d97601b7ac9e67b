"""In which order D and G play: a round as data."""

from __future__ import annotations

from enum import Enum, auto

from saddle.config.schema import GameConfig


class Step(Enum):
    """One step of a round."""

    SAMPLE = auto()  # G draws samples that only D learns from
    SAMPLE_FOR_BOTH = auto()  # G draws samples that it learns from too
    SCORE_D = auto()
    SCORE_G = auto()
    SCORE_BOTH = auto()  # from one and the same judgement
    MOVE_D = auto()
    MOVE_G = auto()


_D_ALONE = (Step.SAMPLE, Step.SCORE_D, Step.MOVE_D)
# D's last turn and G's, by ``game.update`` and ``game.share``.
_LAST: dict[tuple[str, str], tuple[Step, ...]] = {
    ("alternating", "nothing"): (*_D_ALONE, Step.SAMPLE_FOR_BOTH, Step.SCORE_G, Step.MOVE_G),
    ("alternating", "samples"): (Step.SAMPLE_FOR_BOTH, Step.SCORE_D, Step.MOVE_D, Step.SCORE_G, Step.MOVE_G),
    ("simultaneous", "nothing"): (
        *(Step.SAMPLE, Step.SCORE_D, Step.SAMPLE_FOR_BOTH, Step.SCORE_G),
        *(Step.MOVE_G, Step.MOVE_D),  # G has learnt from D as it was
    ),
    ("simultaneous", "samples"): (Step.SAMPLE_FOR_BOTH, Step.SCORE_D, Step.SCORE_G, Step.MOVE_G, Step.MOVE_D),
    ("simultaneous", "pass"): (Step.SAMPLE_FOR_BOTH, Step.SCORE_BOTH, Step.MOVE_G, Step.MOVE_D),
}


def order_of_play(game: GameConfig) -> tuple[tuple[Step, ...], ...]:
    """The steps of a round, those of each of D's turns together: G plays once, after D's last turn or with it."""
    return (*[_D_ALONE] * (game.discriminator_steps - 1), _LAST[game.update, game.share])
