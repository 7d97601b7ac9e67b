"""One "did you mean" for names of every sort."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


def suggest(name: str, known: Iterable[str], *, shown: Mapping[str, str] | None = None) -> str | None:
    """The remedy for a name that is not known, such as ``did you mean 'digits'?``; None where nothing is near.

    Args:
        name: what was given.
        known: the names that could have been given.
        shown: what is told in place of a known name.
    """
    by_case = {each.lower(): each for each in known}
    part = name.lower()
    near = get_close_matches(part, by_case, n=1) or [each for each in by_case if len(part) > 2 and part in each]
    if not near:
        return None
    nearest = by_case[near[0]]
    return f"did you mean {nearest if shown is None else shown[nearest]!r}?"
