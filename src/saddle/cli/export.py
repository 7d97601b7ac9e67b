"""``saddle export``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saddle.cli.options import MemberOption, RunArgument
from saddle.cli.tables import print_line

_FORMS = ("onnx", "html")


def export(
    run: RunArgument,
    to: Annotated[
        str, typer.Option(metavar="onnx|html", help="An ONNX file, or a page that runs the generator in a browser.")
    ] = "onnx",
    out: Annotated[Path | None, typer.Option(help="The file to write.  [default: generator.onnx or .html]")] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For html: the installed npm package onnxruntime-web, which the page then holds and works offline.  "
            "[default: the page loads it from cdn.jsdelivr.net]",
        ),
    ] = None,
    member: MemberOption = None,
) -> None:
    """Write a generator as an ONNX file or as a web page.

    What was written is compared with torch on 1,000 latents, and the largest difference is told.
    """
    from saddle.errors import ConfigError
    from saddle.runs.folder import find_member

    if to not in _FORMS:
        raise ConfigError("unknown form", expected="--to onnx or --to html", got=to)
    if runtime is not None and to != "html":
        raise ConfigError("--runtime is of pages", remedy="--to html, or leave out --runtime")

    source = find_member(run, member)
    out = out or Path(f"generator.{to}")
    if to == "onnx":
        from saddle.share.onnx_file import save_onnx

        error = save_onnx(source, out)
    else:
        from saddle.share.web_page import save_web_page

        error = save_web_page(source, out, runtime)
    print_line(f"{out}: the largest difference to torch over 1,000 latents is {error:.2g}")
