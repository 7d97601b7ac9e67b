"""Every error that saddle raises on purpose: what happened, what was expected, what was found, what to do."""

from __future__ import annotations

from collections.abc import Iterable


class SaddleError(Exception):
    """Base of all errors meant for the user; the command line prints it without a traceback.

    Args:
        what: what went wrong, one sentence.
        expected: what would have been right.
        got: what was found instead.
        remedy: what the user can do now.
        details: what there is to say of each of several things, one line each.
    """

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        got: object = None,
        remedy: str | None = None,
        details: Iterable[str] = (),
    ) -> None:
        self.what = what
        self.expected = expected
        self.got = got
        self.remedy = remedy
        self.details = tuple(details)
        lines = [what, *(f"  {detail}" for detail in self.details)]
        for name, value in (("expected", expected), ("got", got), ("remedy", remedy)):
            if value is not None:
                lines.append(f"  {name}: {value}")
        super().__init__("\n".join(lines))


class ConfigError(SaddleError):
    """A recipe, a key or a value that makes no sense."""


class DataError(SaddleError):
    """Data that cannot be found, read or used."""


class NoSuchSplit(DataError):
    """Data without the split that was asked for."""


class RunError(SaddleError):
    """A run folder that cannot be made, read or continued."""


class CheckpointError(SaddleError):
    """A checkpoint or generator file that is damaged, foreign or cannot be written."""


class DamagedFile(CheckpointError):
    """A file that is cut short, or of which a bit has changed."""


class MetricError(SaddleError):
    """A score that cannot be computed from what was given."""


class NotFinite(SaddleError):
    """Samples that hold NaN or infinity."""


class TooLarge(SaddleError):
    """What would not fit in memory or on disk; found before anything is allocated or written."""


class DeviceError(SaddleError):
    """A device that is not there."""


class Diverged(SaddleError):
    """Losses or weights are no longer finite. The run keeps its last good checkpoint."""

    exit_code = 3


class Collapsed(SaddleError):
    """The run has collapsed, and ``health.on_collapse = stop`` ended it; everything is saved."""

    exit_code = 3


class Interrupted(SaddleError):
    """The run was asked to stop (SIGINT, SIGTERM, ``saddle stop``) and has saved its state.

    Args:
        what: what went wrong, one sentence.
        signal_number: which signal came; 0: none, the run was asked by a request, which is no failure.
        remedy: what the user can do now.
    """

    def __init__(self, what: str, *, signal_number: int, remedy: str | None = None) -> None:
        super().__init__(what, remedy=remedy)
        self.exit_code = 128 + signal_number if signal_number else 0


class ProcessLost(SaddleError):
    """Another process of those that torchrun started has ended, and this one cannot go on without it."""

    exit_code = 4


class Elsewhere(SaddleError):
    """It failed in another of the processes that torchrun started, and that one says why."""

    def __init__(self, what: str, *, exit_code: int) -> None:
        super().__init__(what)
        self.exit_code = exit_code


class ScoreWarning(UserWarning):
    """A score that must be read with care."""
