"""All commands; torch is imported only when one of them needs it."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from saddle.base import processes
from saddle.cli import (
    arithmetic,
    cache,
    classify,
    compare,
    data,
    diagnose,
    evaluate,
    export,
    fork,
    health,
    info,
    interpolate,
    invert,
    listing,
    nearest,
    recipes,
    report,
    reproduce,
    sample,
    serve,
    settings,
    steer,
    studio,
    sweep,
    train,
    walk,
)
from saddle.cli.boundary import answer
from saddle.errors import ConfigError

# What typer tells of itself; not all its versions give it a public name.
_USAGE = cast(type[Exception], typer.BadParameter.__mro__[1])

_TOGETHER = ("train", "sample")  # what several processes do together


class _Commands(TyperGroup):
    """A command's errors are answered here, since typer ends its own way what it gets to see."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "" in args:  # as a path it would be the current folder
            ctx.fail("one of the arguments is empty: perhaps a variable of the shell is not set")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, _USAGE):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  whatever a command raises
            sys.exit(answer(error))


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
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train, judge, use and share generative adversarial networks."""
    if processes.count() > 1 and context.invoked_subcommand not in _TOGETHER:
        raise ConfigError(
            f"saddle {context.invoked_subcommand} is the work of one process",
            expected=f"torchrun with saddle {' or '.join(_TOGETHER)}",
            remedy="start it without torchrun",
        )


app.command("recipes")(recipes.recipes)
app.command("settings")(settings.settings)
app.command("train")(train.train)
app.command("list")(listing.list_runs)
app.command("info")(info.info)
app.command("health")(health.health)
app.command("diagnose")(diagnose.diagnose)
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
app.command("sweep")(sweep.sweep)
app.command("pause")(steer.pause)
app.command("resume")(steer.resume)
app.command("stop")(steer.stop)
app.command("save")(steer.save)
app.command("edit")(steer.edit)
app.command("fork")(fork.fork)
app.command("report")(report.report)
app.command("export")(export.export)
app.command("serve")(serve.serve)
app.command("studio")(studio.studio)
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")
