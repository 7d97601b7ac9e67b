"""``saddle settings``"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from saddle.config.keys import Key


def settings(
    key: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help="Show this setting or section, such as game.r1 or game.  [default: all]"),
    ] = None,
) -> None:
    """List all settings with their defaults, meanings and types."""
    from saddle.config.explain import suggest_key
    from saddle.config.keys import all_keys, schedule_keys
    from saddle.errors import ConfigError

    shown = [each for each in all_keys() if key is None or f"{each.path}.".startswith(f"{key}.")]
    if not shown:
        raise ConfigError(
            f"there is no setting or section {key!r}", remedy=suggest_key(key or "") or "`saddle settings` lists all"
        )
    _print(shown)
    if any("schedule" in each.kind for each in shown):
        print("\nA schedule is a table in place of the number, such as { value = 2e-3, to = 0.0, start = '50%' }:")
        _print(schedule_keys())


def _print(keys: Sequence[Key]) -> None:
    from saddle.config.keys import decides, editable
    from saddle.config.resolve import inline_toml

    for index, (section, group) in enumerate(groupby(keys, key=lambda each: each.of)):
        rows = list(group)
        print(("\n" if index else "") + f"{section or 'the run'}: {rows[0].about}")
        names = [each.path if each.required else f"{each.path} = {inline_toml(each.default)}" for each in rows]
        width = max(map(len, names))
        for name, each in zip(names, rows, strict=True):
            when = [] if decides(each.path) else ["when a run is resumed"]
            when += ["while a run goes on"] if editable(each.path) else []
            may_change = f"; may change {' and '.join(when)}" if when else ""
            print(f"  {name:<{width}}  {each.help} ({each.kind}{may_change})")
