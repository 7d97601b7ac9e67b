"""Answers that say what went wrong, in the parts of saddle's errors: what, expected, got, remedy."""

from __future__ import annotations

import json
from typing import Any

from saddle.base.text import one_line
from saddle.errors import NotFinite, SaddleError, TooLarge

_LONGEST = 300  # letters of each part: much of it may be what a request said


class Refused(SaddleError):
    """A request that is not carried out.

    Args:
        status: of HTTP.
        what, expected, got, remedy: as of every error of saddle.
    """

    def __init__(self, status: int, what: str, **parts: Any) -> None:
        super().__init__(what, **parts)
        self.status = status


def status_of(error: SaddleError) -> int:
    """Its own, where it has one; else the request cannot be carried out as it is."""
    if isinstance(error, Refused):
        return error.status
    return 500 if isinstance(error, NotFinite) else 413 if isinstance(error, TooLarge) else 422


def explained(error: SaddleError) -> bytes:
    """The parts of an error as JSON; what a request brought is shortened and made printable."""
    parts = {"what": error.what, "expected": error.expected, "got": error.got, "remedy": error.remedy}
    told = {name: one_line(part, _LONGEST) for name, part in parts.items() if part is not None}
    return json.dumps(told).encode()
