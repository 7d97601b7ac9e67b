"""What is read back from a run folder: regular files of bounded size, and of their content what makes sense.

Nothing here raises for what it finds: what cannot be used is left out, and ``say`` is told which file, which line and
why. Links are not followed, since a folder may come from a stranger and what it shows may be shared.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from saddle.base.opening import open_regular, read_at_most
from saddle.base.sizes import readable_size

Say = Callable[[str], None]

LOG_SIZE = 2**28  # bytes of a log that are read
_LINE_SIZE = 2**16  # bytes of one line
_PIECE = 2**20  # bytes of a line that is left out, at once
_LEAST_SIZE = 2**7  # that each line counts for: an entry takes memory however short its line is
_NAMES = 200  # different figures in one log
_NAME_SIZE = 100  # letters
_NAMED = 3  # things of one file that are left out and named one by one
NOT_FINITE = ("nan", "inf", "-inf")  # JSON has no such numbers: they are written as text
_LARGEST = 2**63
_CHECKED = ("images", "epoch", "seconds", "best")  # of which not every number will do


def unsaid(_text: str) -> None:
    """The ``say`` of those who need not know what was left out."""


def read_file(path: Path, most: int, say: Say = unsaid) -> bytes | None:
    """The content of a regular file of at most ``most`` bytes; None where there is none, or another thing."""
    try:
        with open_log(path) as file:
            return bytes(read_at_most(file, most))
    except FileNotFoundError:
        return None
    except OSError as error:
        say(f"{path} is left out: {error.strerror or error}")
        return None


def read_text(path: Path, most: int, say: Say = unsaid) -> str | None:
    """As ``read_file``; what is not UTF-8 becomes a replacement character."""
    content = read_file(path, most, say)
    return None if content is None else content.decode(errors="replace")


def read_object(path: Path, most: int, say: Say = unsaid) -> dict[str, Any]:
    """The JSON object that a file holds; empty where there is none."""
    content = read_file(path, most, say)
    if content is None:
        return {}
    try:
        return _object(content)
    except ValueError as error:
        say(f"{path} is damaged and is left out: {error}")
        return {}


def read_entries(
    path: Path,
    say: Say = unsaid,
    *,
    most: float = math.inf,
    unread: Callable[[OSError], None] | None = None,
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The lines of a log that make sense, with what they say: images seen, and figures by name, oldest first.

    A last line without an end was cut short by a kill, if anything, and is no damage.

    Args:
        path: the log; where there is none, there are no lines.
        say: told which lines are left out, and why.
        most: bytes that are read; what comes after them is left out.
        unread: told in the place of ``say`` that the file cannot be read, or not to its end.
    """
    names: set[str] = set()
    number = left_out = 0
    try:
        with open_log(path) as file:
            while most > 0 and (line := file.readline(_LINE_SIZE + 1)):
                number += 1
                whole = line.endswith(b"\n") or len(line) <= _LINE_SIZE
                most -= max(len(line), _LEAST_SIZE)
                try:
                    if not whole:
                        most -= _skip_line(file, most)
                        raise ValueError(f"it has more than {readable_size(_LINE_SIZE)}")
                    entry = read_line(line, names)
                except ValueError as error:
                    if line.endswith(b"\n") or not whole:
                        left_out += 1
                        if left_out <= _NAMED:
                            say(f"{path}: line {number} is damaged and is left out: {error}")
                    continue
                yield line.rstrip(b"\n"), entry
            if most <= 0 and file.read(1):
                say(f"{path} is too long: what comes after line {number:,} is left out")
    except FileNotFoundError:
        return
    except OSError as error:
        if unread is not None:
            unread(error)
        else:
            say(f"{path} is left out: {error.strerror or error}")
    if left_out > _NAMED:
        say(f"{path}: {left_out - _NAMED:,} further lines are damaged and are left out")


def say_left_out(path: Path, left_out: Sequence[str], say: Say) -> None:
    """Say of the first few things in a file that they are left out, and of the others how many there are."""
    for text in left_out[:_NAMED]:
        say(f"{path} is damaged: {text}")
    if len(left_out) > _NAMED:
        say(f"{path} is damaged: {len(left_out) - _NAMED:,} other entries are left out")


def open_log(path: Path) -> io.BufferedReader:
    """Open a regular file that is no link.

    Raises:
        OSError: it is another thing, or not there.
    """
    if path.is_symlink():
        raise OSError(0, "it is a link")
    return open_regular(path)


def _skip_line(file: io.BufferedReader, most: float) -> int:
    """Go to the end of the line, or ``most`` bytes on; how many bytes that are."""
    skipped = 0
    while skipped < most and (piece := file.read(_PIECE)):  # in large pieces: it may be a hole of many GB
        end = piece.find(b"\n") + 1
        skipped += end or len(piece)
        if end:
            file.seek(end - len(piece), io.SEEK_CUR)
            break
    return skipped


def _object(content: bytes) -> dict[str, Any]:
    """Raises:
    ValueError: it is no JSON object, and why.
    """
    try:
        found: Any = json.loads(content.decode())
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    except ValueError:  # of int(), for thousands of digits
        raise ValueError("a number in it is too large") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def read_line(line: bytes, names: set[str]) -> dict[str, Any]:
    """What a line says; ``names`` are those of all lines so far, and grow.

    Raises:
        ValueError: it makes no sense, and why.
    """
    found = _object(line)
    if not found.keys() <= names:
        if not all(name.isprintable() and len(name) <= _NAME_SIZE for name in found):
            raise ValueError(f"a name in it is longer than {_NAME_SIZE} letters, or not printable")
        if len(names | found.keys()) > _NAMES:
            raise ValueError(f"there are more than {_NAMES} different figures")
    entry = {
        name: value if type(value) is float and name not in _CHECKED else _figure(name, value)  # most are such
        for name, value in found.items()
        if value is not None
    }
    if "images" not in entry:
        raise ValueError("it does not say after how many images")
    names |= entry.keys()
    return entry


def _figure(name: str, value: Any) -> float | bool:
    """A value of a line as a number, or as yes or no for ``best``.

    Raises:
        ValueError: it is something else.
    """
    if name == "best":
        if not isinstance(value, bool):
            raise ValueError("best is neither true nor false")
        return value
    if isinstance(value, str) and value in NOT_FINITE:
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number")
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise ValueError(f"{name} is too large")
    if name == "images" and not (isinstance(value, int) and value >= 0):
        raise ValueError("images is not a whole number from 0 on")
    if name in _CHECKED and not 0 <= value < math.inf:
        raise ValueError(f"{name} is not a number from 0 on")
    return value
