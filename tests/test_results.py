"""The figures on the pages of results are those of the files that `saddle reproduce` wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from saddle.reproduction.tables import table_names

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def results(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("tools/results.py")


def line(system: str, figure: str, published: str, floor: str, *values: float) -> dict[str, Any]:
    words = {"system": system, "figure": figure, "published": published, "goal": "", "floor": floor}
    by_seed = {str(seed): value for seed, value in enumerate(values)}
    return {**words, "measured": str(values[0]), "runs": "2 × 1 M", "samples": "1,000", "values": by_seed}


MADE = {
    "pacgan-2d": {
        "note": "As the authors' code does.",
        "commands": ["`saddle reproduce pacgan-2d` here"],
        "lines": [
            line("GAN", "modes found", "6.0 ± .5", "8", 6.0, 4.0),
            line("GAN", "kl", "", ".1", 0.3),
            line("ours", "modes found", "7 (R3GAN)", "25", 24.0) | {"goal": "≥ 25: missed"},
            line("ours", "kl", "", ".1", 0.2) | {"goal": "≤ 0.06: missed"},
            line("ours", "modes found", "", "25", 23.0),
        ],
    },
    "lucic2018-mnist": {"note": "", "commands": [], "lines": [line("LSGAN", "fd", "7.8 ± .6", "1", 20.0)]},
}


def test_the_pages_hold_what_the_files_hold(results: ModuleType):
    found = results.read_results()
    files = {path.stem for path in (ROOT / "docs" / "results").iterdir()}
    assert found and files == set(found), "a file that no table has"
    overview, detail = (page.read_text(encoding="utf-8") for page in results.PAGES)
    for page in overview, detail:
        assert results.filled(page, results.parts(found)) == page, "python tools/results.py writes it anew"
    assert "<!-- all -->" in overview
    assert all(f"<!-- {name} -->" in detail for name in results.TABLES)
    assert set(results.TABLES) == set(table_names())


def test_figures_that_do_not_fit_are_written_anew(results: ModuleType):
    marks = "<!-- all -->\nstale\n<!-- end -->\n\n<!-- saddle -->\nof a file that is gone\n<!-- end -->"
    filled = results.filled(f"before\n\n{marks}\n\nbetween <!-- unknown -->\n<!-- end -->\n", results.parts(MADE))
    assert "stale" not in filled and "<!-- saddle -->\n<!-- end -->" in filled
    assert filled.startswith("before\n\n<!-- all -->\n\n| table |") and "between <!-- unknown -->" in filled


def test_every_system_has_its_first_figure_and_all_its_goals(results: ModuleType):
    lines = results.parts(MADE)["all"].splitlines()[2:]
    assert lines[0] == "| `pacgan-2d` | GAN | modes found | 6.0 ± .5 | 6.0 | 8 | 2 × 1 M |  |"
    assert [row.split(" | ")[1:5:2] for row in lines[1:]] == [
        ["ours", "7 (R3GAN)"],
        ["ours", ""],
        ["LSGAN", "7.8 ± .6"],
    ]
    assert [row.split(" | ")[-1] for row in lines[1:3]] == ["≥ 25: missed |", "≤ 0.06: missed |"]


def test_a_table_has_a_row_for_each_group_of_runs_and_its_floors(results: ModuleType):
    rows = results.parts(MADE)["pacgan-2d"].splitlines()
    assert rows[0] == "| system | runs × seen | modes found | kl [.1] |"
    assert rows[2:5] == [
        "| GAN | 2 × 1 M | 6.0 (6.0 ± .5) [8] | 0.3 |",
        "| ours | 2 × 1 M | 24.0 (7 by R3GAN) [25] | 0.2 |",
        "| ours | 2 × 1 M | 23.0 [25] |  |",
    ]
    assert rows[5:] == ["", "As the authors' code does.", "", "- `saddle reproduce pacgan-2d` here"]


def test_the_chart_shows_where_runs_are_between_real_data_and_what_was_published(results: ModuleType, tmp_path: Path):
    def table(*lines: dict[str, Any]) -> dict[str, Any]:
        return {"note": "", "commands": [], "lines": [*lines]}

    parzen = line("GAN", "Parzen", "225 ± 2", "243", 207.0) | {"goal": "≥ 225: missed"}
    error = line("DCGAN", "1-nearest-neighbour error, %", "2.98", "3.34", 7.7) | {"goal": "≤ 2.98: missed"}
    ours = line("ours", "KL", ".029 (R3GAN)", ".02", 0.04) | {"goal": "≤ 0.06: reached"}
    found = results.places(MADE | {"goodfellow2014": table(parzen), "dcgan-1nn": table(error, ours)})
    # Neither by other features, nor what was published beyond real data; what others published gives way to the goal.
    assert [name for name, _ in found] == [
        "pacgan-2d, GAN: modes found",
        "goodfellow2014, GAN: Parzen",
        "dcgan-1nn, ours: KL, by its goal",
    ]
    assert [gaps for _, gaps in found] == [[1.0, 2.0], [2.0], [pytest.approx(0.5)]]
    results.draw([*found, ("far", [9.0])], tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as chart:
        assert chart.width > 300
