"""Verdicts over logs that are made up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from saddle.config import load_recipe, resolve, to_toml
from saddle.errors import RunError
from saddle.health.course import Health, judge, read_health
from saddle.health.rules import Watch
from saddle.runs.folder import RunFolder

TOTAL = 1_000_000
SOUND = {
    "d_real": 0.55, "d_fake": 0.45, "discriminator_loss": 1.3, "generator_loss": 0.8, "spread": 0.95, "nearest": 0.9,
    "kinds": 115.0, "variety": 0.95, "inside": 0.95, "coverage": 0.97, "distance": 0.1, "change": 0.1,
}  # fmt: skip
FAULTS: dict[str, dict[str, float]] = {
    "collapsed": {"kinds": 3.0, "variety": 0.02, "nearest": 0.01, "spread": 0.01, "coverage": 0.02},
    "partly collapsed": {"variety": 0.4, "coverage": 0.45, "nearest": 0.6},
    "D has won": {"d_real": 0.99, "d_fake": 0.01, "inside": 0.0, "coverage": 0.0, "variety": 0.5},
    "G oscillates": {"change": 1.1, "coverage": 0.3},
    "memorising": {"copies": 0.8},
    "diverging": {"generator_loss": 5e4},
}


def log(faults: Iterable[dict[str, float]]) -> list[dict[str, Any]]:
    """Looks at equal distances, with what differs from a sound one."""
    faults = list(faults)
    return [{"images": TOTAL * (number + 1) // len(faults), **SOUND, **fault} for number, fault in enumerate(faults)]


def improving(looks: int = 50) -> list[dict[str, float]]:
    return [{"distance": 1.0 / (1 + number)} for number in range(looks)]


def alarms(health: Health) -> list[tuple[str, int]]:
    return [(verdict.kind, verdict.images) for verdict in health.told if verdict.is_alarm]


def test_of_a_run_that_learns_nothing_is_said():
    health = judge(log(improving()), TOTAL)
    assert alarms(health) == [] and health.now.kind == "learning"


def test_samples_that_move_less_and_less_do_not_oscillate():
    """The first looks at `images` on 1,340 emoji, augmented: a sound run, whose coverage rises late."""
    change = [0.95, 0.85, 0.73, 0.62, 0.57, 0.52, 0.39]
    coverage = [0.36, 0.49, 0.34, 0.43, 0.40, 0.44, 0.50]
    distance = [0.62, 0.44, 0.39, 0.31, 0.32, 0.32, 0.21]
    looks = [
        {"change": moved, "coverage": covered, "distance": far, "variety": 0.6}
        for moved, covered, far in zip(change, coverage, distance, strict=True)
    ]
    assert alarms(judge(log(looks), TOTAL)) == []
    assert [kind for kind, _ in alarms(judge(log([{**look, "change": 0.9} for look in looks]), TOTAL))] == [
        "G oscillates"
    ]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_told_within_a_tenth_of_the_run_and_with_its_evidence(kind: str):
    looks = improving()
    looks[30:] = [{**each, **FAULTS[kind]} for each in looks[30:]]
    health = judge(log(looks), TOTAL)
    ((told, images), *further) = alarms(health)
    assert told == kind and further == []
    assert 0.6 * TOTAL < images <= 0.72 * TOTAL
    assert health.now.kind == kind and health.now.since == images
    assert health.now.evidence.items() <= {**log(looks)[-1], **health.now.evidence}.items() and health.now.evidence
    assert health.now.words and health.now.advice


@pytest.mark.parametrize("kind", FAULTS)
def test_a_single_odd_look_is_not_told(kind: str):
    looks = improving()
    looks[30] |= FAULTS[kind]
    assert alarms(judge(log(looks), TOTAL)) == []


def test_every_generator_begins_with_one_kind_of_sample():
    few = FAULTS["collapsed"]
    assert alarms(judge(log([few, few, *improving(48)]), TOTAL)) == []
    assert alarms(judge(log([few] * 50), TOTAL))[0][1] <= 0.1 * TOTAL


def test_a_run_that_recovers_is_learning_again():
    looks = improving()
    looks[20:30] = [{**each, **FAULTS["collapsed"]} for each in looks[20:30]]
    health = judge(log(looks), TOTAL)
    assert [kind for kind, _ in alarms(health)] == ["collapsed"] and health.now.kind == "learning"


def test_past_its_best_names_the_best():
    looks = [*improving(25), *({"distance": 0.04 * (2 + number)} for number in range(25))]
    health = judge(log(looks), TOTAL)
    assert health.now.kind == "past its best"
    assert health.now.evidence["best_at"] == TOTAL / 2
    assert f"{TOTAL // 2:,}" in health.now.words


def test_done_where_nothing_improves():
    health = judge(log([*improving(20), *({"distance": 0.0501} for _ in range(30))]), TOTAL)
    assert health.now.kind == "done" and alarms(health) == []


def test_a_verdict_depends_on_what_came_before_it_alone():
    looks = log([*improving(30), *({**FAULTS["collapsed"]} for _ in range(20))])
    watch = Watch(TOTAL)
    whole = [watch.add(entry) for entry in looks]
    for end in (5, 31, 33, 50):
        assert judge(looks[:end], TOTAL).now == whole[end - 1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_figures_that_are_no_numbers_are_no_look(value: float | None):
    looks = log(improving())
    for entry in looks[10:20]:
        entry["variety"] = value
    assert alarms(judge(looks, TOTAL)) == []


def test_a_log_without_looks_is_refused_and_says_what_is_missing(tmp_path: Path):
    run = RunFolder(tmp_path)
    with pytest.raises(RunError, match="no run"):
        read_health(run)
    run.config.write_text(to_toml(resolve(load_recipe("digits"))))
    with pytest.raises(RunError, match=r"no look(.|\n)*no lines"):
        read_health(run)
    run.append_log({"images": 64, "epoch": 0.1, "discriminator_loss": 1.0})
    with pytest.raises(RunError, match=r"variety(.|\n)*1 line"):
        read_health(run)
    run.append_log({"images": 128, "epoch": 0.2, **SOUND})
    assert read_health(run).now.kind == "learning"


def test_outputs_without_bounds_are_no_probabilities():
    looks = [{**each, "d_real": 4.0, "d_fake": -3.5, "coverage": 0.1, "variety": 0.5} for each in improving()]
    assert "D has won" not in [kind for kind, _ in alarms(judge(log(looks), TOTAL))]


def test_a_distance_of_nothing_is_not_surpassed():
    looks = [{"distance": 0.0 if number < 5 else 0.015} for number in range(50)]
    assert judge(log(looks), TOTAL).now.kind != "past its best"
