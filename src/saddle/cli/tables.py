"""Lines and tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from saddle.base.columns import aligned
from saddle.base.text import printable


def print_line(text: str) -> None:
    """Print text that stays on one line, whatever is in the names that it holds."""
    print(printable(text))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with columns as wide as their widest cell."""
    print(aligned([[printable(cell) for cell in row] for row in rows]))
