"""Tables of numbers: ``.csv`` files. Rows are points and columns are their coordinates."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from saddle.config.schema import DataConfig
from saddle.data.formats.arrays import from_array
from saddle.data.store import Store
from saddle.errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv")

_DELIMITERS = ",;\t"


def open_table(path: Path, config: DataConfig) -> Store:
    """The columns of a table that ``config.columns`` names, or all, as points (N, columns).

    Cells are separated by commas, semicolons or tabs. The first row is a header if one of its cells is text. Columns
    that are not asked for may have any content. All rows are in the store, whatever ``config.split`` says; see
    ``saddle.data.held_out.take_part``.

    Raises:
        DataError: an unreadable file, an unknown column, rows of different lengths, or a cell that is no finite number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            values, names = _read(path, file, config.columns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read as a table", expected="text with one row on each line", got=error
        ) from error
    if not values:
        raise DataError(f"{path} holds no data")
    table = np.asarray(values).reshape(-1, len(names))
    store = from_array(path.name, table, None, config.model_copy(update={"columns": None}))
    return replace(store, notes=(("columns", ", ".join(names)),))


def _read(path: Path, file: IO[str], wanted: Sequence[int | str] | None) -> tuple[array[float], list[str]]:
    rows = _rows(file)
    line, first = next(rows, (0, []))
    header = any(cell and not _is_number(cell) for cell in first)
    names = first if header else [str(number) for number in range(len(first))]
    columns = range(len(first)) if wanted is None else [_column(path, name, names) for name in wanted]
    values: array[float] = array("d")
    if not header and first:
        values.extend(_numbers(path, line, first, columns, names))
    for line, row in rows:
        values.extend(_numbers(path, line, row, columns, names))
    return values, [names[column] for column in columns]


def _rows(file: IO[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, with the number of their line."""
    start = file.readline()
    file.seek(0)
    reader = csv.reader(file, delimiter=max(_DELIMITERS, key=start.count))
    for row in reader:
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
            got=f"{row[bad]!r} in line {line}",
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
        expected=f"{', '.join(names)}, or a number below {len(names)}",
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
