"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from saddle.base.columns import aligned
from saddle.base.text import printable


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with columns as wide as their widest cell."""
    print(aligned([[printable(cell) for cell in row] for row in rows]))


def readable_size(count: float) -> str:
    """So many bytes for people, such as ``12.3 kB``."""
    if count < 1000:
        return f"{count:,.0f} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:,.1f} GB"
