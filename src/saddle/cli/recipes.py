"""``saddle recipes``"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from saddle.config import Recipe


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Show one recipe: a name, or a .toml file.  [default: list all]"),
    ] = None,
) -> None:
    """List the recipes, or show one with its source and settings."""
    from saddle.config import all_recipes, load_recipe

    if name is not None:
        _show(load_recipe(name), name)
        return
    known = all_recipes()
    _list("Our own; start with digits or mnist:", (recipe for recipe in known if not recipe.published))
    _list("\nAs published, each with its faults:", (recipe for recipe in known if recipe.published))
    print("\n`saddle recipes NAME` shows one with its source and settings, `saddle train NAME` trains it.")


def _list(heading: str, recipes: Iterable[Recipe]) -> None:
    print(heading)
    for recipe in recipes:
        print(f"  {recipe.name:<20}  {recipe.summary}")


def _show(recipe: Recipe, name: str) -> None:
    from saddle.config.resolve import inline_toml, own_settings

    settings = own_settings(recipe)  # first: a file that is not valid prints nothing
    print(f"{recipe.name}: {recipe.summary}" if recipe.summary else recipe.name)
    for label, text in (("Source", recipe.source), ("Expected", recipe.expected)):
        if text:
            print(f"\n{textwrap.fill(f'{label}: {text}', 100)}")
        for address in recipe.url if label == "Source" else ():
            print(f"  {address}")
    print("\nSettings that differ from the defaults:")
    for key, value in settings:
        print(f"  {key} = {inline_toml(value)}")
    print(f"\nTrain it: saddle train {name}")
