"""Folders as their files, and looks at them of which each counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from saddle.errors import SaddleError

Files = dict[str, bytes]  # a folder, by the names of the files in it


def files_in(folder: Path, inside: str = "") -> Files:
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {inside + name: path.read_bytes() for name, path in found.items()}


def write_files(folder: Path, files: Files) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def all_of(*looks: Callable[[], object]) -> None:
    """Take all of them, also where the first refuses; then raise the first refusal."""
    refusals: list[SaddleError] = []
    for look in looks:
        try:
            look()
        except SaddleError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]
