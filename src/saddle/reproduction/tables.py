"""Published tables as data: rows are recipes with settings, and what their sources report."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from saddle.base.suggest import suggest
from saddle.errors import ConfigError


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(_Section):
    """One system of a table.

    Args:
        name: as the table calls it.
        recipe: that trains it, with ``settings`` on top.
        generator: which of a run's generators is scored: the last one, or that with the best score in training.
        count: samples for each evaluation, where it is not the table's.
        figures: that are shown, where these are not the table's.
        published: what the source reports, by figure, as it is written there.
        goal: what is to be reached, by figure; whether from above or below, the figure knows.
        collapsed: a figure, and the value below which a run counts as collapsed.
    """

    name: str
    recipe: str
    settings: dict[str, Any] = {}
    generator: Literal["last", "best"] = "last"
    count: PositiveInt | None = None
    figures: tuple[str, ...] | None = None
    published: dict[str, str] = {}
    goal: dict[str, float] = {}
    collapsed: tuple[str, float] | None = None

    @property
    def folder(self) -> str:
        """The name of the folder of its runs."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name.lower()).strip("-")


class Quick(_Section):
    """The smoke run: settings on top of every row's, samples, and one seed."""

    settings: dict[str, Any]
    count: PositiveInt


class Table(_Section):
    """A published table.

    Args:
        title, source: of the original.
        figures: that are shown.
        seeds: runs of each row.
        count: samples for each evaluation, drawn with so many ``draws``.
        note: what a reader must know, such as where the protocol differs.
    """

    title: str
    source: str
    figures: tuple[str, ...]
    seeds: PositiveInt
    count: PositiveInt
    draws: PositiveInt = 1
    note: str = ""
    quick: Quick
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]


def table_names() -> list[str]:
    """Names of the tables that saddle can run again, sorted."""
    folder = resources.files("saddle.reproduction") / "published"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_table(name: str) -> Table:
    """The table called ``name``.

    Raises:
        ConfigError: there is no such table.
    """
    names = table_names()
    if name not in names:
        raise ConfigError(
            f"there is no table {name!r}", expected="one of " + ", ".join(names), remedy=suggest(name, names)
        )
    text = (resources.files("saddle.reproduction") / "published" / f"{name}.toml").read_text(encoding="utf-8")
    return Table.model_validate(tomllib.loads(text))


def choose_rows(table: Table, names: Collection[str]) -> list[Row]:
    """The rows of these names, all without names.

    Raises:
        ConfigError: there is no such row.
    """
    known = {row.name: row for row in table.rows}
    for name in names:
        if name not in known:
            raise ConfigError(
                f"the table has no row {name!r}", expected="one of " + "; ".join(known), remedy=suggest(name, known)
            )
    return [row for row in table.rows if not names or row.name in names]
