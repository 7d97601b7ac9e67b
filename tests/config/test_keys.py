"""What is told about every setting."""

from __future__ import annotations

import pytest

from saddle.config import decides, load_recipe, parse_settings, recipe_names, resolve
from saddle.config.keys import Key, all_keys, role, schedule_keys
from saddle.config.resolve import Recipe, inline_toml
from saddle.config.section import Role


def keys(path: str) -> list[Key]:
    return [key for key in (*all_keys(), *schedule_keys()) if key.path == path]


def test_every_setting_says_what_it_does_and_what_it_takes():
    assert len(all_keys()) > 100
    for key in (*all_keys(), *schedule_keys()):
        assert key.help and key.kind and key.about, key
        assert "``" not in key.help + key.about
        assert "\n" not in key.help


@pytest.mark.parametrize(
    ("path", "kind", "default"),
    [
        ("batch_size", "integer > 0", 64),
        ("data.held_out", "number >= 0, < 1", 0.05),
        ("game.r1", "number >= 0 or schedule", 0.0),
        ("game.share", "nothing|samples|pass", "nothing"),
        ("checkpoint.every", "integer > 0 or auto", "auto"),
        ("data.size", "integer > 0 or [integer > 0, integer > 0] or none", None),
        ("data.columns", "list of integer >= 0 or text or none", None),
        ("log.tensorboard", "true or false", False),
    ],
)
def test_types_bounds_and_defaults(path: str, kind: str, default: object):
    (key,) = keys(path)
    assert (key.kind, key.default, key.required) == (kind, default, False)


def test_each_kind_of_a_section_has_its_own_keys():
    assert [key.of for key in keys("generator.network.upsampling")] == ["generator.network with family = dcgan"]
    rates = {key.of: key.default for key in keys("discriminator.optimizer.learning_rate")}
    assert rates == {
        "discriminator.optimizer with kind = adam": 2e-4,
        "discriminator.optimizer with kind = sgd": 0.1,
    }


def test_defaults_are_those_that_a_config_has():
    tables = resolve(load_recipe("mlp-tanh"), {"generator": {"network": {"activation": "leaky_relu"}}})
    for key in all_keys():
        if key.of in ("game", "average", "log", "generator.network with family = mlp") and key.path != "game.share":
            value = tables
            for part in key.path.split("."):
                value = getattr(value, part)
            assert value == key.default, key.path


def test_a_discriminator_has_the_same_widths_whether_it_is_left_out_or_only_its_slope_is_given():
    for settings in ({}, {"discriminator": {"network": {"slope": 0.1}}}):
        recipe = Recipe("own", "", "", "", {"images": 1, **settings})
        assert resolve(recipe).discriminator.network.widths == (512, 256)


@pytest.mark.parametrize("path", ["images", "epochs", "threads", "log.every", "checkpoint.keep", "evaluate.metric"])
def test_what_a_resumed_run_may_change(path: str):
    assert not decides(path)


@pytest.mark.parametrize(
    "path", ["seed", "device", "game.r1", "samples.count", "data.source", "game.r1.value", "no.such.key"]
)
def test_what_decides_what_is_trained(path: str):
    assert decides(path)


def test_roles():
    assert role("data.fingerprint") is Role.FOUND
    assert role("evaluate.count") is Role.SCORES
    assert role("batch_size") is None


@pytest.mark.parametrize("name", recipe_names())
def test_values_on_one_line_are_read_back(name: str):
    table = load_recipe(name).settings
    for key, value in table.items():
        assert parse_settings([f"{key}={inline_toml(value)}"]) == {key: value}
