"""The tables and the chart of the pages of results, from the figures that `saddle reproduce` has written.

    python tools/results.py [reproductions/NAME.json ...]

Copies the files named into docs/results, writes the table of everything in docs/results.md and each table in
docs/results-in-detail.md anew, between their marks, and draws docs/images/results.png where there is something to draw.
A test checks that the tables are those of the files.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from saddle.show.figure import LINES, add_axes, new_figure, to_picture

_DOCS = Path(__file__).parents[1] / "docs"
_CHART = _DOCS / "images" / "results.png"
PAGES = (_DOCS / "results.md", _DOCS / "results-in-detail.md")
# As the pages have them.
TABLES = (
    *("saddle", "gaussian", "pacgan-2d", "tutorials", "salimans2016-mnist", "goodfellow2014", "mirza2014"),
    *("dcgan-1nn", "stacked-mnist", "lucic2018-mnist"),
)
# Published as distances of Inception's features, which no figure of ours can be held against.
_OTHER_FEATURES = frozenset({"lucic2018-mnist"})
_FARTHEST = 4.0  # of the chart, in gaps between the floor and what was published

Line = Mapping[str, Any]
Results = Mapping[str, Mapping[str, Any]]  # by table


def read_results(folder: Path = _DOCS / "results") -> dict[str, dict[str, Any]]:
    """What is committed, by table, in the order of the pages."""
    paths = {name: folder / f"{name}.json" for name in TABLES}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.is_file()}


def parts(results: Results) -> dict[str, str]:
    """What stands between the marks of the pages, by name: ``all``, and each table's own; empty without a file."""
    head = ("table", "system", "figure", "published", "measured", "floor", "runs × seen", "goal")
    shown = [
        (f"`{name}`", *(line[key] for key in ("system", "figure", "published", "measured", "floor", "runs", "goal")))
        for name, result in results.items()
        for line in _most_telling(result["lines"])
    ]
    own = {name: _own(results[name]) if name in results else "" for name in TABLES}
    return {"all": _markdown(head, shown), **own}


def _most_telling(lines: Sequence[Line]) -> list[Line]:
    """Of each system's longest runs the first figure, and those that have a goal."""
    found: dict[tuple[str, str], Line] = {}
    systems: set[str] = set()
    for line in lines:
        if line["system"] not in systems or line["goal"]:
            found.setdefault((line["system"], line["figure"]), line)
        systems.add(line["system"])
    return [*found.values()]


def _own(result: Mapping[str, Any]) -> str:
    """A row for each system and a column for each figure; then the table's note and the commands."""
    rows: list[tuple[tuple[str, str], dict[str, Line]]] = []
    for line in result["lines"]:
        key = line["system"], line["runs"]
        if not rows or rows[-1][0] != key or line["figure"] in rows[-1][1]:  # runs with other settings look alike
            rows.append((key, {}))
        rows[-1][1][line["figure"]] = line
    figures = list(dict.fromkeys(line["figure"] for line in result["lines"]))
    floors = {figure: {row[figure]["floor"] for _, row in rows if figure in row} for figure in figures}
    same = {figure: next(iter(found)) if len(found) == 1 else "" for figure, found in floors.items()}
    columns = [f"{figure} [{same[figure]}]" if same[figure] else figure for figure in figures]
    body = [(*key, *(_cell(row.get(figure), same[figure]) for figure in figures)) for key, row in rows]
    notes = [_wrapped(result["note"])] if result["note"] else []
    commands = "\n".join(_wrapped(f"- {command}", "  ") for command in result["commands"])
    return "\n\n".join([_markdown(("system", "runs × seen", *columns), body), *notes, commands])


def _wrapped(text: str, indent: str = "") -> str:
    return "\n".join(
        wrap(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False),
    )


def _cell(line: Line | None, floor_of_all: str) -> str:
    if line is None:
        return ""
    words = line["published"].replace("(", "by ").replace(")", "")  # "7 (R3GAN)": of another system
    published = f" ({words})" if words else ""
    floor = f" [{line['floor']}]" if line["floor"] and not floor_of_all else ""
    return line["measured"] + published + floor


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *rows))


def filled(page: str, made: Mapping[str, str]) -> str:
    """``page`` with each part between its marks, ``<!-- NAME -->`` and ``<!-- end -->``."""

    def part(match: re.Match[str]) -> str:
        name = match[1]
        if name not in made:
            return match[0]
        return f"<!-- {name} -->\n\n{made[name]}\n\n<!-- end -->" if made[name] else f"<!-- {name} -->\n<!-- end -->"

    return re.sub(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", part, page, flags=re.DOTALL)


def places(results: Results) -> list[tuple[str, list[float]]]:
    """Where each run is between its floor, 0, and what was published of the same system, or else its goal, 1.

    By table, system and figure. Errors have no floor, and count from none. Figures are left out where what was
    published is of other features, or is no worse than the floor: nothing lies between them.
    """
    found: list[tuple[str, list[float]]] = []
    for name, result in results.items():
        for line in result["lines"]:
            own = "(" not in line["published"] and name not in _OTHER_FEATURES
            published = _number(line["published"]) if own else None
            aim = _number(line["goal"]) if published is None else published
            if aim is None or not line["values"]:
                continue
            floor = float(line["floor"] or 0)
            beyond = line["floor"] and line["goal"][:1] == ("≤" if aim < floor else "≥")
            if abs(aim - floor) > 0.002 * max(abs(floor), abs(aim)) and not beyond:
                gaps = [(value - floor) / (aim - floor) for value in line["values"].values()]
                what = f"{name}, {line['system']}: {line['figure']}{', by its goal' if published is None else ''}"
                found.append((what, gaps))
    return found


def _number(words: str) -> float | None:
    """The number that "93 ± 6.5" and "≤ 93: missed" begin with."""
    match = re.match(r"(?:[≤≥] )?(-?\d*\.?\d+(?:e[-+]?\d+)?)", words.replace(",", ""))
    return None if match is None else float(match[1])


def draw(found: Sequence[tuple[str, Sequence[float]]], path: Path) -> None:
    """The chart: a line for each figure, a dot for each run."""
    figure = new_figure(height=0.9 + 0.2 * len(found))
    axes = add_axes(figure, 1, 1, 1)
    for place, (_, gaps) in enumerate(found):
        shown = [min(max(gap, 0.0), _FARTHEST) for gap in gaps]
        axes.plot(shown, [place] * len(shown), "o", color=LINES[0][0], markersize=4, alpha=0.7)
        if max(gaps) > _FARTHEST:
            axes.annotate(f"{max(gaps):.3g} →", (_FARTHEST, place), (4, -3), textcoords="offset points", fontsize=7)
    axes.axvline(1, color=LINES[1][0], linewidth=1)
    axes.set_yticks(range(len(found)), [name for name, _ in found], fontsize=7)
    axes.set_xticks([0, 1, 2, 3, 4], ["real\ndata", "published\nor goal", "2", "3", "4"], fontsize=7)
    axes.set_xlim(-0.1, _FARTHEST + 0.1)
    axes.set_ylim(len(found) - 0.5, -0.5)
    to_picture(figure).save(path)


def main() -> None:
    """Copy, fill in, draw."""
    paths = [*map(Path, sys.argv[1:])]
    for path in paths:
        if (
            path.stem not in TABLES
            or not path.is_file()
            or json.loads(path.read_text(encoding="utf-8")).get("quick", 1)
        ):
            raise SystemExit(f"{path} is no table of a full run; expected one of {', '.join(TABLES)}, without --quick")
    for path in paths:
        kept = _DOCS / "results" / path.name
        if path.resolve() != kept.resolve():
            shutil.copy(path, kept)
    results = read_results()
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), parts(results)), encoding="utf-8")
    if found := places(results):
        draw(found, _CHART)


if __name__ == "__main__":
    main()
