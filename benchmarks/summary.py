"""What benchmarks share: the machine and the versions that they ran with, and tables in Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version

VERSIONS = ("torch", "numpy", "pillow", "safetensors")


def machine() -> dict[str, str | int | None]:
    """The machine, and the versions that decide how quick it is; this imports none of them."""
    found: dict[str, str | int | None] = {"cores": os.cpu_count(), "machine": platform.machine()}
    return (
        found | {"system": platform.platform(), "python": platform.python_version()} | {n: version(n) for n in VERSIONS}
    )


def machine_line() -> str:
    """The machine for people."""
    here = machine()
    versions = ", ".join(f"{name} {here[name]}" for name in ("python", *VERSIONS))
    return f"{here['cores']} cores ({here['machine']}), {versions}."


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
