"""A run beside the runs of the library."""

from __future__ import annotations

from pathlib import Path

import pytest

import saddle
from saddle.errors import RunError
from saddle.health.library import curves, like, usual
from saddle.pages.diagnosis import diagnose


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("diagnosis") / "run"
    return saddle.train("digits", out=out, settings={"images": 9_000, "threads": 1, "samples.every": 9_000}).path


def test_a_run_is_held_beside_others_of_its_recipe(run: Path):
    found = diagnose(run)
    text = found.page.read_text()
    assert found.page == run / "diagnosis.html" and text.count("<figure>") == 6
    assert any(line.startswith("loss of D") and "runs of digits that went well" in line for line in found.lines)
    assert "learning" in found.lines[0]


def test_losses_of_another_tool(tmp_path: Path):
    path = tmp_path / "other.csv"
    path.write_text("d_loss,g_loss\n" + "0.001,15\n" * 40)
    found = diagnose(path, tmp_path / "page.html")
    assert "D has won" in found.lines[0] and found.page.read_text().count("<figure>") == 2


def test_what_is_no_run(tmp_path: Path):
    with pytest.raises(RunError, match="no run"):
        diagnose(tmp_path)


def test_the_library_has_runs_of_either_outcome():
    for recipe in ("digits", "ring8"):
        assert {curve.went_well for curve in like(recipe, "non_saturating")} == {True, False}
    assert len({curve.name for curve in curves()}) == len(curves())
    low, high = usual(like("digits", ""), "variety", 1.0, went_well=True) or (0, 0)
    assert 0.5 < low < high < 1.2


def test_the_report_tells_the_health_of_a_run(run: Path):
    text = saddle.Run(run).report().read_text()
    assert "<h2>Health</h2>" in text and "G is learning" in text
