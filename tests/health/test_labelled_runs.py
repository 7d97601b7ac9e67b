"""The rules, judged again on the labelled runs: what docs/health.md claims is what comes out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def alarm(load_script: Callable[[str], ModuleType]) -> ModuleType:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    module = load_script("benchmarks/alarm.py")
    sys.path.pop(0)
    return module


def test_the_page_tells_what_the_rules_get_right(alarm: ModuleType):
    page = (ROOT / "docs" / "health.md").read_text()
    found = list(alarm.judged(json.loads(alarm.RESULTS.read_text())["runs"]))
    assert len(found) >= 120
    for row in alarm.summary(found):
        assert f"| {' | '.join(row)} |" in page, row
    for case in found:
        if words := alarm.mistake(case):
            assert case.run in page, f"{case.run}: {words}"


def test_the_interval_of_a_share(alarm: ModuleType):
    low, high = alarm.wilson(29, 29)  # as statsmodels' proportion_confint gives it
    assert low == pytest.approx(0.88303, abs=1e-4) and high == pytest.approx(1, abs=1e-9)
    low, high = alarm.wilson(5, 20)
    assert low == pytest.approx(0.11186, abs=1e-4) and high == pytest.approx(0.46870, abs=1e-4)
