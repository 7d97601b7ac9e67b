"""What two losses alone can say, for runs whose samples nobody looked at, such as those of other tools."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from saddle.base.opening import open_regular
from saddle.base.text import one_line
from saddle.errors import RunError
from saddle.health.rules import ADVICE, Kind

# Columns by the names that other tools give them, small letters and digits alone.
_OF_D = ("discriminatorloss", "dloss", "lossd", "ld", "errd", "lossdiscriminator", "dislosses", "disloss", "criticloss")
_OF_G = ("generatorloss", "gloss", "lossg", "lg", "errg", "lossgenerator", "genlosses", "genloss")
_FEWEST = 20  # lines
_MOST = 2**28  # bytes
_BALANCED = (2 * math.log(2), math.log(2))  # of D and of G, where D says one half to everything
_NEAR = 0.05


class Losses(NamedTuple):
    """The losses of a run, each in the order of its lines; either may have been written in lines of its own."""

    discriminator: Sequence[float]
    generator: Sequence[float]


def read_losses(path: Path) -> Losses:
    """The losses in a CSV file with a line of names; empty cells are left out.

    Raises:
        RunError: it cannot be read, a column is missing, or there are too few lines.
    """
    try:
        with open_regular(path) as file:
            content = file.read(_MOST + 1)
        lines = content.decode("utf-8-sig").splitlines()
        separator = max(",;\t", key=lines[0].count) if lines else ","
        head, *rows = csv.reader(lines, delimiter=separator) if lines else [[]]
    except FileNotFoundError:
        raise RunError(f"there is no file {path}", expected="a run folder, or a CSV file of losses") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path} cannot be read", expected="a CSV file of losses", got=error) from None
    if len(content) > _MOST or not lines:
        raise RunError(f"{path} is {'too large' if lines else 'empty'}", expected="a CSV file of losses")
    places = {name: _place(head, names) for name, names in (("D", _OF_D), ("G", _OF_G))}
    if missing := " and ".join(name for name, place in places.items() if place is None):
        raise RunError(
            f"{path} names no loss of {missing}", expected="columns such as d_loss and g_loss",
            got=", ".join(head[:20]) or "no names", remedy="name the columns so in the first line",
        )  # fmt: skip
    losses = Losses(*([_number(path, row[place]) for row in rows if row[place:] and row[place].strip()]
                      for place in places.values() if place is not None))  # fmt: skip
    if (fewest := min(map(len, losses))) < _FEWEST:
        raise RunError(f"{path} is too short to say anything", expected=f"at least {_FEWEST} lines", got=fewest)
    return losses


def judge_losses(losses: Losses) -> tuple[Kind | None, str, str]:
    """What the losses say: a verdict or None, in words, and what to try first.

    Rules, over the last quarter of the lines: *diverging*: a number that is not finite, or a loss that is a hundred
    times its median before, and at least 100. *D has won*: D's loss is below a twentieth of what it is when D cannot
    tell (2 log 2), and G's loss above ten times as large as it is then (log 2).
    """
    d, g = losses.discriminator, losses.generator
    if not all(map(math.isfinite, (*d, *g))):
        return "diverging", "There are losses that are no finite numbers: the run has diverged.", ADVICE["diverging"]
    for values in (d, g):
        start = len(values) * 3 // 4
        usual, late = median(map(abs, values[:start])), median(map(abs, values[start:]))
        if late > max(100.0, 100 * usual):
            words = f"A loss grows without bound: {late:.3g} in the last quarter, {usual:.3g} before."
            return "diverging", words, ADVICE["diverging"]
    late_d, late_g = (fmean(values[len(values) * 3 // 4 :]) for values in (d, g))
    if abs(late_d) < _BALANCED[0] / 20 and late_g > 10 * _BALANCED[1]:
        words = f"D has won: its loss is {late_d:.3g} and that of G {late_g:.3g} over the last quarter."
        return "D has won", words, ADVICE["D has won"]
    if abs(late_d - _BALANCED[0]) < _NEAR and abs(late_g - _BALANCED[1]) < _NEAR:
        words = "D says one half to everything. At the end of a good run it does, and also where it has learnt nothing."
        return None, words, "Look at samples: if they are poor, give D a larger network or learning rate."
    words = (
        f"Over the last quarter, the losses are {late_d:.3g} (D) and {late_g:.3g} (G): nothing in them is out of the "
        "ordinary. That says little: while G collapses, losses often look like this."
    )
    return None, words, "Look at samples, or train with saddle, whose looks at samples see what losses cannot."


def _place(head: Sequence[str], names: Sequence[str]) -> int | None:
    plain = ["".join(filter(str.isalnum, name.lower())) for name in head]
    return next((plain.index(name) for name in names if name in plain), None)


def _number(path: Path, cell: str) -> float:
    """Raises:
    RunError: it is none.
    """
    try:
        return float(cell)
    except ValueError:
        raise RunError(f"{path} holds what is no number in a column of losses", got=one_line(cell, 60)) from None
