"""What a run does when its alarm says that the training has failed: it stops, or goes back and tries other settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saddle.base.progress import Progress
from saddle.config import Config
from saddle.health.rules import FAILED, Verdict
from saddle.runs.folder import RunFolder
from saddle.training.alarm import Alarm
from saddle.training.steering import Steering

_SLOWER = 0.25  # times the learning rates, at each way back
_GAMMA = 1.0  # of the penalty on real samples, where there was none


class Response:
    """Answers an alarm's verdicts from now on, as ``health.on_collapse`` says at that moment: it may be edited.

    Args:
        run, steering, alarm: of the run.
        progress: is told.
    """

    def __init__(self, run: RunFolder, steering: Steering, alarm: Alarm, progress: Progress) -> None:
        self._run, self._steering, self._alarm, self._progress = run, steering, alarm, progress
        alarm.act = self.answer

    def answer(self, verdict: Verdict) -> None:
        """Act on a verdict that was just told."""
        settings = self._steering.config.health
        if verdict.kind not in FAILED or settings.on_collapse == "warn":
            return
        if settings.on_collapse == "stop":
            self._alarm.stopped = verdict.words
            return
        if self._steering.rollbacks >= settings.rollbacks:
            self._progress.say(f"the run has gone back {settings.rollbacks} times (health.rollbacks): it goes on")
            return
        sound = self._alarm.watch.sound_until
        to = max((images for images, _ in self._run.all_checkpoints() if images <= sound), default=None)
        if to is None:
            self._progress.say("there is no checkpoint from before the collapse to go back to: the run goes on")
        else:
            self._steering.go_back(to, gentler(self._steering.config), verdict.kind)

    def sound(self) -> int | None:
        """After how many images a checkpoint would be gone back to; None: the run does not go back."""
        is_used = self._steering.config.health.on_collapse == "rollback"
        return self._alarm.watch.sound_until if is_used else None


def gentler(config: Config) -> dict[str, Any]:
    """Settings that differ from those of ``config`` in what makes a game stable, by dotted key.

    Both learning rates become a quarter, and D's gradient on real samples is penalised where it was not (R1, Mescheder
    et al. 2018).
    """
    settings: dict[str, Any] = {}
    for player in ("generator", "discriminator"):
        rate = getattr(config, player).optimizer.learning_rate
        settings[f"{player}.optimizer.learning_rate"] = (
            _SLOWER * rate if isinstance(rate, float | int) else _scaled(rate.model_dump(mode="json"))
        )
    game = config.game
    if not (game.r1 or game.r2 or game.gradient_penalty or game.clip):
        settings["game.r1"] = _GAMMA
    return settings


def _scaled(schedule: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: _SLOWER * schedule[name] for name in ("value", "to", "minimum") if name in schedule}
    return {**schedule, **values}
