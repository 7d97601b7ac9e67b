"""The command line: one small module a command; each parses, calls and prints. torch is imported only when needed."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from saddle.cli import (
    arithmetic,
    cache,
    classify,
    compare,
    data,
    evaluate,
    info,
    interpolate,
    invert,
    listing,
    nearest,
    recipes,
    report,
    reproduce,
    sample,
    settings,
    train,
    walk,
)
from saddle.errors import SaddleError


class _Commands(TyperGroup):
    """An error meant for the user is printed without a traceback and sets the exit code; so does an interruption.

    Done here, since typer ends its own way what it gets to see.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # the reader may go away before the last of our output
        except SaddleError as error:
            print(f"saddle: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            print("saddle: interrupted", file=sys.stderr)
            sys.exit(130)
        except BrokenPipeError:  # the reader went away, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        return result


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"saddle {metadata.version('saddle')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    name="saddle",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _options(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train, judge, use and share generative adversarial networks."""


app.command("recipes")(recipes.recipes)
app.command("settings")(settings.settings)
app.command("train")(train.train)
app.command("list")(listing.list_runs)
app.command("info")(info.info)
app.command("sample")(sample.sample)
app.command("interpolate")(interpolate.interpolate)
app.command("walk")(walk.walk)
# A sum may start with a minus, which is no option.
app.command("arithmetic", context_settings={"ignore_unknown_options": True})(arithmetic.arithmetic)
app.command("invert")(invert.invert)
app.command("nearest")(nearest.nearest)
app.command("classify")(classify.classify)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("reproduce")(reproduce.reproduce)
app.command("report")(report.report)
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Run the command line."""
    app()
