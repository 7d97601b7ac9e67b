"""Chance decided by (seed, position): every random draw comes from a stream named by the run's seed and a place."""

from __future__ import annotations

from hashlib import blake2b


def stream(seed: int, *place: str | int) -> int:
    """A 63-bit seed for the stream of ``seed`` at ``place``, such as ``stream(0, "round", 12800)``.

    Streams of different places are independent for all practical purposes, and no stream depends on what was drawn
    before: a run continued at a position draws what the uninterrupted run drew there.
    """
    text = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
