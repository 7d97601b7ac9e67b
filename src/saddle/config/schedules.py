"""Settings that change over a run, as pure functions of images seen: a continued run needs no memory of them."""

from __future__ import annotations

from saddle.config.schema import ExponentialSchedule, LinearSchedule


def scheduled(value: float, schedule: ExponentialSchedule | LinearSchedule | None, images_seen: int) -> float:
    """``value`` as it stands after ``images_seen``; without a schedule it stays."""
    match schedule:
        case None:
            return value
        case ExponentialSchedule():
            return max(value * (1 / schedule.divisor) ** (images_seen / schedule.every), schedule.minimum)
        case LinearSchedule():
            share = (images_seen - schedule.start) / (schedule.end - schedule.start)
            return value + (schedule.to - value) * min(max(share, 0.0), 1.0)
