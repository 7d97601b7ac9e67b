"""Tables of numbers: ``.csv`` files. Rows are points and columns are their coordinates."""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np

from saddle.base.opening import open_regular
from saddle.base.sizes import check_memory
from saddle.config.schema import DataConfig
from saddle.data.formats.arrays import PIECE, from_array
from saddle.data.formats.reading import reading
from saddle.data.store import Store
from saddle.errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv")

LONGEST = 2**23  # characters of a row; more are a mistake or an attack
_DELIMITERS = ",;\t"
_SHOWN = 50  # names in a message, and letters of each


def open_table(path: Path, config: DataConfig) -> Store:
    """The columns of a table that ``config.columns`` names, or all, as points (N, columns).

    Cells are separated by commas, semicolons or tabs. The first row is a header if one of its cells is text. Columns
    that are not asked for may have any content. All rows are in the store, whatever ``config.split`` says; see
    ``saddle.data.held_out.take_part``.

    Raises:
        DataError: an unreadable file, an unknown column, rows of different lengths, or a cell that is no finite number.
        TooLarge: the table would not fit in memory.
    """
    with (
        reading(path, "table", expected="text in UTF-8 with one row on each line"),
        open_regular(path) as raw,
        io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file,
    ):
        values, names = _read(path, file, config.columns)
    if not values:
        raise DataError(f"{path} holds no data")
    table = np.asarray(values).reshape(-1, len(names))
    store = from_array(path.name, table, None, config.model_copy(update={"columns": None}))
    return replace(store, notes=(("columns", _some(names)),))


def _read(path: Path, file: TextIO, wanted: Sequence[int | str] | None) -> tuple[array[float], list[str]]:
    rows = _rows(file)
    line, first = next(rows, (0, []))
    header = any(cell and not _is_number(cell) for cell in first)
    names = first if header else [str(number) for number in range(len(first))]
    columns = range(len(first)) if wanted is None else [_column(path, name, names) for name in wanted]
    values: array[float] = array("d")
    checked = 0
    if not header and first:
        values.extend(_numbers(path, line, first, columns, names))
    for line, row in rows:
        values.extend(_numbers(path, line, row, columns, names))
        if len(values) >= checked + PIECE:  # while it grows, it may take twice as much for a moment
            checked = len(values)
            check_memory(checked * values.itemsize, f"the table {path}")
    return values, [names[column] for column in columns]


def _rows(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, with the number of their line."""
    start = file.readline(LONGEST)
    file.seek(0)
    length = 0  # of the row, which may go over several lines

    def lines() -> Iterator[str]:
        nonlocal length
        while line := file.readline(LONGEST):
            length += len(line)
            if length >= LONGEST:
                raise ValueError(f"a row is longer than {LONGEST:,} characters")
            yield line

    reader = csv.reader(lines(), delimiter=max(_DELIMITERS, key=start.count))
    for row in reader:
        length = 0
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield reader.line_num, cells


def _numbers(path: Path, line: int, row: list[str], columns: Sequence[int], names: Sequence[str]) -> list[float]:
    if len(row) != len(names):
        raise DataError(
            f"line {line} of {path} has another number of cells", expected=f"{len(names)} cells", got=len(row)
        )
    try:
        values = [float(row[column]) for column in columns]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        bad = next(column for column in columns if not _is_number(row[column]) or not math.isfinite(float(row[column])))
        raise DataError(
            f"column {names[bad]!r} of {path} has a cell that is not a finite number",
            expected="finite numbers",
            got=f"{row[bad][:_SHOWN]!r} in line {line}",
            remedy="correct it, or choose other columns with data.columns",
        )
    return values


def _column(path: Path, name: int | str, names: Sequence[str]) -> int:
    if isinstance(name, int) and name < len(names):
        return name
    if isinstance(name, str) and names.count(name) == 1:
        return names.index(name)
    twice = isinstance(name, str) and names.count(name) > 1
    raise DataError(
        f"{path} has {'more than one' if twice else 'no'} column {name!r}",
        expected=f"{_some(names)}, or a number below {len(names)}",
    )


def _some(names: Sequence[str]) -> str:
    """The first of ``names``, no more than one can read."""
    first = ", ".join(name[:_SHOWN] for name in names[:_SHOWN])
    return first if len(names) <= _SHOWN else f"{first} and {len(names) - _SHOWN:,} more"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
