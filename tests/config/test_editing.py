"""Settings that may change while a run goes on."""

from __future__ import annotations

from typing import Any

import pytest

from saddle.config import load_recipe, parse_settings, resolve
from saddle.config.editing import edited
from saddle.config.keys import all_keys, decides, editable
from saddle.config.resolve import settle
from saddle.errors import ConfigError

RATE = "generator.optimizer.learning_rate"


def config(*settings: str) -> Any:
    return settle(resolve(load_recipe("digits"), parse_settings(settings)), {}, total=1000)


def test_which_may():
    may = {key.path for key in all_keys() if editable(key.path)}
    assert may >= {RATE, "game.r1", "game.l1", "average.half_life", "log.every", "checkpoint.keep", "game.clip"}
    assert not may & {"seed", "images", "batch_size", "game.loss", "log.tensorboard", "evaluate.every"}
    assert decides("game.r1") and not decides("log.every")  # and yet a resumed run may not change the first


@pytest.mark.parametrize(
    ("given", "noted"),
    [
        ({"game.r1": 2}, {"game.r1": 2.0}),
        ({"game": {"r1": 2, "r2": 1}, "log": {"every": "auto"}}, {"game.r1": 2.0, "game.r2": 1.0, "log.every": "auto"}),
        ({"generator.optimizer.betas": [0, 0.9]}, {"generator.optimizer.betas": [0.0, 0.9]}),
        (
            {RATE: {"value": 1e-3, "to": 0, "end": "50%"}},  # a share becomes one of the length
            {RATE: {"kind": "linear", "value": 1e-3, "to": 0.0, "start": "50% of 1000", "end": "50% of 1000"}},
        ),
    ],
)
def test_what_is_noted_are_whole_values(given: dict[str, Any], noted: dict[str, Any]):
    if "end" in str(given):
        noted[RATE]["start"] = given[RATE]["start"] = 0
    changed, found = edited(config(), given, 1000)
    assert found == noted
    assert edited(config(), noted, 1000) == (changed, noted)
    assert edited(changed, noted)[0] == changed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "nothing to change"),
        ({"game.r3": 1}, "unknown key 'game.r3'; did you mean"),
        ({"": 1}, "unknown key ''"),
        ({"game.r1": -1}, "greater than or equal to 0"),
        ({"game.r1": float("nan")}, "finite"),
        ({"game.r1": {"to": 1}}, "game.r1.value is missing"),
        ({"log.every": 0}, "log.every"),
        ({"seed": 3}, "seed cannot change while a run goes on"),
        ({"generator.network.widths": [3]}, "cannot change while a run goes on"),
        ({"game.augment.strength": 0.5}, "not a setting of the family or kind chosen here"),
        ({"game.l1": 1}, "no effect without data.pairs"),
        ({"average.half_life": 0}, "whether there is an averaged generator"),
        ({"game": 3}, "game"),
    ],
)
def test_what_is_refused(given: dict[str, Any], words: str):
    with pytest.raises(ConfigError) as caught:
        edited(config(), given, 1000)
    assert words in str(caught.value)


def test_members_that_differ_are_not_made_alike():
    population = config("members=2", "vary.game.r1=[0.0,1.0]")
    assert edited(population, {"game.r2": 1})[1] == {"game.r2": 1.0}
    with pytest.raises(ConfigError, match=r"differ in game\.r1"):
        edited(population, {"game.r1": 1})
