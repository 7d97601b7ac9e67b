"""The figures on the page of results are those of the files that `saddle reproduce` wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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
        "commands": ["- `saddle reproduce pacgan-2d`"],
        "lines": [line("GAN", "modes found", "6.0 ± .5", "8", 6.0, 4.0), line("GAN", "kl", "", ".1", 0.3)],
    },
    "lucic2018-mnist": {"commands": [], "lines": [line("LSGAN", "fd", "7.8 ± .6", "1", 20.0)]},
}


def test_the_page_holds_what_the_files_hold(results: ModuleType):
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    found = results.read_results()
    assert found, "there are no results"
    assert results.filled(page, results.tables(found)) == page, "python tools/results.py writes it anew"
    for name in found:
        assert f"<!-- {name} -->" in page


def test_figures_that_do_not_fit_are_written_anew(results: ModuleType):
    page = "before\n\n<!-- all -->\nstale\n<!-- end -->\n\nbetween <!-- unknown -->\n<!-- end -->\n"
    filled = results.filled(page, results.tables(MADE))
    assert "stale" not in filled
    assert filled.startswith("before\n\n<!-- all -->\n\n| table |") and "between <!-- unknown -->" in filled
    assert "| `pacgan-2d` | GAN | modes found | 6.0 ± .5 | 6.0 | 8 | 2 × 1 M |  |" in filled
    assert "kl" not in filled  # a system's first figure stands for it
    own = results.tables(MADE)["pacgan-2d"]
    assert "| GAN | 2 × 1 M | 6.0 (6.0 ± .5) | 0.3 |" in own and own.endswith("- `saddle reproduce pacgan-2d`")


def test_the_chart_shows_where_runs_are_between_real_data_and_what_was_published(results: ModuleType):
    assert results.places(MADE) == [("GAN: modes found", [1.0, 2.0])]  # features of others are not compared
