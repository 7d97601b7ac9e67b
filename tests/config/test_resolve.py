from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from saddle.config import Config, difference, load_config, load_recipe, parse_settings, recipe_names, resolve, to_toml
from saddle.config.resolve import Recipe
from saddle.errors import ConfigError

PLAIN = Recipe("plain", "", "", "", {"images": 100})


IN_SAMPLES = "generator.network.dropout_in_samples=true"
UNIT = ("latent.distribution=uniform", "latent.low=0")


def config(*assignments: str) -> Config:
    return resolve(PLAIN, parse_settings(assignments))


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_valid_and_says_where_it_comes_from(name: str):
    recipe = load_recipe(name)
    resolve(recipe)
    assert recipe.summary
    assert recipe.source
    assert recipe.expected


@pytest.mark.parametrize("name", recipe_names())
def test_toml_keeps_every_setting(name: str):
    resolved = resolve(load_recipe(name))
    assert resolve(Recipe(name, "", "", "", tomllib.loads(to_toml(resolved)))) == resolved


def test_later_layers_win_and_leave_the_rest():
    resolved = resolve(PLAIN, {"game": {"r1": 1.0, "r2": 2.0}}, {"game": {"r1": 3.0}})
    assert (resolved.game.r1, resolved.game.r2) == (3.0, 2.0)


def test_one_way_to_write_the_length_replaces_the_other():
    assert config("epochs=2").images is None
    assert config("epochs=2").total_images(150) == 300
    assert config("images=70").total_images(150) == 70


def test_another_kind_starts_its_section_afresh():
    recipe = Recipe("r", "", "", "", {"images": 1, "generator": {"optimizer": {"betas": [0.1, 0.2]}}})
    resolved = resolve(recipe, parse_settings(["generator.optimizer.kind=sgd"]))
    assert resolved.generator.optimizer.kind == "sgd"


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["bath_size=3"], ["unknown key 'bath_size'", "did you mean 'batch_size'"]),
        (["data.sise=3"], ["did you mean 'data.size'"]),
        (["generator.network.widhts=[3]"], ["did you mean 'generator.network.widths'"]),
        (["r1=3"], ["did you mean 'game.r1'"]),
        (["epochs=abc"], ["epochs", "number", "'abc'"]),
        (["batch_size=-3"], ["batch_size", "greater than 0", "-3"]),
        (["batch_size=2.5"], ["batch_size: expected a whole number, got 2.5"]),
        (["epochs=nan"], ["epochs", "finite"]),
        (["threads=many"], ["threads", "'auto'", "'many'"]),
        (["data.size=big"], ["data.size: expected a whole number or a list, such as [64, 96], got 'big'"]),
        (["data.size=[1,2,3]"], ["data.size"]),
        (["game.loss=hinged"], ["game.loss", "'non_saturating'", "'hinged'"]),
        (["generator=3"], ["generator", "a table"]),
        (["generator.network.family=mpl"], ["generator.network", "'mlp'", "'mpl'"]),
        (
            ["generator.optimizer.kind=sgd", "generator.optimizer.betas=[0,0]"],
            ["generator.optimizer.betas", "not a setting"],
        ),
        (["game.packing=3"], ["game.packing must divide batch_size", "3", "64"]),
        (["latent.low=2"], ["latent.low must lie below latent.high"]),
        (["images=1", "epochs=1"], ["either epochs or images"]),
        (["game.update=simultaneous", "game.discriminator_steps=2"], ["discriminator_steps = 1"]),
        (["average.half_life=-1"], ["average.half_life", "-1"]),
        (["no equals"], ["key=value"]),
        (["=3"], ["key=value"]),
    ],
)
def test_bad_settings_are_named_with_what_was_expected(assignments: list[str], words: list[str]):
    with pytest.raises(ConfigError) as caught:
        config(*assignments)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["game.label_smoothing=0.1", "game.loss=hinge"], "label_smoothing has no effect"),
        (["game.classification=1"], "classification has no effect without labels"),
        (["game.classification=1", "conditional=true"], "classification needs discriminator.condition = projection"),
        (
            ["game.classification=1", "discriminator.condition=projection", "game.feature_matching=l2"],
            "game.feature_matching = none",
        ),
        (
            ["game.classification=1", "discriminator.condition=projection", "discriminator.weights=direction"],
            "weights other than direction",
        ),
        (["discriminator.minibatch_dimensions=3"], "minibatch_dimensions has no effect"),
        (["game.share=pass", "game.update=simultaneous", "game.feature_matching=l2"], "feature_matching needs"),
        (["game.r1=1", "discriminator.network.norm=batch"], "sample by sample"),
        (["batch_size=1", "generator.network.norm=batch"], "batch of one"),
        (["generator.network.label_widths=[3]", "generator.network.joint_widths=[3]"], "no effect without labels"),
        (["conditional=auto", "game.packing=2"], "which is auto here"),
        (["generator.network.output_bias=marginals"], "needs output = sigmoid"),
        ([IN_SAMPLES, *UNIT], "it needs dropout, and goes without input_dropout"),
        ([IN_SAMPLES, *UNIT, *(f"generator.network.{k}dropout=0.5" for k in ("", "input_"))], "without input_dropout"),
        ([IN_SAMPLES, "generator.network.dropout=0.5"], "uniform, latent.low = 0, latent.high = 1 and no"),
        ([IN_SAMPLES, "generator.network.dropout=0.5", *UNIT, "latent.codes=4"], "latent.high = 1 and no latent.codes"),
    ],
)
def test_settings_that_make_no_sense_together(assignments: list[str], words: str):
    with pytest.raises(ConfigError, match=words):
        config(*assignments)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        config("bath_size=3", "epochs=abc", "game.r1=-1")
    for word in ("bath_size", "epochs", "game.r1"):
        assert word in str(caught.value)


def test_naming_the_kind_that_a_section_has_anyway_keeps_its_settings():
    recipe = Recipe("r", "", "", "", {"images": 1, "generator": {"network": {"widths": [7], "norm": "batch"}}})
    resolved = resolve(recipe, parse_settings(["generator.network.family=mlp", "generator.optimizer.kind=adam"]))
    assert resolved.generator.network.widths == (7,)


def test_settings_of_one_layer_do_not_depend_on_their_order():
    assignments = ["generator.network.width=16", "generator.network.family=dcgan"]
    assert config(*assignments) == config(*reversed(assignments))
    assert config(*assignments).generator.network.width == 16


def test_unknown_recipe_suggests_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'mlp-tanh'"):
        load_recipe("mlp-tan")


def test_own_recipe_file(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text('epochs = 3\n[about]\nsummary = "mine"\n')
    recipe = load_recipe(str(path))
    assert (recipe.name, recipe.summary) == ("mine", "mine")
    assert resolve(recipe).epochs == 3
    with pytest.raises(ConfigError, match="there is no file"):
        load_recipe(str(tmp_path / "other.toml"))
    path.write_text("epochs = = 3")
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        load_recipe(str(path))


def test_difference_names_dotted_keys():
    assert difference(config("game.r1=1"), config("game.r1=2", "data.size=[3,4]")) == [
        ("data.size", None, [3, 4]),
        ("game.r1", 1.0, 2.0),
    ]


def test_a_foreign_config_file_is_refused(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text('recipe = "x"\nimages = 3\nfuture_key = 1\n')
    with pytest.raises(ConfigError, match="future_key"):
        load_config(path)


@pytest.mark.parametrize("name", recipe_names())
def test_summaries_are_short_and_addresses_are_whole(name: str):
    recipe = load_recipe(name)
    assert len(recipe.summary) <= 80 and "\n" not in recipe.summary
    assert all(address.startswith("https://") for address in recipe.url)
    assert not re.search(r"[Tt]utorial \d", recipe.source + recipe.summary)  # numbers that no reader knows


@pytest.mark.parametrize(
    "about", ["3", "{ sumary = 'x' }", "{ summary = 3 }", "{ url = 3 }", "{ url = [3] }", "{ published = 'no' }"]
)
def test_an_about_table_of_another_form_is_refused(tmp_path: Path, about: str):
    path = tmp_path / "mine.toml"
    path.write_text(f"images = 3\nabout = {about}\n")
    with pytest.raises(ConfigError, match=r"\[about\] of recipe 'mine'"):
        load_recipe(str(path))


def test_addresses_are_given_as_one_or_as_a_list(tmp_path: Path):
    path = tmp_path / "mine.toml"
    for text, addresses in (("'a'", ("a",)), ("['a', 'b']", ("a", "b"))):
        path.write_text(f"images = 3\nabout = {{ url = {text}, published = true }}\n")
        recipe = load_recipe(str(path))
        assert (recipe.url, recipe.published, str(recipe)) == (addresses, True, "mine")
