from __future__ import annotations

from typing import Any

import pytest

from saddle.config import load_recipe, parse_settings, resolve
from saddle.config.resolve import nest
from saddle.errors import ConfigError
from saddle.sweeps.space import Choices, Range, all_of, as_layer, check_values, own_values, parse_over, parse_space


def read(over: str, *settings: str) -> Range | Choices:
    (values,) = parse_space(parse_over([over]), parse_settings(settings)).values()
    return values


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("game.r1=0.01..10 log", Range(0.01, 10.0, log=True)),
        ("game.r1 = 0 .. 1", Range(0.0, 1.0)),
        ("generator.optimizer.learning_rate=1e-4..1e-2  log", Range(1e-4, 1e-2, log=True)),
        ("latent.size=2..128 log", Range(2, 128, log=True)),
        ("batch_size=16..64", Range(16, 64)),
        ("average.half_life=[10000,20000]", Choices((10000, 20000))),
        ("game.loss=[relativistic,hinge]", Choices(("relativistic", "hinge"))),
        ("generator.network.widths=[[8],[8,16]]", Choices(([8], [8, 16]))),
        ("game.r1=[1, { value = 1, to = 0 }]", Choices((1, {"value": 1, "to": 0}))),
        ("conditional=[true,false]", Choices((True, False))),
    ],
)
def test_ranges_and_choices(over: str, expected: Range | Choices):
    found = read(over)
    assert found == expected
    if isinstance(expected, Range):
        assert type(found.corners[0]) is type(expected.low)


def test_written_again_it_is_what_was_read():
    for text in ("0.01..10 log", "2..128", "[10000, 20000]", '["relativistic", "hinge"]'):
        key = "game.loss" if "hinge" in text else "latent.size" if text == "2..128" else "game.r1"
        assert str(read(f"{key}={text}")) == text


def test_in_python_choices_are_a_list():
    assert parse_space({"game.r1": [0.1, 1.0]}, {}) == {"game.r1": Choices((0.1, 1.0))}


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ("game.r1", "cannot read --over game.r1"),
        ("=1..2", "cannot read"),
        ("game.r1=", "expected LOW..HIGH, LOW..HIGH log or [A,B,C], got nothing"),
        ("game.r1=3", "got 3"),
        ("game.r1=1..2 logarithmic", "got 1..2 logarithmic"),
        ("game.r1=1..2 log log", "got 1..2 log log"),
        ("game.r1=a..2", "expected a number at each end"),
        ("game.r1=..2", "expected a number at each end"),
        ("game.r1=1..", "expected a number at each end"),
        ("game.r1=0..inf", "finite"),
        ("game.r1=nan..1", "finite"),
        ("game.r1=2..1", "a range goes up"),
        ("game.r1=1..1", "a range goes up"),
        ("game.r1=0..1 log", "a logarithmic range begins above 0"),
        ("game.r1=[1]", "two choices or more"),
        ("game.r1=[]", "two choices or more"),
        ("game.r1=[1,2,1]", "each once"),
        ("game.r1=[1,2", "expected LOW..HIGH"),
        ("batch_size=1.5..4", "this setting is an integer"),
        ("game.loss=1..2", "give [A,B,C]"),
        ("conditional=0..1", "give [A,B,C]"),
        ("generator.optimizer.betas=0..1", "give [A,B,C]"),
        ("game.r3=0..1", "did you mean 'game.r2'"),
        ("learningrate=0..1", "did you mean"),
        ("game=[1,2]", "this is a section; its settings are game.rule"),
        ("game.r1.to=0..1", "whole schedules as choices of game.r1"),
        ("data.size=[8,16]", "scores on different data cannot be compared"),
        ("seed=0..5", "share one seed"),
        ("images=100..200", "give one length with --set"),
        ("epochs=1..2", "give one length with --set"),
        ("threads=1..2", "does not decide what is trained"),
        ("evaluate.count=10..20", "does not decide what is trained"),
        ("device=[cpu,cuda]", "does not decide what is trained"),
        ("members=1..4", "a trial is a single run"),
        ("vary.game.r1=[[1,2],[3,4]]", "a trial is a single run"),
    ],
)
def test_what_makes_no_sense_is_told(over: str, told: str):
    with pytest.raises(ConfigError) as error:
        read(over)
    assert told in str(error.value)


def test_all_findings_are_told_at_once():
    with pytest.raises(ConfigError) as error:
        parse_space({"game.r3": "0..1", "game.r1": "2..1"}, {})
    assert "game.r3: there is no such setting" in str(error.value)
    assert "game.r1: a range goes up" in str(error.value)


def test_a_key_twice_and_a_key_that_is_set():
    with pytest.raises(ConfigError, match="given twice"):
        parse_over(["game.r1=0..1", "game.r1=0..2"])
    with pytest.raises(ConfigError, match="set and varied at the same time"):
        read("game.r1=0..1", "game.r1=1")


def test_a_sweep_over_nothing():
    with pytest.raises(ConfigError, match="at least one setting"):
        parse_space({}, {})


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"game.r1": "-1..1"}, "game.r1: expected greater than or equal to 0"),
        ({"game.label_smoothing": "0..0.5"}, "game.label_smoothing: expected less than 0.5"),
        ({"game.loss": ["relativistic", "hinges"]}, "game.loss: expected"),
        ({"batch_size": "0..4"}, "batch_size: expected greater than 0"),
        ({"generator.network.widths": [[8], [0]]}, "generator.network.widths"),
        # each of these is fine alone
        ({"game.loss": ["saturating", "hinge"], "game.label_smoothing": [0, 0.1]}, "no effect on game.loss = hinge"),
        ({"generator.optimizer.momentum": "0..0.5"}, "not a setting of the family or kind chosen here"),
    ],
)
def test_values_that_the_settings_do_not_take(over: dict[str, Any], told: str):
    with pytest.raises(ConfigError) as error:
        check_values(load_recipe("digits"), [], parse_space(over, {}))
    assert told in str(error.value)


def test_values_that_make_sense_only_together_are_taken():
    space = parse_space({"game.r1": "0.1..1", "game.penalty_every": [1, 4]}, {})
    check_values(load_recipe("digits"), [{"game": {"r1": 0.0}}], space)


def test_each_of_very_many_values_is_looked_at():
    over: dict[str, Any] = dict.fromkeys(("game.r1", "game.r2", "game.gradient_penalty", "game.clip"), "0..1")
    over |= {"average.half_life": list(range(300)), "game.loss": ["relativistic", "hinge", "wasserstein"]}
    check_values(load_recipe("digits"), [], parse_space(over, {}))
    over["average.half_life"] += [-1]
    with pytest.raises(ConfigError, match="half_life"):
        check_values(load_recipe("digits"), [], parse_space(over, {}))


def test_few_combinations_are_gone_through_once():
    space = parse_space({"game.r1": [0, 1, 2], "game.loss": ["hinge", "relativistic"]}, {})
    own = {"game.r1": 1, "game.loss": "hinge"}
    found = all_of(space, 0, own)
    assert found[0] == own
    assert len({(each["game.r1"], each["game.loss"]) for each in found}) == len(found) == 6
    assert found == all_of(space, 0, own) != all_of(space, 1, own)
    assert all_of(parse_space({"game.r1": [0, 1], "game.r2": "0..1"}, {}), 0, own) == []
    assert all_of(parse_space({"game.r1": list(range(101))}, {}), 0, own) == []


def test_values_become_a_layer_of_settings():
    values = {"game.r1": 0.5, "game.r2": 1.0, "batch_size": 16}
    config = resolve(load_recipe("digits"), as_layer(values))
    assert own_values(config, values) == values
    assert as_layer({"game.r1": 1}) == nest(["game", "r1"], 1)
