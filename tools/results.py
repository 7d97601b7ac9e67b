"""The tables and the chart of docs/results.md, from the figures that `saddle reproduce` has written.

    python tools/results.py [reproductions/NAME.json ...]

Copies the files named into docs/results, then writes every table between its marks in docs/results.md anew, and
docs/images/results.png. Without arguments only these. A test checks that nothing changes.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from saddle.reproduction.tables import load_table
from saddle.show.figure import LINES, add_axes, new_figure, to_picture

_DOCS = Path(__file__).parents[1] / "docs"
_CHART = _DOCS / "images" / "results.png"
# As the page has them.
_TABLES = (
    *("saddle", "gaussian", "tutorials", "salimans2016-mnist", "goodfellow2014", "mirza2014", "dcgan-1nn"),
    *("stacked-mnist", "pacgan-2d", "lucic2018-mnist"),
)
# Published as distances of Inception's features, which no figure of ours can be held against.
_OTHER_FEATURES = frozenset({"lucic2018-mnist"})
_FARTHEST = 4.0  # of the chart, in gaps between the floor and what was published

Lines = Sequence[Mapping[str, Any]]


def read_results(folder: Path = _DOCS / "results") -> dict[str, dict[str, Any]]:
    """What is committed, by table, in the order of the page."""
    paths = {name: folder / f"{name}.json" for name in _TABLES}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.is_file()}


def tables(results: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Everything that the page has between marks, by their name: ``all``, and each table's own."""
    head = ("table", "system", "figure", "published", "measured", "floor", "runs × seen", "goal")
    firsts: list[tuple[str, ...]] = []
    for name, result in results.items():
        for line in _firsts(result["lines"]):
            words = (line[key] for key in ("system", "figure", "published", "measured", "floor", "runs", "goal"))
            firsts.append((f"`{name}`", *words))
    return {"all": _markdown(head, firsts), **{name: _own(result) for name, result in results.items()}}


def _own(result: Mapping[str, Any]) -> str:
    """A row for each system and a column for each figure, what was published in brackets; then the commands."""
    figures = list(dict.fromkeys(line["figure"] for line in result["lines"] if line["values"] or line["measured"]))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for line in result["lines"]:
        published = f" ({line['published']})" if line["published"] else ""
        rows.setdefault((line["system"], line["runs"]), {})[line["figure"]] = line["measured"] + published
    floors = {line["figure"]: line["floor"] for line in result["lines"] if line["floor"]}
    columns = [f"{figure} [{floors[figure]}]" if figure in floors else figure for figure in figures]
    body = [(*name, *(found.get(figure, "") for figure in figures)) for name, found in rows.items()]
    commands = "\n".join(f"- {command}" if command[0] != "-" else command for command in result["commands"])
    return f"{_markdown(('system', 'runs × seen', *columns), body)}\n\n{commands}"


def _firsts(lines: Lines) -> list[Mapping[str, Any]]:
    """The first figure of each system, of its longest runs."""
    found: dict[str, Mapping[str, Any]] = {}
    for line in lines:
        found.setdefault(line["system"], line)
    return list(found.values())


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *rows))


def filled(page: str, parts: Mapping[str, str]) -> str:
    """``page`` with each part between its marks, ``<!-- NAME -->`` and ``<!-- end -->``."""

    def part(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- {name} -->\n\n{parts[name]}\n\n<!-- end -->" if name in parts else match[0]

    return re.sub(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", part, page, flags=re.DOTALL)


def places(results: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[float]]]:
    """Where each run is between its floor, 0, and what was published, 1; by system and figure.

    Figures whose published value is the floor are left out, and so are those that cannot be compared.
    """
    found: list[tuple[str, list[float]]] = []
    for name, result in results.items():
        for line in result["lines"]:
            number = re.match(r"-?[\d,]*\.?\d+", line["published"])
            if number is None or not line["values"] or name in _OTHER_FEATURES:
                continue
            floor, published = float(line["floor"] or 0), float(number[0].replace(",", ""))
            if abs(published - floor) > 0.02 * max(abs(floor), abs(published)):
                gaps = [(value - floor) / (published - floor) for value in line["values"].values()]
                found.append((f"{line['system']}: {line['figure']}", gaps))
    return found


def draw(found: Sequence[tuple[str, Sequence[float]]], path: Path) -> None:
    """The chart: a line for each figure, a dot for each run."""
    figure = new_figure(height=0.9 + 0.24 * len(found))
    axes = add_axes(figure, 1, 1, 1)
    for place, (_, gaps) in enumerate(found):
        shown = [min(max(gap, 0.0), _FARTHEST) for gap in gaps]
        axes.plot(shown, [place] * len(shown), "o", color=LINES[0][0], markersize=4, alpha=0.7)
        if max(gaps) > _FARTHEST:
            axes.annotate(f"{max(gaps):.3g} →", (_FARTHEST, place), (4, -3), textcoords="offset points", fontsize=7)
    axes.axvline(1, color=LINES[1][0], linewidth=1)
    axes.set_yticks(range(len(found)), [name for name, _ in found], fontsize=7)
    axes.set_xticks([0, 1, 2, 3, 4], ["real data", "as published", "2", "3", "4"])
    axes.set_xlim(-0.1, _FARTHEST + 0.1)
    axes.invert_yaxis()
    to_picture(figure).save(path)


def main() -> None:
    """Copy, fill in, draw."""
    for path in map(Path, sys.argv[1:]):
        load_table(path.stem)
        shutil.copy(path, _DOCS / "results" / path.name)
    results = read_results()
    page = _DOCS / "results.md"
    page.write_text(filled(page.read_text(encoding="utf-8"), tables(results)), encoding="utf-8")
    if found := places(results):
        draw(found, _CHART)


if __name__ == "__main__":
    main()
