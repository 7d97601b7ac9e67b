"""``saddle recipes``"""

from __future__ import annotations

import textwrap


def recipes() -> None:
    """List the recipes: what each is, where it comes from and what to expect."""
    from saddle.config import load_recipe, recipe_names

    for name in recipe_names():
        recipe = load_recipe(name)
        print(name)
        for label, text in (("", recipe.summary), ("source: ", recipe.source), ("expect: ", recipe.expected)):
            print(textwrap.fill(label + text, 110, initial_indent="    ", subsequent_indent="    "))
