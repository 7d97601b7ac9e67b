"""The validated config tree, and how recipes and settings are layered into one."""

from saddle.config.keys import decides
from saddle.config.resolve import (
    Recipe,
    all_recipes,
    difference,
    load_config,
    load_recipe,
    parse_settings,
    recipe_names,
    resolve,
    to_toml,
)
from saddle.config.schema import Config

__all__ = [
    "Config",
    "Recipe",
    "all_recipes",
    "decides",
    "difference",
    "load_config",
    "load_recipe",
    "parse_settings",
    "recipe_names",
    "resolve",
    "to_toml",
]
